//! The calls made for one execution, counted against a budget.

use crate::arn::ExecutionArn;
use crate::history::{ExecutionReader, History, PageRequest, ReadError};

/// The most calls made for one execution, its children included. A whole history of 25,000 events
/// takes 25. AWS refills about 20 a second for everybody in the account, so this is what one
/// failure may cost the others: five seconds.
pub(super) const BUDGET: u32 = 100;

/// The most events that Step Functions gives on a page.
const PAGE: u32 = 1_000;

/// Makes calls as long as the budget lasts.
pub(super) struct Calls<'a> {
    pub(super) reader: &'a dyn ExecutionReader,
    pub(super) made: u32,
    pub(super) budget_hit: bool,
}

impl<'a> Calls<'a> {
    pub(super) fn of(reader: &'a dyn ExecutionReader) -> Self {
        Self { reader, made: 0, budget_hit: false }
    }

    /// Whether another call may be made; if so, it counts as made.
    pub(super) fn may(&mut self) -> bool {
        let may = self.may_go_on();
        self.made += u32::from(may);
        may
    }

    /// Whether there is a call left.
    pub(super) fn may_go_on(&mut self) -> bool {
        self.budget_hit |= self.made >= BUDGET;
        self.made < BUDGET
    }

    /// Reads an execution's history.
    pub(super) async fn history(&mut self, execution: &ExecutionArn) -> Result<History, ReadError> {
        let mut events = Vec::new();
        let mut token = None;
        while self.may() {
            let request = PageRequest { newest_first: false, max_results: PAGE, token };
            let page = self.reader.history_page(execution, &request).await?;
            events.extend(page.events);
            token = page.next_token;
            if token.is_none() {
                return Ok(History::whole(events));
            }
        }
        let note =
            format!("Only {} events of {execution} were read: {BUDGET} calls were made.", events.len());
        Ok(History::whole(events).incomplete(note))
    }
}
