//! What the worker counts and measures, for Prometheus.
//!
//! One [`Metrics`] value is shared by everything that counts; there is nothing global. Each metric
//! is declared once, in [`Metrics::new`], with its name, its help and its labels: the text that is
//! scraped and `docs/metrics.md` both come from there. A label's values are either listed, and then
//! anything else is counted as `other`, or they are names from the configuration or from the code:
//! nothing that a message holds ever becomes a label.

mod document;
mod exposition;
mod label;
mod table;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tokio::time::Instant;
use tracing::{Instrument as _, Span};

use crate::telemetry::millis;
pub use exposition::ExpositionFormat;
use label::{
    BREAKER, DEAD_LETTER_REASON, DEGRADED, FULL, INCIDENT_KIND, MESSAGE_STATE, MESSAGE_STATES, NO_REASON,
    NOTIFICATION_RESULT, OPERATION, OUTCOME, OUTCOMES, REPORT_KIND, REPORT_REASON, RESULT, RETRIED_OPERATION,
    RETRY_REASON, ROUTE, SERVICE, STAGE, VERSION,
};
pub use label::{CallResult, DegradedBy, RetriedOperation, RetryReason, SendResult, Service, Stage};
use table::{Counters, FloatGauge, Gauges, Histograms, MetricRow, MetricTable, OptionalGauge};

/// From ten milliseconds to an hour: work on a message may stay in hand while a breaker is open.
const DURATIONS: [f64; 14] =
    [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3_600.0];

/// From half a second to a day: a message may have waited on the queue for long.
const DELAYS: [f64; 13] =
    [0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3_600.0, 14_400.0, 86_400.0];

/// Everything that is counted and measured; clones count into the same.
#[derive(Clone)]
pub struct Metrics(Arc<Families>);

struct Families {
    registry: Registry,
    rows: Vec<MetricRow>,
    messages: Counters<1>,
    message_duration: Histogram,
    stage_duration: Histograms<1>,
    failure_to_notification: Histogram,
    in_hand: FloatGauge,
    lease_renewals: Counter,
    leases_lost: Counter,
    retries: Counters<2>,
    aws_calls: Counters<3>,
    reports: Counters<2>,
    notifications: Counters<2>,
    breaker_open: Gauges<1>,
    regions_open: FloatGauge,
    duplicates: Counter,
    dead_letters: Counters<1>,
    backlog: Gauges<1>,
    dead_letter_queue: OptionalGauge,
    panics: Counter,
    last_poll: OptionalGauge,
    incidents: Counters<1>,
    incident_store_away: FloatGauge,
    inferred: Counter,
    moved: Counter,
    sweep_found_missing: Counter,
    sweep_complete_through: OptionalGauge,
    log_lines_dropped: Counter,
}

