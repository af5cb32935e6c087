//! A budget in bytes for what is read of executions, for the whole process.
//!
//! Every history that Step Functions allows (256 KiB an input, 25,000 events) has to fit into the worker's
//! memory, however many messages are in hand. So each reading takes its share of the budget
//! before it reads:
//!
//! - a [`ReportShare`] for each execution that is read: the first page of each history, and what stays
//!   of them until the notifications are made. It is taken first.
//! - a [`HistoryShare`] for a history that does not fit on its first page, while it is read and
//!   analysed.
//!
//! No wait can deadlock. The shares come from two pools. A reading holds nothing when it waits for its
//! report share. When it waits for a history share it holds only its report share, and whoever holds a
//! history share waits for Step Functions alone, each call of which has a time limit, and then gives
//! the history share back. A share is never larger than its pool. Both pools serve in the order of
//! asking, so that a large share is not overtaken for good by small ones.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

const KIB: u64 = 1_024;
/// A MiB in bytes.
pub const MIB: u64 = 1_024 * KIB;

/// The budget where none is set, in bytes.
pub const DEFAULT: u64 = 256 * MIB;

/// The smallest budget that everything can be read with, in bytes.
pub const SMALLEST: u64 = 64 * MIB;

/// What one report may take: its texts up to [`TEXT`] in each form that they have on their way (history,
/// analysis, report, its JSON, that without secrets, request body), or a first page.
const REPORT: u64 = 4 * MIB;

/// The most bytes of inputs, errors and causes that are kept of one history. An execution's input, the
/// failed state's and a cause fit, at the 256 KiB and 32 KiB that Step Functions allows.
const TEXT: u64 = 640 * KIB;

/// The largest answer that a first page may be. One event fits: 256 KiB, escaped for JSON.
const FIRST_PAGE: u64 = MIB;

/// The largest answer that a further page may be.
const PAGE: u64 = 8 * MIB;

/// What an answer takes while it is read: its bytes as they come in, in one piece, and as events of the
/// client.
const COPIES: u64 = 3;

/// What an event takes without its texts, in the history and in the timeline.
const EVENT: u64 = KIB;

/// The budget; clones share it.
#[derive(Debug, Clone)]
pub struct MemoryBudget(Option<Pools>);

#[derive(Debug, Clone)]
struct Pools {
    /// Counted in KiB, as are all permits here.
    reports: Arc<Semaphore>,
    histories: Arc<Semaphore>,
    /// The size of the pool of histories, in bytes.
    largest: u64,
}

/// The share of one execution's reading.
#[derive(Debug)]
pub struct ReportShare {
    budget: MemoryBudget,
    _permit: Option<OwnedSemaphorePermit>,
}

/// The share of one history that has more than one page.
#[derive(Debug)]
pub struct HistoryShare {
    page: u64,
    _permit: Option<OwnedSemaphorePermit>,
}

impl MemoryBudget {
    /// A budget of so many bytes, at least [`SMALLEST`].
    pub fn new(bytes: u64) -> Self {
        let half = bytes.max(SMALLEST) / 2;
        let pool = |bytes: u64| Arc::new(Semaphore::new(permits(bytes) as usize));
        Self(Some(Pools { reports: pool(half), histories: pool(half), largest: half }))
    }

    /// No limit on what is kept, and no wait: for one execution that is to be shown whole.
    pub fn unlimited() -> Self {
        Self(None)
    }

    /// Waits for the share of one execution's reading.
    pub async fn report(&self) -> ReportShare {
        let permit = match &self.0 {
            Some(pools) => Some(acquire(&pools.reports, REPORT).await),
            None => None,
        };
        ReportShare { budget: self.clone(), _permit: permit }
    }
}

impl ReportShare {
    /// The most bytes that the answer with a first page may have.
    pub fn first_page(&self) -> u64 {
        if self.budget.0.is_some() { FIRST_PAGE } else { u64::MAX }
    }

