//! Reads a history from its newest event back, as far as the answer needs it.
//!
//! An execution fails at its end, so its last page mostly tells what failed. Which run's end that
//! is, where it may have been redriven, is told by one DescribeExecution, and so is its input. A
//! history that fits on one page, or that is read as a whole, needs neither.

use super::calls::{BUDGET, Calls};
use super::{Question, find_end};
use crate::analysis::enough::{Missing, missing};
use crate::arn::ExecutionArn;
use crate::failpoint::{Point, reach};
use crate::history::{
    EventType, ExecutionDescription, History, HistoryEvent, PageRequest, ReadError, Status, Thrift,
};

/// The most events that Step Functions gives on a page.
const PAGE: u32 = 1_000;

/// Which end of an execution is wanted.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wanted {
    /// The one asked about.
    Asked(Question),
    /// The last failure, timeout or abort.
    LastFailure,
}

/// What was read of a history.
pub(super) struct Read {
    pub(super) history: History,
    /// The index of the wanted end in it.
    pub(super) end: Option<usize>,
    /// The execution's input, where DescribeExecution told it.
    pub(super) input: Option<String>,
}

/// Where the wanted end is among the newest events.
enum Seen {
    At(usize),
    /// It is not there, and not among the older ones either.
    NotThere,
    /// Older events will tell.
    Older,
}

/// Newest events, in descending order of their ids.
#[derive(Default)]
struct Newest {
    events: Vec<HistoryEvent>,
    thrift: Thrift,
}

pub(super) async fn read(
    calls: &mut Calls<'_>,
    execution: &ExecutionArn,
    wanted: Wanted,
) -> Result<Read, ReadError> {
    let mut newest = Newest::default();
    let mut token = newest.next_page(calls, execution, None).await?;
    if token.is_none() {
        return Ok(whole(newest, wanted));
    }
    let mut description = None;
    if let Wanted::Asked(Question { redrive_count: Some(_), status }) = wanted
        && !matches!(status, Some(Status::TimedOut | Status::Aborted))
    {
        description = match describe(calls, execution).await {
            Some(Err(error)) if error.class().is_passing() => return Err(error),
            // Not allowed, perhaps: then everything is read, which needs no more than a part of it.
            answer => answer.and_then(Result::ok),
        };
    }
    let redrives = description.as_ref().map(|description| description.redrive_count.unwrap_or(0));
    while let Some(missing) = newest.lacks(wanted, redrives) {
        token = newest.read_back_to(missing, calls, execution, token).await?;
        if token.is_none() || !calls.may_go_on() {
            break;
        }
    }
    if token.is_none() {
        return Ok(whole(newest, wanted));
    }
    if description.is_none() && matches!(wanted, Wanted::Asked(_)) {
        description = describe(calls, execution).await.and_then(Result::ok);
    }
    let input = description.and_then(|description| description.input);
    let end = match newest.seen(wanted, redrives) {
        Seen::At(at) => Some(newest.events[at].id),
        Seen::NotThere | Seen::Older => None,
    };
    let mut history = History::newest(newest.events);
    if calls.budget_hit {
        let events = history.events().len();
        history = history
            .noted(format!("Only the newest {events} events were read: {BUDGET} calls had been made."));
    }
    let end = end.and_then(|id| history.events().iter().position(|event| event.id == id));
    Ok(Read { history, end, input })
}

/// What DescribeExecution says; `None` if it may not be asked any more.
async fn describe(
    calls: &mut Calls<'_>,
    execution: &ExecutionArn,
) -> Option<Result<ExecutionDescription, ReadError>> {
    if !calls.may() {
        return None;
    }
    Some(calls.reader.describe_execution(execution).await)
}

fn whole(newest: Newest, wanted: Wanted) -> Read {
    let history = History::whole(newest.events);
    let end = match wanted {
        Wanted::Asked(question) => find_end(&history, &question),
        Wanted::LastFailure => history.events().iter().rposition(is_failure),
    };
    Read { history, end, input: None }
}

fn is_failure(event: &HistoryEvent) -> bool {
    matches!(event.event_type.end(), Some(Status::Failed | Status::TimedOut | Status::Aborted))
}

impl Newest {
    /// Reads the page at this token and returns the next one's.
    async fn next_page(
        &mut self,
        calls: &mut Calls<'_>,
        execution: &ExecutionArn,
        token: Option<String>,
    ) -> Result<Option<String>, ReadError> {
        calls.made += 1;
        let request = PageRequest { newest_first: true, max_results: PAGE, token };
        let page = calls.reader.history_page(execution, &request).await?;
        reach(Point::page(request.token.is_none())).await;
        for mut event in page.events {
            if self.events.last().is_none_or(|newer| newer.id > event.id) {
                self.thrift.take(&mut event);
            }
            self.events.push(event);
        }
        Ok(page.next_token)
    }

    /// Reads what is missing, at least one page, and returns the next one's token.
    async fn read_back_to(
        &mut self,
        missing: Missing,
        calls: &mut Calls<'_>,
        execution: &ExecutionArn,
        mut token: Option<String>,
    ) -> Result<Option<String>, ReadError> {
        while token.is_some() && calls.may_go_on() {
            token = self.next_page(calls, execution, token).await?;
            if let Missing::Event(id) = missing
                && self.events.last().is_some_and(|oldest| oldest.id <= id)
            {
                break;
            }
        }
        Ok(token)
    }

    /// What the answer lacks.
    fn lacks(&self, wanted: Wanted, redrives: Option<u32>) -> Option<Missing> {
        // Some stand-ins for AWS know no order but the oldest first.
        if !self.events.is_sorted_by(|newer, older| newer.id > older.id) {
            return Some(Missing::Everything);
        }
        match self.seen(wanted, redrives) {
            Seen::NotThere => None,
            Seen::Older => Some(Missing::Event(i64::MAX)),
            Seen::At(at) => missing(&self.events[at], &|id| self.get(id)).err(),
        }
    }

    fn get(&self, id: i64) -> Option<&HistoryEvent> {
        let at = self.events.binary_search_by(|event| id.cmp(&event.id)).ok()?;
        Some(&self.events[at])
    }

    fn seen(&self, wanted: Wanted, redrives: Option<u32>) -> Seen {
        let question = match wanted {
            Wanted::Asked(question) => question,
            Wanted::LastFailure => {
                return self.events.iter().position(is_failure).map_or(Seen::Older, Seen::At);
            }
        };
        let as_asked = |event: &HistoryEvent| {
            let end = event.event_type.end();
            end.is_some() && question.status.is_none_or(|status| end == Some(status))
        };
        let Some(count) = question.redrive_count else {
            return self.events.iter().position(as_asked).map_or(Seen::Older, Seen::At);
        };
        let Some(mut run) = redrives else { return Seen::Older };
        for (at, event) in self.events.iter().enumerate() {
            let is_end = event.event_type.end().is_some();
            if run < count || (run == count && is_end) {
                return if run == count && as_asked(event) { Seen::At(at) } else { Seen::NotThere };
            }
            if event.event_type == EventType::ExecutionRedriven {
                // The end of this run would have been newer than its beginning.
                if run == count {
                    return Seen::NotThere;
                }
                let began = event.details.redrive_count.and_then(|count| u32::try_from(count).ok());
                run = began.unwrap_or(run).saturating_sub(1);
            }
        }
        Seen::Older
    }
}
