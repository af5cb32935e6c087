//! What a history contains about one call: the cause of its failure, the service's first answer and the
//! parameters, asked in this order.

use serde_json::{Map, Value};

use crate::analysis::cause;
use crate::aws::arn::is_region;
use crate::history::target::KEPT;
use crate::history::{CallTarget, HistoryEvent};

/// The longest value that is taken from a cause, in bytes: the longest ARN.
const LONGEST: usize = 2_048;

/// What a history contains about one call.
#[derive(Debug, Default)]
pub(super) struct Facts<'a> {
    /// What the state names as its resource: `runTask.sync`, or an ARN.
    pub(super) resource: Option<&'a str>,
    /// The error's name.
    pub(super) error: Option<&'a str>,
    /// The cause as it was written.
    pub(super) text: &'a str,
    /// The cause's fields, where it is an object.
    pub(super) cause: Map<String, Value>,
    answered: Option<&'a CallTarget>,
    called: Option<&'a CallTarget>,
}

impl<'a> Facts<'a> {
    pub(super) fn new(
        scheduled: Option<&'a HistoryEvent>,
        submitted: Option<&'a HistoryEvent>,
        failed: Option<&'a HistoryEvent>,
    ) -> Self {
        let text = failed.and_then(|failed| failed.details.cause.as_deref()).unwrap_or_default();
        let resource = |event: &'a HistoryEvent| event.details.resource.as_deref();
        Self {
            resource: scheduled.and_then(resource).or_else(|| failed.and_then(resource)),
            error: failed.and_then(|failed| failed.details.error.as_deref()),
            text,
            cause: cause::fields(text).unwrap_or_default(),
            answered: submitted.and_then(|submitted| submitted.details.target.as_deref()),
            called: scheduled.and_then(|scheduled| scheduled.details.target.as_deref()),
        }
    }

    /// What is known of a call by its cause alone.
    #[cfg(test)]
    pub(super) fn of_cause(text: &'a str) -> Self {
        Self { text, cause: cause::fields(text).unwrap_or_default(), ..Self::default() }
    }

    /// The first value under these paths: of the cause, else of the answer, else of the parameters.
    pub(super) fn get(&self, paths: &[&str]) -> Option<String> {
        let of = |target: Option<&CallTarget>| {
            let values = paths.iter().filter_map(|path| target?.get(path));
            values.map(str::to_owned).find(|value| is_value(value))
        };
        self.in_cause(paths).or_else(|| of(self.answered)).or_else(|| of(self.called))
    }

    /// The same of the parameters alone.
    pub(super) fn parameter(&self, path: &str) -> Option<String> {
        self.called?.get(path).filter(|value| is_value(value)).map(str::to_owned)
    }

    /// The same of the cause alone; any path will do.
    pub(super) fn in_cause(&self, paths: &[&str]) -> Option<String> {
        paths.iter().filter_map(|path| text(at(&self.cause, path)?)).find(|value| is_value(value))
    }

    /// The region that was called: an ARN of the answer or the cause tells it best, since a task may
    /// call another region than its own.
    pub(super) fn region(&self) -> Option<String> {
        let own = self.resource.and_then(Arn::parse).map(|arn| arn.region.to_owned());
        own.filter(|region| is_region(region))
            .or_else(|| KEPT.iter().find_map(|path| region_in(&self.in_cause(&[path])?)))
            .or_else(|| KEPT.iter().find_map(|path| region_in(self.answered?.get(path)?)))
            .or_else(|| KEPT.iter().find_map(|path| region_in(self.called?.get(path)?)))
            .or_else(|| self.called?.region().filter(|region| is_region(region)).map(str::to_owned))
    }

    /// The service's id of the request: `Request ID: …` of an SDK, or what a Lambda function logs.
    pub(super) fn request_id(&self) -> Option<String> {
        let named = self.in_cause(&["requestId", "RequestId", "SdkResponseMetadata.RequestId"]);
        named.filter(|id| is_id(id)).or_else(|| request_id_in(self.text)).or_else(|| {
            self.answered?.get("SdkResponseMetadata.RequestId").filter(|id| is_id(id)).map(str::to_owned)
        })
    }
}

fn is_value(text: &str) -> bool {
    !text.trim().is_empty() && text != "null" && text.len() <= LONGEST
}

fn region_in(text: &str) -> Option<String> {
    let arn = Arn::parse(text)?;
    is_region(arn.region).then(|| arn.region.to_owned())
}

/// The value at a path through objects and lists.
pub(super) fn at<'v>(fields: &'v Map<String, Value>, path: &str) -> Option<&'v Value> {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let mut value = fields.get(first)?;
    for part in rest.into_iter().flat_map(|rest| rest.split('.')) {
        value = match value {
            Value::Array(list) => list.get(part.parse::<usize>().ok()?)?,
            other => other.get(part)?,
        };
    }
    Some(value)
}

