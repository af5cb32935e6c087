//! Every text and every list of a report, each with its path, what it is, and when it may be cut.
//!
//! Each struct is destructured completely, so that a new field does not compile until it is listed here.

use super::incident::{IncidentNote, NewExecution};
use super::{EventDetails, EventInfo, Explanation, Links, Redrive, Report};
use crate::analysis::answer::{
    AlsoFailed, Busy, FailedAttempt, FailedState, Failure, Hop, InFlight, ProbableCause, RootCause, Step,
};
use crate::analysis::cause::ParsedCause;
use crate::analysis::resources::Resource;
use crate::history::StateType;
use crate::investigation::Unread;
use crate::logs::{LogLine, Logs};
use crate::redact::{Role, Texts};

/// A text of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Its path in the report's JSON, with `[]` for every element of a list.
    pub path: &'static str,
    /// What it is, for redaction.
    pub role: Role,
    /// When it may be cut.
    pub rank: Rank,
}

/// When a text may be cut, the first to go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// An input.
    Input,
    /// A cause or a stack trace beside the answer.
    Detail,
    /// A part of the answer.
    Answer,
    /// Bounded by AWS: it is long only in a hostile message.
    Bounded,
    /// Identifies the failure, or links to it: useless when cut.
    Identity,
    /// Never.
    Kept,
}

/// A list of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListField {
    /// Its path in the report's JSON.
    pub path: &'static str,
    /// How it may be cut.
    pub cut: Cut,
}

/// How a list may be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// It loses its first entries, right after the inputs.
    Oldest,
    /// It loses its last entries, when cutting texts is not enough: the lists in this order.
    Last(u8),
    /// Not at all.
    Never,
}

/// Is shown every text and every list.
pub trait Visitor {
    /// A text.
    fn text(&mut self, field: Field, text: &mut String);

    /// A list, before what is in it.
    fn list(&mut self, _field: ListField, _list: &mut dyn Shorten) {}
}

/// A list, whatever it holds.
pub trait Shorten {
    /// How many entries it has.
    fn length(&self) -> usize;
    /// Drops its first entries.
    fn drop_first(&mut self, count: usize);
    /// Drops all entries but the first so many.
    fn keep_first(&mut self, count: usize);
}

impl<T> Shorten for Vec<T> {
    fn length(&self) -> usize {
        self.len()
    }

    fn drop_first(&mut self, count: usize) {
        self.drain(..count);
    }

    fn keep_first(&mut self, count: usize) {
        self.truncate(count);
    }
}

/// The list that always keeps the failed state's entry.
pub const STEPS: ListField = ListField { path: "event_details.steps", cut: Cut::Last(3) };

impl Report {
    /// Shows `visitor` every text and every list, in the order of the report's JSON. The timeline is not
    /// part of that.
    pub fn visit(&mut self, visitor: &mut dyn Visitor) {
        let Self { event_info, event_details, analysis, timeline: _, bug: _ } = self;
        let mut walk = Walk(visitor);
        walk.event_info(event_info);
        walk.event_details(event_details);
        walk.analysis(analysis);
    }
}

impl Texts for Report {
    fn texts(&mut self, visit: &mut dyn FnMut(Role, &mut String)) {
        self.visit(&mut Roles(visit));
    }
}

impl Texts for Logs {
    fn texts(&mut self, visit: &mut dyn FnMut(Role, &mut String)) {
        Walk(&mut Roles(visit)).logs(self);
    }
}

struct Roles<'v>(&'v mut dyn FnMut(Role, &mut String));

impl Visitor for Roles<'_> {
    fn text(&mut self, field: Field, text: &mut String) {
        (self.0)(field.role, text);
    }
}

struct Walk<'v>(&'v mut dyn Visitor);

