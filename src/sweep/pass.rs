//! One pass after the other: finds what is missing, and puts it into the queue.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::event::EventQueue;
use super::search::{MissingFailure, Search, SearchedPage, SweepError};
use super::state::{self, PassState, SweepLease, SweepState};
use super::{Period, SweepSettings};
use crate::aws::error::ErrorClass;
use crate::failpoint::{Point, reach};
use crate::history::{ListedExecution, Status};
use crate::incidents::Clock;
use crate::incidents::store::IncidentStore;
use crate::metrics::Metrics;
use crate::queue::{MOST_ENTRIES, Queue};
use crate::telemetry::chain;

/// How often a worker looks whether a pass is due, where passes are not more frequent.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// While more messages than these wait on the queue, no failure is looked for: their events have arrived, and each
/// would be put there once more.
pub const BACKLOG: u64 = 100;

/// No pass looks back further, however long none was complete: SQS keeps no message longer.
const LONGEST_BACK: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// The largest input that an event gets: ten events have to fit into one call.
const LARGEST_INPUT: usize = 16 * 1_024;

/// What came of a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swept {
    /// No pass is due, another worker is at it, or the queue has a backlog.
    Nothing,
    /// A pass is over.
    Complete,
    /// It is not over; the next look goes on.
    Unfinished,
}

/// What came of putting failures into the queue: how many were sent, and why not all.
struct PutFailures {
    sent: Vec<MissingFailure>,
    error: Option<SweepError>,
}

/// The sweep of one worker, or of a command.
#[derive(Clone)]
pub struct Sweep {
    search: Search,
    store: Arc<dyn IncidentStore>,
    events: Arc<dyn EventQueue>,
    settings: SweepSettings,
    clock: Clock,
}

impl Sweep {
    /// A sweep that searches as `search` says, and compares with `store`.
    pub fn new(
        search: Search,
        store: Arc<dyn IncidentStore>,
        events: Arc<dyn EventQueue>,
        settings: SweepSettings,
        clock: Clock,
    ) -> Self {
        let search = Search { store: Some(store.clone()), ..search };
        Self { search, store, events, settings, clock }
    }

    /// Sweeps whenever a pass is due, until `stop`.
    pub async fn keep(&self, queue: &dyn Queue, metrics: &Metrics, stop: &CancellationToken) {
        let Some(every) = self.settings.every else { return };
        let look_every = every.min(LOOK_EVERY);
        let mut pause = look_every;
        while !stop.is_cancelled() {
            // Not all workers at the same moment.
            let jittered = pause.mul_f64(0.75 + fastrand::f64() / 2.0);
            drop(tokio::time::timeout(jittered, stop.cancelled()).await);
            pause = look_every;
            let waiting = queue.counts().await.map(|counts| counts.visible);
            match waiting {
                Ok(0..=BACKLOG) => {}
                Ok(waiting) => {
                    debug!(waiting, "the queue has a backlog; no missed failure is looked for");
                    continue;
                }
                Err(error) => {
                    debug!(error = chain(&error), "no missed failure is looked for");
                    continue;
                }
            }
            if let Err(error) = self.look(metrics, stop).await {
                let is_denied = matches!(&error, SweepError::Read(error) if !error.class().is_passing());
                // Somebody has to allow it first.
                pause = if is_denied { every } else { look_every };
                warn!(
                    error = chain(&error),
                    "missed failures could not all be looked for; it is tried again"
                );
            }
        }
    }

    /// Takes the next steps of a pass, if one is due and nobody else is at it.
    ///
    /// # Errors
    /// When something did not answer. The next look goes on from there.
    pub async fn look(&self, metrics: &Metrics, stop: &CancellationToken) -> Result<Swept, SweepError> {
        let begin = |state: &SweepState, now| self.next_pass(state, now);
        let taken = SweepLease::take(self.store.clone(), self.clock.clone(), begin).await?;
        let mut lease = match taken {
            Ok(lease) => lease,
            Err(state) => {
                metrics.sweep_complete_through(state.complete_through);
                return Ok(Swept::Nothing);
            }
        };
        reach(Point::SweepClaimed).await;
        let swept = self.pass(&mut lease, metrics, stop).await;
        metrics.sweep_complete_through(lease.state.complete_through);
        if !matches!(swept, Ok(Swept::Complete)) {
            // Where this fails, too, the lease ends by itself.
            drop(lease.release().await);
        }
        swept
    }

    fn next_pass(&self, state: &SweepState, now: Timestamp) -> PassState {
        let first = Period::before(now, self.settings.look_back, &self.settings);
        let since = state.complete_through.map_or(first.since, state::overlapping);
        // What is older has been deleted from any queue, too.
        let since = since.max(now.checked_sub(LONGEST_BACK).unwrap_or(Timestamp::MIN));
        PassState { period: Period { since, ..first }, after: None, found: 0, has_gaps: false }
    }

