//! Incidents for people and for programs: in lines, as JSON, and as CSV.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::store::{Episode, FailureRow, IncidentStore, StoreError, Tally};
use crate::report::value::harmless;

/// An episode with how many failures it has.
#[derive(Debug, Clone)]
pub struct ListedEpisode {
    /// The episode.
    pub episode: Episode,
    /// Its failures.
    pub tally: Tally,
}

impl ListedEpisode {
    /// All episodes of a store, the newest first; only those that are not resolved unless `resolved`.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn all(store: &dyn IncidentStore, resolved: bool) -> Result<Vec<Self>, StoreError> {
        let mut all = Vec::new();
        for episode in store.list(resolved).await? {
            let tally = store.tally(&episode.id).await?;
            all.push(Self { episode, tally });
        }
        Ok(all)
    }

    /// `orders at Charge: PaymentDeclined`
    fn what(&self) -> String {
        let about = &self.episode.about;
        let state = about.state.as_ref().map(|state| format!(" at {state}")).unwrap_or_default();
        let error = about.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
        harmless(&format!("{}{state}{error}", about.state_machine))
    }

    fn muted(&self, now: Timestamp) -> Option<String> {
        let mute = self.episode.mute.as_ref().filter(|mute| mute.holds(now, self.tally.count))?;
        let (by, why) = (harmless(&mute.by), harmless(&mute.reason));
        Some(format!("muted until {} by {by}: {why}", second(mute.until)))
    }

    fn json(&self) -> Value {
        let Episode { id, state, number, opened_at, resolved_at, mute, about, .. } = &self.episode;
        json!({
            "id": id.incident,
            "episode": id.episode,
            "state": state.name(),
            "count": self.tally.count,
            "read": self.tally.count.saturating_sub(self.tally.inferred),
            "unnamed": self.tally.unnamed,
            "first": opened_at,
            "last": self.tally.newest,
            "resolved_at": resolved_at,
            "notifications": number,
            "state_machine": about.state_machine,
            "failed_state": about.state,
            "error": about.error,
            "reason": about.reason,
            "mute": mute,
        })
    }
}

/// Episodes, one or two lines each.
pub fn lines(all: &[ListedEpisode], now: Timestamp) -> String {
    if all.is_empty() {
        return "no incidents\n".to_owned();
    }
    let mut text = String::new();
    for one in all {
        let Episode { id, state, .. } = &one.episode;
        let failures = if one.tally.count == 1 { "failure" } else { "failures" };
        let _infallible = writeln!(
            text,
            "{}  {:9}  {} {failures}, last {}  {}",
            id.incident,
            state.name(),
            one.tally.count,
            second(one.tally.newest),
            one.what()
        );
        if let Some(muted) = one.muted(now) {
            let _infallible = writeln!(text, "    {muted}");
        }
    }
    text
}

/// Episodes as a list of objects.
pub fn json(all: &[ListedEpisode]) -> Value {
    all.iter().map(ListedEpisode::json).collect()
}

/// Episodes, a row each.
pub fn csv(all: &[ListedEpisode]) -> String {
    let head = ["id", "episode", "state", "count", "first", "last", "state_machine", "failed_state", "error"];
    let rows = all.iter().map(|one| {
        let Episode { id, state, opened_at, about, .. } = &one.episode;
        [
            id.incident.clone(),
            id.episode.to_string(),
            state.name().to_owned(),
            one.tally.count.to_string(),
            opened_at.to_string(),
            one.tally.newest.to_string(),
            about.state_machine.clone(),
            about.state.clone().unwrap_or_default(),
            about.error.clone().unwrap_or_default(),
        ]
    });
    written(head.map(str::to_owned).to_vec(), rows.map(Vec::from))
}

