//! Reads a history from its newest event back, as far as the answer needs it.
//!
//! An execution fails at its end, so its last page usually shows what failed. For an execution that may
//! have been redriven, one DescribeExecution finds out which run ended; it also has the input. A
//! history that fits on one page, or that is read whole, needs neither.
//!
//! The first page is small, and read within the memory of one report. Where more is needed, the
//! reading starts again with pages as large as their events allow. AWS asks for the same arguments
//! with every page token, so the size of a page changes only at the start; see [`Newest::next_page`]
//! for the exception.

use super::calls::{BUDGET, Calls};
use super::texts::TextLimit;
use super::{Question, find_end};
use crate::analysis::enough::{Missing, missing};
use crate::aws::arn::ExecutionArn;
use crate::aws::error::ErrorClass;
use crate::failpoint::{Point, reach};
use crate::history::{
    EventType, ExecutionDescription, History, HistoryEvent, HistoryPage, InputPruner, PageRequest, ReadError,
    Status,
};
use crate::memory::HistoryShare;

/// The events of the first page: the whole history of an execution of some fifty states.
const FIRST_PAGE: u32 = 250;

/// The most events that Step Functions gives on a page.
const PAGE: u32 = 1_000;

/// How many further pages of few events are read before larger ones are.
const NEAR: usize = 3;

/// Which end of an execution is wanted.
#[derive(Debug, Clone, Copy)]
pub(super) enum EndSelector {
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
    /// The execution's input, where DescribeExecution gave it.
    pub(super) input: Option<String>,
    /// The memory share of the history.
    pub(super) share: Option<HistoryShare>,
}

/// Where the wanted end is among the newest events.
enum Seen {
    At(usize),
    /// It is in neither the newest events nor the older ones.
    NotThere,
    /// The older events decide.
    Older,
}

/// Newest events, in descending order of their ids.
struct Newest {
    events: Vec<HistoryEvent>,
    prune: InputPruner,
    texts: TextLimit,
    /// How many events a page is asked for, and how many bytes it may have.
    page: (u32, u64),
    /// How many bytes the answers had so far.
    bytes: u64,
    share: Option<HistoryShare>,
    /// Why nothing more can be read, though there are older events.
    stopped: Option<String>,
}

pub(super) async fn read(
    calls: &mut Calls<'_>,
    execution: &ExecutionArn,
    wanted: EndSelector,
) -> Result<Read, ReadError> {
    let mut newest = Newest::new((FIRST_PAGE, calls.memory.first_page()), calls, None);
    let mut token = newest.next_page(calls, execution, None).await?;
    if token.is_none() {
        return Ok(whole(newest, wanted));
    }
    let mut description = None;
    if let EndSelector::Asked(Question { redrive_count: Some(_), status }) = wanted
        && !matches!(status, Some(Status::TimedOut | Status::Aborted))
    {
        description = match describe(calls, execution).await {
            Some(Err(error)) if error.class().is_passing() => return Err(error),
            // DescribeExecution may be denied. Then the whole history is read, which needs no other permission.
            answer => answer.and_then(Result::ok),
        };
    }
    let redrives = description.as_ref().map(|description| description.redrive_count.unwrap_or(0));
    token = newest.read_near(wanted, redrives, calls, execution, token).await?;
    if token.is_some() && newest.lacks(wanted, redrives).is_some() {
        token = newest.grow(calls, token).await;
    }
    while let Some(missing) = newest.lacks(wanted, redrives) {
        token = newest.read_back_to(missing, calls, execution, token).await?;
        if token.is_none() || newest.stopped.is_some() || !calls.may_go_on() {
            break;
        }
    }
    if token.is_none() {
        return Ok(whole(newest, wanted));
    }
    if description.is_none() && matches!(wanted, EndSelector::Asked(_)) {
        description = describe(calls, execution).await.and_then(Result::ok);
    }
    let input = description.and_then(|description| description.input);
    let end = match newest.seen(wanted, redrives) {
        Seen::At(at) => Some(newest.events[at].id),
        Seen::NotThere | Seen::Older => None,
    };
    let mut history = newest.texts.noted(History::newest(newest.events));
    let why = if calls.budget_hit { Some(format!("{BUDGET} calls had been made")) } else { newest.stopped };
    if let Some(why) = why {
        let events = history.events().len();
        history = history.noted(format!("Only the newest {events} events were read: {why}."));
    }
    let end = end.and_then(|id| history.events().iter().position(|event| event.id == id));
    Ok(Read { history, end, input, share: newest.share })
}