    async fn pass(
        &self,
        lease: &mut SweepLease,
        metrics: &Metrics,
        stop: &CancellationToken,
    ) -> Result<Swept, SweepError> {
        let Some(PassState { after, .. }) = lease.state.pass.clone() else { return Ok(Swept::Nothing) };
        let all = lease.hold(self.search.state_machines()).await?;
        let left = all.into_iter().filter(|machine| after.as_ref().is_none_or(|after| machine > after));
        for machine in left {
            if stop.is_cancelled() {
                return Ok(Swept::Unfinished);
            }
            let has_gap = match self.machine(lease, &machine, metrics).await {
                Ok(true) => false,
                Ok(false) => return Ok(Swept::Unfinished),
                Err(SweepError::Read(error)) if !error.class().is_passing() => {
                    let is_gone = matches!(error.class(), ErrorClass::Gone | ErrorClass::Unsupported);
                    if !is_gone {
                        warn!(
                            state_machine = machine,
                            error = chain(&error),
                            "its executions cannot be listed; allow states:ListExecutions, or failures of it whose events are lost are missed"
                        );
                    }
                    !is_gone
                }
                Err(error) => return Err(error),
            };
            let done_with = |state: &mut SweepState| {
                if let Some(pass) = &mut state.pass {
                    pass.has_gaps |= has_gap;
                    pass.after = Some(machine.clone());
                }
            };
            if !lease.change(done_with).await? {
                return Ok(Swept::Unfinished);
            }
        }
        let PassState { period, found, has_gaps, .. } = lease.state.pass.clone().expect("it is under way");
        if !lease.complete(self.settings.every.unwrap_or_default()).await? {
            return Ok(Swept::Unfinished);
        }
        reach(Point::SweepCompleted).await;
        let Period { since, until } = period;
        info!(found, %since, %until, has_gaps, "looked for failures whose events never arrived");
        Ok(Swept::Complete)
    }

    /// Searches one state machine. `false` if the lease was lost.
    async fn machine(
        &self,
        lease: &mut SweepLease,
        machine: &str,
        metrics: &Metrics,
    ) -> Result<bool, SweepError> {
        let period = lease.state.pass.as_ref().expect("it is under way").period;
        let mut search = self.search.of(machine, period, self.oldest(period));
        while let Some(SearchedPage { missing, .. }) = lease.hold(search.next()).await? {
            reach(Point::SweepListed).await;
            let new: Vec<MissingFailure> =
                missing.into_iter().filter(|missing| !lease.state.has_put(missing)).collect();
            let PutFailures { sent, error } = lease.hold(self.put(&new)).await;
            if !sent.is_empty() {
                info!(
                    state_machine = machine,
                    failures = sent.len(),
                    "failures whose events never arrived were put into the queue"
                );
                metrics.sweep_found_missing(sent.len());
            }
            let noted = |state: &mut SweepState| {
                state.remember(&sent);
                if let Some(pass) = &mut state.pass {
                    pass.found += u64::try_from(sent.len()).unwrap_or(u64::MAX);
                }
            };
            if !lease.change(noted).await? {
                return Ok(false);
            }
            reach(Point::SweepNoted).await;
            if let Some(error) = error {
                return Err(error);
            }
        }
        Ok(true)
    }

    /// What is older was given up, or is known. A failure before a redrive may have ended before the period.
    fn oldest(&self, period: Period) -> Timestamp {
        let back = period.until.checked_sub(self.settings.look_back).unwrap_or(Timestamp::MIN);
        back.min(period.since)
    }

    /// Puts these failures into the queue and notes that, for a command.
    ///
    /// # Errors
    /// When the queue or the store does not answer; some may have been sent.
    pub async fn put_and_note(&self, missing: &[MissingFailure]) -> Result<usize, SweepError> {
        let (_, state) = state::read(&*self.store).await?;
        let new: Vec<MissingFailure> =
            missing.iter().filter(|missing| !state.has_put(missing)).cloned().collect();
        let PutFailures { sent, error } = self.put(&new).await;
        state::change(&*self.store, |state| state.remember(&sent)).await?;
        error.map_or(Ok(sent.len()), Err)
    }

    /// The input of an execution that was aborted, which names the one that took it with it.
    async fn input(&self, missing: &MissingFailure) -> Option<String> {
        let ListedExecution { execution, status, .. } = &missing.failure;
        if *status != Status::Aborted {
            return None;
        }
        let described = self.search.reader.describe_execution(execution).await.ok()?;
        described.input.filter(|input| input.len() <= LARGEST_INPUT)
    }

    async fn put(&self, missing: &[MissingFailure]) -> PutFailures {
        let mut put = PutFailures { sent: Vec::new(), error: None };
        for batch in missing.chunks(MOST_ENTRIES) {
            let mut events = Vec::new();
            for missing in batch {
                events.push(missing.event(self.input(missing).await));
            }
            let results = match self.events.put(&events).await {
                Ok(results) => results,
                Err(error) => {
                    put.error = Some(error.into());
                    return put;
                }
            };
            for (missing, result) in batch.iter().zip(results) {
                match result {
                    Ok(()) => put.sent.push(missing.clone()),
                    Err(error) => put.error = Some(SweepError::Refused(error)),
                }
            }
            reach(Point::SweepPut).await;
            if put.error.is_some() {
                return put;
            }
        }
        put
    }
}