impl Metrics {
    /// All metrics, at zero.
    pub fn new() -> Self {
        let mut table = MetricTable::default();
        let build =
            table.gauges("misstep_build_info", "Always 1; the version of misstep is the label", [VERSION]);
        build.with([env!("CARGO_PKG_VERSION")]).set(1.0);
        Self(Arc::new(Families {
            messages: table.counters(
                "misstep_messages_total",
                "Messages by outcome; a panic counts in addition to the outcome that follows",
                [OUTCOME],
            ),
            message_duration: table.histogram(
                "misstep_message_duration_seconds",
                "From the receipt of a message to its settling",
                &DURATIONS,
            ),
            stage_duration: table.histograms(
                "misstep_stage_duration_seconds",
                "Time that a message spent in a stage, waits and retries included",
                [STAGE],
                || Histogram::new(DURATIONS),
            ),
            failure_to_notification: table.histogram(
                "misstep_failure_to_notification_seconds",
                "From the end of a failed execution to the answer of the last required route",
                &DELAYS,
            ),
            in_hand: table.gauge("misstep_messages_in_flight", "Messages that this worker has received and not settled"),
            lease_renewals: table.counter("misstep_lease_renewals_total", "Renewals of leases that SQS confirmed"),
            leases_lost: table.counter("misstep_leases_lost_total", "Leases that ended before their message was settled"),
            retries: table.counters("misstep_retries_total", "Retried attempts by reason", [RETRIED_OPERATION, RETRY_REASON]),
            aws_calls: table.counters(
                "misstep_aws_calls_total",
                "Calls to AWS by result; each attempt counts",
                [SERVICE, OPERATION, RESULT],
            ),
            reports: reports(&mut table),
            notifications: table.counters(
                "misstep_notifications_total",
                "Attempts at a notification by result",
                [ROUTE, NOTIFICATION_RESULT],
            ),
            breaker_open: table.gauges("misstep_breaker_open", "1 while a breaker is open, and no messages are received", [BREAKER]),
            regions_open: table.gauge(
                "misstep_step_functions_regions_open",
                "Accounts and regions whose breaker is open: no history is read there",
            ),
            duplicates: table.counter("misstep_duplicates_total", "Repeated deliveries of a failure that every route was already notified of"),
            dead_letters: table.counters(
                "misstep_dead_letters_total",
                "Messages that the worker sent to the dead-letter queue, by reason",
                [DEAD_LETTER_REASON],
            ),
            backlog: table.gauges(
                "misstep_backlog_messages",
                "Messages on the queue as SQS counts them, read every 30 seconds; absent when the last reading failed",
                [MESSAGE_STATE],
            ),
            dead_letter_queue: table.reading(
                "misstep_dead_letter_queue_messages",
                "Messages on the dead-letter queue in any state, read every 30 seconds; absent when the last reading failed and where there is no such queue",
            ),
            panics: table.counter("misstep_panics_total", "Messages whose processing panicked, a defect of misstep"),
            last_poll: table.reading(
                "misstep_last_poll_timestamp_seconds",
                "Unix time of the last poll that SQS answered; absent before the first",
            ),
            incidents: table.counters(
                "misstep_incident_notifications_total",
                "Notifications of incidents that a required route accepted, by kind; each part of a long one is counted in misstep_notifications_total",
                [INCIDENT_KIND],
            ),
            incident_store_away: table.gauge(
                "misstep_incident_store_away",
                "1 while the incident store does not answer; failures wait in hand for ten minutes, then they are delivered by themselves",
            ),
            inferred: table.counter(
                "misstep_failures_inferred_total",
                "Failures that were put into an incident by their events alone, and whose histories are read later",
            ),
            moved: table.counter(
                "misstep_failures_moved_total",
                "Inferred failures whose history said otherwise, and that were moved to their own incident",
            ),
            sweep_found_missing: table.counter(
                "misstep_sweep_found_missing_total",
                "Failures whose events never arrived, and which the sweep put into the queue",
            ),
            sweep_complete_through: table.reading(
                "misstep_sweep_complete_through_timestamp_seconds",
                "Unix time: failures that ended earlier are all recorded, or were put into the queue; absent before the first sweep is complete",
            ),
            log_lines_dropped: table.counter(
                "misstep_log_lines_dropped_total",
                "Log lines that were dropped because standard error was too slow",
            ),
            rows: table.rows,
            registry: table.registry,
        }))
    }

    /// A message is finished: `outcome` as the log names it, `took` since its receipt.
    pub fn message(&self, outcome: &'static str, took: Duration) {
        self.0.messages.with([outcome]).inc();
        self.0.message_duration.observe(took.as_secs_f64());
    }

    /// A required route accepted a notification of an incident.
    pub fn incident(&self, kind: &'static str) {
        self.0.incidents.with([kind]).inc();
    }

    /// Whether the incident store does not answer.
    pub fn incident_store_away(&self, is_away: bool) {
        self.0.incident_store_away.set(f64::from(u8::from(is_away)));
    }

    /// A failure was put into an incident by its event alone.
    pub fn inferred(&self) {
        self.0.inferred.inc();
    }

    /// An inferred failure was moved to its own incident.
    pub fn moved(&self) {
        self.0.moved.inc();
    }

    /// The sweep has put so many failures into the queue.
    pub fn sweep_found_missing(&self, failures: usize) {
        self.0.sweep_found_missing.inc_by(u64::try_from(failures).unwrap_or(u64::MAX));
    }

    /// Until when the sweep is complete.
    pub fn sweep_complete_through(&self, time: Option<Timestamp>) {
        self.0.sweep_complete_through.set(time.map(|time| time.as_millisecond() as f64 / 1_000.0));
    }

    /// Work on a message panicked; what becomes of the message is counted by itself.
    pub fn panicked(&self) {
        self.0.messages.with(["panicked"]).inc();
        self.0.panics.inc();
    }