/// One episode with every execution in it.
pub fn episode_text(one: &ListedEpisode, failures: &[FailureRow], now: Timestamp) -> String {
    let Episode { id, state, opened_at, resolved_at, sent, routes, about, pending, .. } = &one.episode;
    let mut text = format!("{}\n", one.what());
    let mut line = |name: &str, value: String| {
        let _infallible = writeln!(text, "  {name:14}{value}");
    };
    let resolved = resolved_at.map(|at| format!(" at {}", second(at))).unwrap_or_default();
    line("incident", format!("{}, episode {}", id.incident, id.episode));
    line("state", format!("{}{resolved}", state.name()));
    line("why together", harmless(&about.reason));
    let Tally { count, inferred, unnamed, .. } = one.tally;
    let unread = if inferred > 0 { format!(", {inferred} of them not read") } else { String::new() };
    line("failures", format!("{count}, {unnamed} of them not named yet{unread}"));
    line("first, last", format!("{}, {}", second(*opened_at), second(one.tally.newest)));
    if let Some(muted) = one.muted(now) {
        line("mute", muted);
    }
    for sent in sent {
        let what = format!("{} of {} failures at {}", sent.kind.name(), sent.count, second(sent.at));
        line(&format!("sent {}", sent.number), what);
    }
    if let Some(pending) = pending {
        let lacking = routes.iter().filter(|(_, progress)| progress.number < pending.number);
        let lacking: Vec<&str> = lacking.map(|(name, _)| name.as_str()).collect();
        line(
            "being sent",
            format!("{} {}, not yet to {}", pending.kind.name(), pending.number, lacking.join(", ")),
        );
    }
    text.push('\n');
    for failure in failures {
        let keys = failure.keys.iter().map(|(key, value)| format!("  {}={}", harmless(key), harmless(value)));
        let named =
            failure.number.map_or_else(|| "not named".to_owned(), |number| format!("named in {number}"));
        let _infallible = writeln!(
            text,
            "{}  {:6}  {named:11}  {}{}",
            second(failure.ended_at.unwrap_or(failure.recorded_at)),
            failure.role.name(),
            harmless(&failure.execution_arn),
            keys.collect::<String>()
        );
    }
    text
}

/// One episode with every execution in it, as an object.
pub fn episode_json(one: &ListedEpisode, failures: &[FailureRow]) -> Value {
    let executions = failures.iter().map(|failure| {
        json!({
            "execution_arn": failure.execution_arn,
            "name": name(&failure.execution_arn),
            "ended_at": failure.ended_at,
            "recorded_at": failure.recorded_at,
            "role": failure.role,
            "keys": failure.keys,
            "notification": failure.number,
            "routes": failure.routes,
        })
    });
    let mut object = one.json();
    object["sent"] = json!(one.episode.sent);
    object["executions"] = executions.collect();
    object
}

/// The executions of an episode, a row each, with a column for each key.
pub fn episode_csv(failures: &[FailureRow]) -> String {
    let keys: BTreeSet<&String> = failures.iter().flat_map(|failure| failure.keys.keys()).collect();
    let fixed = ["execution_arn", "name", "role", "ended_at", "recorded_at", "notification"];
    let head = fixed.into_iter().map(str::to_owned).chain(keys.iter().map(|key| (*key).clone()));
    let rows = failures.iter().map(|failure| {
        let fixed = [
            failure.execution_arn.clone(),
            name(&failure.execution_arn).to_owned(),
            failure.role.name().to_owned(),
            failure.ended_at.map(|at| at.to_string()).unwrap_or_default(),
            failure.recorded_at.to_string(),
            failure.number.map(|number| number.to_string()).unwrap_or_default(),
        ];
        let values = keys.iter().map(|key| failure.keys.get(*key).cloned().unwrap_or_default());
        fixed.into_iter().chain(values).collect()
    });
    written(head.collect(), rows)
}

fn written(head: Vec<String>, rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut csv = csv::Writer::from_writer(Vec::new());
    for row in std::iter::once(head).chain(rows) {
        // A cell that begins so is run as a formula by the programs that people open this with.
        let cells = row.into_iter().map(|cell| match cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
            true => format!("'{cell}"),
            false => cell,
        });
        csv.write_record(cells).expect("memory takes every record, and all have the same length");
    }
    String::from_utf8_lossy(&csv.into_inner().expect("memory is always flushed")).into_owned()
}

fn name(arn: &str) -> &str {
    arn.rsplit(':').next().unwrap_or_default()
}

fn second(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}