impl Walk<'_> {
    fn show(&mut self, path: &'static str, role: Role, rank: Rank, text: &mut String) {
        self.0.text(Field { path, role, rank }, text);
    }

    fn name<'t>(&mut self, path: &'static str, rank: Rank, text: impl IntoIterator<Item = &'t mut String>) {
        text.into_iter().for_each(|text| self.show(path, Role::Name, rank, text));
    }

    fn json(&mut self, path: &'static str, text: &mut Option<String>) {
        text.iter_mut().for_each(|text| self.show(path, Role::Json, Rank::Input, text));
    }

    fn text<'t>(&mut self, path: &'static str, rank: Rank, text: impl IntoIterator<Item = &'t mut String>) {
        text.into_iter().for_each(|text| self.show(path, Role::Text, rank, text));
    }

    fn list(&mut self, path: &'static str, cut: Cut, list: &mut dyn Shorten) {
        self.0.list(ListField { path, cut }, list);
    }

    fn event_info(&mut self, info: &mut EventInfo) {
        let EventInfo { execution_arn, state_machine_arn, execution_name, env } = info;
        self.name("event_info.execution_arn", Rank::Identity, execution_arn);
        self.name("event_info.state_machine_arn", Rank::Identity, state_machine_arn);
        self.name("event_info.execution_name", Rank::Identity, execution_name);
        self.name("event_info.env", Rank::Identity, [env]);
    }

    fn event_details(&mut self, details: &mut EventDetails) {
        let EventDetails { payload, steps } = details;
        self.json("event_details.payload", payload);
        self.list(STEPS.path, STEPS.cut, steps);
        for Step { name, initial_input, latest_error: Failure { error, cause } } in steps {
            self.name("event_details.steps[].name", Rank::Identity, [name]);
            self.json("event_details.steps[].initial_input", initial_input);
            self.text("event_details.steps[].latest_error.error", Rank::Bounded, error);
            self.text("event_details.steps[].latest_error.cause", Rank::Answer, cause);
        }
    }

    fn analysis(&mut self, analysis: &mut Explanation) {
        let Explanation {
            schema: _,
            application,
            status: _,
            redriven: _,
            redrive,
            started_at,
            ended_at,
            error,
            cause,
            failed_state,
            root_cause,
            probable_cause,
            time_limit: _,
            resources,
            logs,
            in_flight,
            also_failed,
            parsed_cause,
            parsed_root_cause,
            reading: _,
            degraded,
            truncated,
            links: Links { console },
            busiest_states,
            since,
            unread,
            notes,
            fingerprint,
            redacted: _,
            incident,
        } = analysis;
        self.text("analysis.application", Rank::Bounded, application);
        if let Some(Redrive { possible: _, reason }) = redrive {
            self.text("analysis.redrive.reason", Rank::Bounded, reason);
        }
        self.name("analysis.started_at", Rank::Bounded, started_at);
        self.name("analysis.ended_at", Rank::Bounded, ended_at);
        self.text("analysis.error", Rank::Bounded, error);
        self.text("analysis.cause", Rank::Detail, cause);
        failed_state.iter_mut().for_each(|failed| self.failed_state(failed));
        root_cause.iter_mut().for_each(|root| self.root_cause(root));
        probable_cause.iter_mut().for_each(|probable| self.probable_cause(probable));
        self.list("analysis.resources", Cut::Last(6), resources);
        resources.iter_mut().for_each(|resource| self.resource(resource));
        logs.iter_mut().for_each(|logs| self.logs(logs));
        self.list("analysis.in_flight", Cut::Last(1), in_flight);
        in_flight.iter_mut().for_each(|state| self.in_flight(state));
        self.list("analysis.also_failed", Cut::Last(0), also_failed);
        for AlsoFailed { name, path, error, cause, outcome: _ } in also_failed {
            self.name("analysis.also_failed[].name", Rank::Bounded, [name]);
            self.list("analysis.also_failed[].path", Cut::Never, path);
            self.name("analysis.also_failed[].path[]", Rank::Bounded, path);
            self.text("analysis.also_failed[].error", Rank::Bounded, error);
            self.text("analysis.also_failed[].cause", Rank::Detail, cause);
        }
        let parsed = [
            "analysis.parsed_cause.message",
            "analysis.parsed_cause.error_type",
            "analysis.parsed_cause.stack",
        ];
        parsed_cause.iter_mut().for_each(|cause| self.parsed(parsed, cause));
        let parsed = [
            "analysis.parsed_root_cause.message",
            "analysis.parsed_root_cause.error_type",
            "analysis.parsed_root_cause.stack",
        ];
        parsed_root_cause.iter_mut().for_each(|cause| self.parsed(parsed, cause));
        self.text("analysis.degraded", Rank::Bounded, degraded);
        self.list("analysis.truncated", Cut::Never, truncated);
        self.name("analysis.truncated[]", Rank::Kept, truncated);
        self.name("analysis.links.console", Rank::Identity, console);
        self.list("analysis.busiest_states", Cut::Last(7), busiest_states);
        for Busy { name, entered: _ } in busiest_states {
            self.name("analysis.busiest_states[].name", Rank::Bounded, [name]);
        }
        self.text("analysis.since", Rank::Bounded, since);
        self.list("analysis.unread", Cut::Last(8), unread);
        for Unread { arn, why } in unread {
            self.name("analysis.unread[].arn", Rank::Bounded, [arn]);
            self.text("analysis.unread[].why", Rank::Bounded, [why]);
        }
        self.list("analysis.notes", Cut::Last(9), notes);
        self.text("analysis.notes[]", Rank::Bounded, notes);
        self.name("analysis.fingerprint", Rank::Identity, fingerprint);
        incident.iter_mut().for_each(|incident| self.incident(incident));
    }

    fn incident(&mut self, incident: &mut IncidentNote) {
        let IncidentNote {
            id,
            episode: _,
            number: _,
            kind: _,
            count: _,
            read: _,
            since,
            as_of,
            reason,
            reopened: _,
            succeeded_since: _,
            resolved_by,
            new_executions,
            part: _,
            parts: _,
        } = incident;
        self.name("analysis.incident.id", Rank::Kept, [id]);
        self.name("analysis.incident.since", Rank::Kept, [since]);
        self.name("analysis.incident.as_of", Rank::Kept, [as_of]);
        self.text("analysis.incident.reason", Rank::Bounded, [reason]);
        self.text("analysis.incident.resolved_by", Rank::Bounded, resolved_by);
        self.list("analysis.incident.new_executions", Cut::Never, new_executions);
        for NewExecution { execution_arn, name, keys, role: _ } in new_executions {
            self.name("analysis.incident.new_executions[].execution_arn", Rank::Kept, [execution_arn]);
            self.name("analysis.incident.new_executions[].name", Rank::Kept, [name]);
            self.text("analysis.incident.new_executions[].keys", Rank::Kept, keys.values_mut());
        }
    }

    fn failed_state(&mut self, failed: &mut FailedState) {
        // `called` is no part of the JSON: it is read while the report is made, and shown nowhere.
        let FailedState {
            name,
            r#type,
            path,
            input,
            error,
            cause,
            entered_event_id: _,
            attempts,
            confidence: _,
            evidence,
            called: _,
        } = failed;
        self.name("analysis.failed_state.name", Rank::Identity, [name]);
        r#type.iter_mut().for_each(|kind| self.state_type("analysis.failed_state.type", kind));
        self.list("analysis.failed_state.path", Cut::Last(5), path);
        self.name("analysis.failed_state.path[]", Rank::Bounded, path);
        self.json("analysis.failed_state.input", input);
        self.text("analysis.failed_state.error", Rank::Bounded, error);
        self.text("analysis.failed_state.cause", Rank::Answer, cause);
        self.list("analysis.failed_state.attempts", Cut::Last(2), attempts);
        for FailedAttempt { started_at: _, ended_at: _, error, cause } in attempts {
            self.text("analysis.failed_state.attempts[].error", Rank::Bounded, error);
            self.text("analysis.failed_state.attempts[].cause", Rank::Detail, cause);
        }
        self.text("analysis.failed_state.evidence", Rank::Answer, [evidence]);
    }

    fn root_cause(&mut self, root: &mut RootCause) {
        let RootCause { execution_arn, state, error, cause, via, called: _ } = root;
        self.name("analysis.root_cause.execution_arn", Rank::Bounded, execution_arn);
        self.name("analysis.root_cause.state", Rank::Bounded, state);
        self.text("analysis.root_cause.error", Rank::Bounded, error);
        self.text("analysis.root_cause.cause", Rank::Detail, cause);
        self.list("analysis.root_cause.via", Cut::Last(4), via);
        for Hop { how: _, state, execution_arn, into } in via {
            self.name("analysis.root_cause.via[].state", Rank::Bounded, state);
            self.name("analysis.root_cause.via[].execution_arn", Rank::Bounded, execution_arn);
            self.name("analysis.root_cause.via[].into", Rank::Bounded, into);
        }
    }

    fn probable_cause(&mut self, probable: &mut ProbableCause) {
        let ProbableCause { state, path, error, cause, parsed, confidence: _, evidence } = probable;
        self.name("analysis.probable_cause.state", Rank::Bounded, [state]);
        self.list("analysis.probable_cause.path", Cut::Never, path);
        self.name("analysis.probable_cause.path[]", Rank::Bounded, path);
        self.text("analysis.probable_cause.error", Rank::Bounded, error);
        self.text("analysis.probable_cause.cause", Rank::Detail, cause);
        let paths = [
            "analysis.probable_cause.parsed.message",
            "analysis.probable_cause.parsed.error_type",
            "analysis.probable_cause.parsed.stack",
        ];
        parsed.iter_mut().for_each(|cause| self.parsed(paths, cause));
        self.text("analysis.probable_cause.evidence", Rank::Answer, [evidence]);
    }

    fn parsed(&mut self, [in_message, in_type, in_stack]: [&'static str; 3], cause: &mut ParsedCause) {
        let ParsedCause { kind: _, message, error_type, stack } = cause;
        self.text(in_message, Rank::Answer, message);
        self.text(in_type, Rank::Bounded, error_type);
        self.text(in_stack, Rank::Detail, stack);
    }

    fn resource(&mut self, resource: &mut Resource) {
        let Resource {
            role: _,
            state,
            service,
            operation,
            name,
            arn,
            id,
            status,
            region,
            log_group,
            log_stream,
            console,
            logs,
            started_at: _,
            ended_at: _,
        } = resource;
        self.name("analysis.resources[].state", Rank::Identity, [state]);
        self.name("analysis.resources[].service", Rank::Identity, [service]);
        self.name("analysis.resources[].operation", Rank::Identity, operation);
        self.name("analysis.resources[].name", Rank::Identity, name);
        self.name("analysis.resources[].arn", Rank::Identity, arn);
        self.name("analysis.resources[].id", Rank::Identity, id);
        self.name("analysis.resources[].status", Rank::Identity, status);
        self.name("analysis.resources[].region", Rank::Identity, region);
        self.name("analysis.resources[].log_group", Rank::Identity, log_group);
        self.name("analysis.resources[].log_stream", Rank::Identity, log_stream);
        self.name("analysis.resources[].console", Rank::Identity, console);
        self.name("analysis.resources[].logs", Rank::Identity, logs);
    }

    fn logs(&mut self, logs: &mut Logs) {
        let Logs { log_group, log_stream, lines, error } = logs;
        self.name("analysis.logs.log_group", Rank::Bounded, log_group);
        self.name("analysis.logs.log_stream", Rank::Bounded, log_stream);
        self.list("analysis.logs.lines", Cut::Oldest, lines);
        for LogLine { at: _, text } in lines {
            self.text("analysis.logs.lines[].text", Rank::Bounded, [text]);
        }
        self.text("analysis.logs.error", Rank::Bounded, error);
    }

    fn in_flight(&mut self, state: &mut InFlight) {
        let InFlight { name, r#type, path, input, phase: _, since: _, last_error } = state;
        self.name("analysis.in_flight[].name", Rank::Bounded, [name]);
        self.state_type("analysis.in_flight[].type", r#type);
        self.list("analysis.in_flight[].path", Cut::Never, path);
        self.name("analysis.in_flight[].path[]", Rank::Bounded, path);
        self.json("analysis.in_flight[].input", input);
        if let Some(Failure { error, cause }) = last_error {
            self.text("analysis.in_flight[].last_error.error", Rank::Bounded, error);
            self.text("analysis.in_flight[].last_error.cause", Rank::Detail, cause);
        }
    }

    /// A type of state that is not known is somebody's text.
    fn state_type(&mut self, path: &'static str, kind: &mut StateType) {
        if let StateType::Other(text) = kind {
            self.name(path, Rank::Bounded, [text]);
        }
    }
}