    /// The messages so far, for the log.
    pub fn messages(&self) -> Messages<'_> {
        Messages(&self.0.messages)
    }

    /// Does a stage's work on the message whose span is the current one: in a span of its own, its
    /// duration measured and recorded in the message's span.
    pub async fn timed<T>(&self, stage: Stage, work: impl Future<Output = T>) -> T {
        let message = Span::current();
        let began = Instant::now();
        let result = work.instrument(stage.span()).await;
        let took = began.elapsed();
        message.record(stage.field(), millis(took));
        self.stage(stage, took);
        result
    }

    /// A message spent so long in a stage.
    pub fn stage(&self, stage: Stage, took: Duration) {
        self.0.stage_duration.with([stage.name()]).observe(took.as_secs_f64());
    }

    /// Every required route was just notified of a failure; the execution ended at
    /// `stopped_at`. The clocks of AWS and of the worker may differ a little.
    pub fn failure_to_notification(&self, stopped_at: Timestamp) {
        let took = Timestamp::now().duration_since(stopped_at);
        self.0.failure_to_notification.observe(took.as_secs_f64().max(0.0));
    }

    /// So many messages are in hand.
    pub fn in_hand(&self, count: usize) {
        self.0.in_hand.set(count as f64);
    }

    /// SQS confirmed the renewal of a lease.
    pub fn lease_renewed(&self) {
        self.0.lease_renewals.inc();
    }

    /// A lease was lost.
    pub fn lease_lost(&self) {
        self.0.leases_lost.inc();
    }

    /// How many renewals SQS confirmed, and how many leases were lost.
    pub fn renewed_and_lost(&self) -> (u64, u64) {
        (self.0.lease_renewals.get(), self.0.leases_lost.get())
    }

    /// Something is tried again.
    pub fn retry(&self, what: RetriedOperation, why: RetryReason) {
        self.0.retries.with([what.name(), why.name()]).inc();
    }

    /// AWS was called. `operation` is the API's name for the call.
    pub fn aws_call(&self, service: Service, operation: &'static str, result: CallResult) {
        self.0.aws_calls.with([service.name(), operation, result.name()]).inc();
    }

    /// A report on a failure was made. `degraded` is why it was made from the event alone; `None` if the
    /// history was read.
    pub fn report(&self, degraded: Option<DegradedBy>) {
        let (kind, reason) = degraded.map_or((FULL, NO_REASON), |reason| (DEGRADED, reason.name()));
        self.0.reports.with([kind, reason]).inc();
    }

    /// An attempt at a notification. `route` is its name in the configuration.
    pub fn notification(&self, route: &str, result: SendResult) {
        self.0.notifications.with([route, result.name()]).inc();
    }

    /// A breaker opened or closed. `breaker` is `step-functions` or a route's name.
    pub fn breaker(&self, breaker: &str, is_open: bool) {
        self.0.breaker_open.with([breaker]).set(f64::from(u8::from(is_open)));
    }

    /// In how many accounts and regions the breaker of Step Functions is open.
    pub fn regions_open(&self, count: usize) {
        self.0.regions_open.set(count as f64);
    }

    /// A failure was delivered again after every route had been notified.
    pub fn duplicate(&self) {
        self.0.duplicates.inc();
    }

    /// The dead-letter queue accepted a message. `reason` is the value of its attribute.
    pub fn dead_letter(&self, reason: &'static str) {
        self.0.dead_letters.with([reason]).inc();
    }

    /// How many messages of the queue are visible, in flight and delayed; `None` where that could not be
    /// read.
    pub fn backlog(&self, counts: Option<[u64; 3]>) {
        for (index, state) in MESSAGE_STATES.iter().enumerate() {
            self.0.backlog.set([state], counts.map(|counts| counts[index] as f64));
        }
    }

    /// How many messages the dead-letter queue holds, in any state; `None` where that could not be read.
    pub fn dead_letter_queue(&self, count: Option<u64>) {
        self.0.dead_letter_queue.set(count.map(|count| count as f64));
    }

    /// SQS has just answered a poll.
    pub fn polled(&self) {
        let now = Timestamp::now().as_millisecond() as f64 / 1_000.0;
        self.0.last_poll.set(Some(now));
    }

    /// So many more lines of the log were dropped.
    pub fn log_lines_dropped(&self, lines: u64) {
        self.0.log_lines_dropped.inc_by(lines);
    }

    /// Everything as text.
    pub fn text(&self, format: ExpositionFormat) -> String {
        exposition::text(&self.0.registry, format)
    }

    /// `docs/metrics.md`.
    pub fn document() -> String {
        document::document(&Self::new().0.rows)
    }
}

/// The reports, each series at zero from the start: an alert on the first one needs the value before.
fn reports(table: &mut MetricTable) -> Counters<2> {
    let reports = table.counters(
        "misstep_reports_total",
        "Reports on failures; a degraded report is made from the event alone, and the label reason says why",
        [REPORT_KIND, REPORT_REASON],
    );
    let _from_now_on = reports.with([FULL, NO_REASON]).get();
    for reason in DegradedBy::NAMES {
        let _from_now_on = reports.with([DEGRADED, reason]).get();
    }
    reports
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// What became of the messages so far: `notified 7, released 2`.
pub struct Messages<'a>(&'a Counters<1>);

impl fmt::Display for Messages<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut counts: Vec<_> = OUTCOMES.iter().map(|name| (*name, self.0.with([*name]).get())).collect();
        counts.retain(|(_, count)| *count > 0);
        counts.sort_unstable();
        if counts.is_empty() {
            return f.write_str("none");
        }
        for (index, (name, count)) in counts.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{name} {count}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
