//! The calls made for one execution, counted against a budget.

use crate::history::ExecutionReader;
use crate::memory::ReportShare;

/// The most calls made for one execution, its children included. A whole history of 25,000 events
/// takes 25. AWS refills about 20 a second for everybody in the account, so this is what one
/// failure may cost the others: five seconds.
pub(super) const BUDGET: u32 = 100;

/// Makes calls as long as the budget lasts.
pub(super) struct Calls<'a> {
    pub(super) reader: &'a dyn ExecutionReader,
    /// The memory that the reading may use.
    pub(super) memory: &'a ReportShare,
    pub(super) made: u32,
    pub(super) budget_hit: bool,
}

impl<'a> Calls<'a> {
    pub(super) fn of(reader: &'a dyn ExecutionReader, memory: &'a ReportShare) -> Self {
        Self { reader, memory, made: 0, budget_hit: false }
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
}