/// The answer of DescribeExecution; `None` if the call budget is used up.
async fn describe(
    calls: &mut Calls<'_>,
    execution: &ExecutionArn,
) -> Option<Result<ExecutionDescription, ReadError>> {
    if !calls.may() {
        return None;
    }
    Some(calls.reader.describe_execution(execution).await)
}

fn whole(newest: Newest, wanted: EndSelector) -> Read {
    let history = newest.texts.noted(History::whole(newest.events));
    let end = match wanted {
        EndSelector::Asked(question) => find_end(&history, &question),
        EndSelector::LastFailure => history.events().iter().rposition(is_failure),
    };
    Read { history, end, input: None, share: newest.share }
}

/// How many of `count` events, which have `bytes` together, fit into `max_bytes` with room to spare.
fn fitting(count: u32, max_bytes: u64, bytes: u64) -> u32 {
    let fit = u128::from(count) * u128::from(max_bytes) * 7 / 10 / u128::from(bytes.max(1));
    u32::try_from(fit).unwrap_or(u32::MAX).clamp(1, count)
}

fn is_failure(event: &HistoryEvent) -> bool {
    matches!(event.event_type.end(), Some(Status::Failed | Status::TimedOut | Status::Aborted))
}

impl Newest {
    fn new(page: (u32, u64), calls: &Calls<'_>, share: Option<HistoryShare>) -> Self {
        Self {
            events: Vec::new(),
            prune: InputPruner::default(),
            texts: TextLimit::new(calls.memory.text()),
            page,
            bytes: 0,
            share,
            stopped: None,
        }
    }

    /// Reserves the memory for older pages, and makes the pages as large as their events allow: then the
    /// reading starts again, without a token.
    async fn grow(&mut self, calls: &Calls<'_>, token: Option<String>) -> Option<String> {
        let read = self.events.len().max(1) as u64;
        let bytes_per_event = self.bytes / read;
        let newest = self.events.iter().map(|event| event.id).max().and_then(|id| u64::try_from(id).ok());
        // What was read so far fits into the report's share.
        self.share = None;
        let share = calls.memory.history(newest.unwrap_or(read), bytes_per_event).await;
        let max_bytes = share.page();
        let count = fitting(PAGE, max_bytes, bytes_per_event.saturating_mul(PAGE.into()));
        if count <= self.page.0 {
            self.page.1 = max_bytes;
            self.share = Some(share);
            return token;
        }
        *self = Self::new((count, max_bytes), calls, Some(share));
        None
    }

    /// Where events are so large that a page has few of them, reads the next pages as long as what is missing
    /// must be on them: the failed state's own events are next to each other, and the reading
    /// that starts again has many times as many bytes. Returns the token of the next page.
    async fn read_near(
        &mut self,
        wanted: EndSelector,
        redrives: Option<u32>,
        calls: &mut Calls<'_>,
        execution: &ExecutionArn,
        mut token: Option<String>,
    ) -> Result<Option<String>, ReadError> {
        for _ in 0..NEAR {
            let (max_results, max_bytes) = self.page;
            let oldest = self.events.last().map_or(0, |oldest| oldest.id);
            let is_near = |id: i64| oldest.saturating_sub(id) <= i64::from(max_results);
            let missing = self.lacks(wanted, redrives);
            if max_results >= FIRST_PAGE
                || token.is_none()
                || !matches!(missing, Some(Missing::Event(id)) if id < oldest && is_near(id))
                || !calls.may_go_on()
            {
                break;
            }
            calls.made += 1;
            let request = PageRequest { newest_first: true, max_results, token: token.clone(), max_bytes };
            match calls.reader.history_page(execution, &request).await {
                Ok(page) => {
                    reach(Point::page(false)).await;
                    token = self.take(page);
                }
                Err(error) if error.class() == ErrorClass::TooLarge => break,
                Err(error) => return Err(error),
            }
        }
        Ok(token)
    }