    /// The most bytes of inputs, errors and causes that may be kept of one history.
    pub fn text(&self) -> u64 {
        if self.budget.0.is_some() { TEXT } else { u64::MAX }
    }

    /// Waits for the share of a history of `events` events, of which some had `bytes_per_event`
    /// bytes each in an answer.
    pub async fn history(&self, events: u64, bytes_per_event: u64) -> HistoryShare {
        let Some(pools) = &self.budget.0 else { return HistoryShare { page: u64::MAX, _permit: None } };
        let all = events.saturating_mul(EVENT);
        // Twice what the first page lets expect, since the older events may be larger.
        let expected = events.saturating_mul(bytes_per_event).saturating_mul(2);
        let most = pools.largest.saturating_sub(all).max(pools.largest / 2) / COPIES;
        let page = expected.clamp(FIRST_PAGE, PAGE.min(most).max(FIRST_PAGE));
        let share = (page * COPIES + all).min(pools.largest);
        HistoryShare { page, _permit: Some(acquire(&pools.histories, share).await) }
    }
}

impl HistoryShare {
    /// The most bytes that the answer with a page may have.
    pub fn page(&self) -> u64 {
        self.page
    }
}

fn permits(bytes: u64) -> u32 {
    u32::try_from(bytes / KIB).unwrap_or(u32::MAX)
}

async fn acquire(pool: &Arc<Semaphore>, bytes: u64) -> OwnedSemaphorePermit {
    pool.clone().acquire_many_owned(permits(bytes)).await.expect("the pools are never closed")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    /// Whether the share is there without a wait.
    async fn at_once<T>(share: impl Future<Output = T>) -> Option<T> {
        timeout(Duration::from_millis(1), share).await.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn as_many_reports_are_read_at_once_as_half_the_budget_holds() {
        let budget = MemoryBudget::new(256 * MIB);
        let mut shares = Vec::new();
        for _ in 0..32 {
            shares.push(at_once(budget.report()).await.expect("there is room"));
        }
        assert!(at_once(budget.report()).await.is_none());
        shares.pop();
        at_once(budget.report()).await.expect("one was released");
    }

    #[tokio::test(start_paused = true)]
    async fn a_history_takes_a_share_of_its_size_and_never_more_than_the_pool() {
        for bytes in [SMALLEST, 256 * MIB, 100_000 * MIB] {
            let budget = MemoryBudget::new(bytes);
            let report = budget.report().await;
            let largest =
                at_once(report.history(25_000, 256 * KIB)).await.expect("it is no larger than the pool");
            assert!((FIRST_PAGE..=PAGE).contains(&largest.page()), "{}", largest.page());
            drop(largest);
            let mut small = Vec::new();
            for _ in 0..8 {
                small.push(at_once(report.history(200, 500)).await.expect("small ones are small"));
            }
            assert!(small.iter().all(|share| share.page() == FIRST_PAGE));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_for_a_history_holds_up_none_that_is_being_read() {
        let budget = MemoryBudget::new(SMALLEST);
        // Eight reports fill their pool. Each wants the largest history, and all get it in turn.
        let reading = (0..100).map(|_| {
            let budget = budget.clone();
            tokio::spawn(async move {
                let report = budget.report().await;
                let history = report.history(25_000, 256 * KIB).await;
                tokio::time::sleep(Duration::from_secs(1)).await;
                drop(history);
                let again = report.history(25_000, 256 * KIB).await;
                tokio::time::sleep(Duration::from_secs(1)).await;
                drop(again);
            })
        });
        let all = futures_util::future::join_all(reading);
        let all = timeout(Duration::from_secs(300), all).await.expect("nobody waits for good");
        assert!(all.iter().all(Result::is_ok));
    }

    #[tokio::test]
    async fn without_a_limit_everything_is_kept() {
        let report = MemoryBudget::unlimited().report().await;
        assert_eq!((report.text(), report.first_page()), (u64::MAX, u64::MAX));
        assert_eq!(report.history(25_000, 256 * KIB).await.page(), u64::MAX);
    }
}