/// A text or a number as text.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The parts of an ARN.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arn<'a> {
    pub(super) partition: &'a str,
    pub(super) region: &'a str,
    pub(super) account: &'a str,
    pub(super) resource: &'a str,
}

impl<'a> Arn<'a> {
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        match text.splitn(6, ':').collect::<Vec<_>>()[..] {
            ["arn", partition, service, region, account, resource]
                if !partition.is_empty() && !service.is_empty() && !resource.is_empty() =>
            {
                Some(Self { partition, region, account, resource })
            }
            _ => None,
        }
    }
}

/// What stands last between `/` and `:`.
pub(super) fn last_part(text: &str) -> &str {
    text.rsplit(['/', ':']).find(|part| !part.is_empty()).unwrap_or(text)
}

/// The id in `RequestId: 8d2a…`, `Request ID: …` or `… 8d2a… Task timed out after 3.00 seconds`.
fn request_id_in(text: &str) -> Option<String> {
    let after = |mark: &str| {
        text.match_indices(mark).find_map(|(at, _)| {
            let rest = &text[at + mark.len()..];
            let end = rest.find(|c: char| !is_id_char(c)).unwrap_or(rest.len());
            // At the end of the text it may be cut off.
            Some(&rest[..end]).filter(|id| if end < rest.len() { is_id(id) } else { is_uuid(id) })
        })
    };
    let timed_out = || {
        let (before, _) = text.split_once(" Task timed out after ")?;
        let id = &before[before.rfind(|c: char| !is_id_char(c)).map_or(0, |at| at + 1)..];
        Some(id).filter(|id| is_uuid(id))
    };
    after("RequestId: ")
        .or_else(|| after("Request ID: "))
        .or_else(|| after("\"requestId\":\""))
        .or_else(|| after("\"requestId\": \""))
        .or_else(timed_out)
        .map(str::to_owned)
}

fn is_id_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '+' | '/' | '=')
}

fn is_id(text: &str) -> bool {
    (8..=128).contains(&text.len()) && text.chars().all(is_id_char)
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.char_indices().all(|(at, c)| match at {
            8 | 13 | 18 | 23 => c == '-',
            _ => c.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_named_in_many_ways() {
        for (cause, id) in [
            (
                r#"{"errorMessage":"boom","requestId":"8d2ae1d0-0ad1-4c6b-9f1c-3f9a4f1d2b11"}"#,
                Some("8d2ae1d0-0ad1-4c6b-9f1c-3f9a4f1d2b11"),
            ),
            (
                r#"{"errorMessage":"RequestId: 8d2ae1d0-0ad1-4c6b-9f1c-3f9a4f1d2b11 Error: killed"}"#,
                Some("8d2ae1d0-0ad1-4c6b-9f1c-3f9a4f1d2b11"),
            ),
            (
                r#"{"errorMessage":"2024-12-01T22:42:19.181Z d53c5f6b-eb1d-49bd-a1f9-98b0112f1781 Task timed out after 900.01 seconds"}"#,
                Some("d53c5f6b-eb1d-49bd-a1f9-98b0112f1781"),
            ),
            (
                "no (Service: S3, Status Code: 404, Request ID: 4442587FB7D0A2F9, Extended Request ID: x)",
                Some("4442587FB7D0A2F9"),
            ),
            (
                r#"{"errorMessage":"boom","requestId":"8d2ae1d0-0ad1-4c6b-9f1c-3f9a4f1d2b11","stackTrace":["cut of"#,
                Some("8d2ae1d0-0ad1-4c6b-9f1c-3f9a4f1d2b11"),
            ),
            (r#"{"errorMessage":"boom","requestId":"8d2ae1d0-0ad1"#, None),
            ("The Task timed out after 3 seconds", None),
            ("(Service: Sfn, Status Code: 400, Request ID: <request_id>)", None),
            ("RequestId: ", None),
            ("", None),
        ] {
            assert_eq!(Facts::of_cause(cause).request_id().as_deref(), id, "{cause}");
        }
    }

    #[test]
    fn the_region_is_that_of_an_arn_in_the_cause() {
        let region = |cause: &str| Facts::of_cause(cause).region();
        assert_eq!(
            region(r#"{"JobQueue": "arn:aws:batch:us-west-2:1:job-queue/Q"}"#).as_deref(),
            Some("us-west-2")
        );
        for none in [
            "{}",
            r#"{"JobQueue": "arn:aws:batch:evil.example.com/x:1:job-queue/Q"}"#,
            r#"{"JobQueue": "Q"}"#,
        ] {
            assert_eq!(region(none), None, "{none}");
        }
    }
}