    /// Reads the page at this token and returns the next one's.
    ///
    /// An answer that is too large is asked for again with fewer events. On the first page that is
    /// another start. On a later one the page's size changes under a token, which AWS may refuse; the
    /// reading then stops there.
    async fn next_page(
        &mut self,
        calls: &mut Calls<'_>,
        execution: &ExecutionArn,
        token: Option<String>,
    ) -> Result<Option<String>, ReadError> {
        let mut shrunk = false;
        let page = loop {
            calls.made += 1;
            let (max_results, max_bytes) = self.page;
            let request = PageRequest { newest_first: true, max_results, token: token.clone(), max_bytes };
            match calls.reader.history_page(execution, &request).await {
                Ok(page) => break page,
                Err(error) if error.class() == ErrorClass::TooLarge && calls.may_go_on() => {
                    if !self.shrink(calls, error.bytes()).await {
                        return Err(error);
                    }
                    shrunk = true;
                }
                Err(error) if shrunk && token.is_some() => {
                    self.stopped = Some(format!("an older page is too large ({})", error.meaning()));
                    return Ok(token);
                }
                Err(error) => return Err(error),
            }
        };
        reach(Point::page(token.is_none())).await;
        Ok(self.take(page))
    }

    /// Keeps what is needed of a page, and returns the next one's token.
    fn take(&mut self, page: HistoryPage) -> Option<String> {
        self.bytes += page.bytes;
        for mut event in page.events {
            if self.events.last().is_none_or(|newer| newer.id > event.id) {
                self.prune.take(&mut event);
            }
            self.texts.keep(&mut event);
            self.events.push(event);
        }
        page.next_token
    }

    /// Requests fewer events from now on. If a single event is already too large (some stand-ins
    /// for AWS always answer with all events), reserves the memory for the largest page. Returns
    /// whether another attempt makes sense.
    async fn shrink(&mut self, calls: &Calls<'_>, bytes: Option<u64>) -> bool {
        let (count, max_bytes) = self.page;
        if count > 1 {
            self.page.0 = match bytes {
                Some(bytes) => fitting(count, max_bytes, bytes).min(count - 1),
                None => (count / 8).max(1),
            };
            return true;
        }
        if self.share.is_some() {
            return false;
        }
        let share = calls.memory.history(0, u64::MAX).await;
        self.page.1 = share.page();
        self.share = Some(share);
        true
    }

    /// Reads what is missing, at least one page, and returns the next one's token.
    async fn read_back_to(
        &mut self,
        missing: Missing,
        calls: &mut Calls<'_>,
        execution: &ExecutionArn,
        mut token: Option<String>,
    ) -> Result<Option<String>, ReadError> {
        // At the start there is no token yet.
        let mut starts = self.events.is_empty();
        while (starts || token.is_some()) && self.stopped.is_none() && calls.may_go_on() {
            starts = false;
            token = self.next_page(calls, execution, token).await?;
            if let Missing::Event(id) = missing
                && self.events.last().is_some_and(|oldest| oldest.id <= id)
            {
                break;
            }
        }
        Ok(token)
    }

    /// The events that the answer still needs.
    fn lacks(&self, wanted: EndSelector, redrives: Option<u32>) -> Option<Missing> {
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

    fn seen(&self, wanted: EndSelector, redrives: Option<u32>) -> Seen {
        let question = match wanted {
            EndSelector::Asked(question) => question,
            EndSelector::LastFailure => {
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
