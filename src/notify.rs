//! Notifications: audiences, routes, and channels.
//!
//! A [`Route`] sends failures to one audience: which of them (its filter), how much of them (its form
//! and its redaction), and through which channel (a [`Notifier`]). A notifier makes one attempt
//! and classifies its failure; retries, and the outcome of the message, are decided
//! elsewhere. [`channels`] lists the channels: each is one file and one line there.

mod aws;
pub mod channels;
pub mod filter;
mod post;
pub mod route_parser;
pub mod sample;
pub mod settings;
pub mod template;
pub mod truncate;

use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sha2::{Digest as _, Sha256};

use crate::event::FailureKey;
use crate::metrics::{RetryReason, SendResult};
use crate::redact::Redactor;
use crate::report::Report;
use crate::report::notice::Notice;
use crate::report::summary::Summary;
use filter::Filter;

/// Who is notified.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Audience {
    /// The developers of the state machine.
    Developers,
    /// CustomerAssist, who look after those whom the failure affects.
    CustomerAssist,
    /// Somebody else, by the name that the configuration gives them.
    Other(Arc<str>),
}

impl Audience {
    /// The audience of this name.
    pub fn named(name: &str) -> Self {
        match name {
            "developers" => Self::Developers,
            "customer-assist" => Self::CustomerAssist,
            other => Self::Other(other.into()),
        }
    }

    /// The name in the configuration and in logs.
    pub fn name(&self) -> &str {
        match self {
            Self::Developers => "developers",
            Self::CustomerAssist => "customer-assist",
            Self::Other(name) => name,
        }
    }

    /// The name that the notification API knows this audience's notifications by; `None` for one that
    /// it does not know. `ASSESTIVE` is how that API spells it.
    pub fn email_type(&self) -> Option<&'static str> {
        match self {
            Self::Developers => Some("INTERNAL_ENQUIRY_ERROR"),
            Self::CustomerAssist => Some("ASSESTIVE_ENQUIRY_ERROR"),
            Self::Other(_) => None,
        }
    }
}

impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How much of a failure a route shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// Everything that is known.
    Full,
    /// For people outside the team: what failed, when, and which request, in plain words.
    Summary {
        /// The keys whose values are kept of inputs, whatever their case.
        input_keys: Vec<String>,
    },
}

impl Form {
    /// A report in this form.
    pub fn of<'r>(&self, report: &'r Report) -> Notice<'r> {
        match self {
            Self::Full => Notice::failure(report),
            Self::Summary { input_keys } => Notice::Summary(Box::new(Summary::of(report, input_keys))),
        }
    }
}

/// Whether a route gets each failure, or an alert and updates of each incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grouping {
    /// One notification a failure.
    Each,
    /// An alert, updates and a resolve of each incident.
    Incident {
        /// The keys of inputs whose values are shown of each execution, whatever their case.
        input_keys: Vec<String>,
    },
}

impl Grouping {
    /// The keys that are shown of each execution; `None` where each failure is notified by itself.
    pub fn input_keys(&self) -> Option<&[String]> {
        match self {
            Self::Each => None,
            Self::Incident { input_keys } => Some(input_keys),
        }
    }
}

/// What a channel makes its notification from.
#[derive(Debug, Clone, Copy)]
pub struct Content<'c> {
    /// Who is notified.
    pub audience: &'c Audience,
    /// The route's name.
    pub route: &'c str,
    /// The same for every delivery of the same failure to the same audience.
    pub idempotency_key: &'c str,
    /// What there is to notify of: redacted, in the route's form, and short enough.
    pub notice: &'c Notice<'c>,
}

/// One notification, ready to be sent. Each channel sends the parts that it supports.
#[derive(Debug, Clone)]
pub struct Notification {
    /// The same for every delivery of the same failure to the same audience.
    pub idempotency_key: String,
    /// One line; empty where the channel has none.
    pub subject: String,
    /// What is sent.
    pub body: Vec<u8>,
    /// The same as a page, for channels that send both.
    pub html: Option<String>,
    /// What subscribers can filter by.
    pub attributes: Vec<(&'static str, String)>,
}

impl Notification {
    /// A notification that is a body and nothing else.
    pub fn of(content: &Content<'_>, body: impl Into<Vec<u8>>) -> Self {
        Self {
            idempotency_key: content.idempotency_key.to_owned(),
            subject: String::new(),
            body: body.into(),
            html: None,
            attributes: Vec::new(),
        }
    }

    /// What counts towards a channel's limit, in bytes.
    pub fn size(&self) -> usize {
        let attributes =
            self.attributes.iter().map(|(name, value)| name.len() + "String".len() + value.len());
        let html = self.html.as_ref().map_or(0, String::len);
        self.subject.len() + self.body.len() + html + attributes.sum::<usize>()
    }
}

/// Why an attempt at a notification failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotifyError {
    /// May pass later: busy, overloaded, broken or unreachable.
    #[error("{what}")]
    Transient {
        /// What happened.
        what: String,
        /// How long the other side asked to wait.
        retry_after: Option<Duration>,
    },
    /// This notification will never be accepted; the route itself works.
    #[error("{what}")]
    Rejected {
        /// What happened.
        what: String,
    },
    /// Every notification on this route would fail in the same way: the route is wrong, not the message.
    #[error("{what}; check the route's address and credentials")]
    Misconfigured {
        /// What happened.
        what: String,
    },
}

impl NotifyError {
    /// What happened, without what to do about it.
    pub fn what(&self) -> &str {
        match self {
            Self::Transient { what, .. } | Self::Rejected { what } | Self::Misconfigured { what } => what,
        }
    }
}

impl From<&NotifyError> for SendResult {
    fn from(error: &NotifyError) -> Self {
        match error {
            NotifyError::Transient { .. } => Self::Transient,
            NotifyError::Rejected { .. } => Self::Rejected,
            NotifyError::Misconfigured { .. } => Self::Misconfigured,
        }
    }
}

impl From<&Result<(), NotifyError>> for SendResult {
    fn from(answer: &Result<(), NotifyError>) -> Self {
        answer.as_ref().err().map_or(Self::Accepted, Self::from)
    }
}

impl From<&NotifyError> for RetryReason {
    fn from(error: &NotifyError) -> Self {
        match error {
            NotifyError::Transient { .. } => Self::Transient,
            NotifyError::Rejected { .. } => Self::Refused,
            NotifyError::Misconfigured { .. } => Self::Misconfigured,
        }
    }
}

/// A template that does not parse, or that makes no usable text of the data.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// It does not parse, does not fit the data, or takes too long.
    #[error("the template fails: {}{what}", .line.map(|line| format!("line {line}: ")).unwrap_or_default())]
    Fails {
        /// The template's line, where that is known.
        line: Option<usize>,
        /// What is wrong.
        what: String,
    },
    /// Its text has to be JSON, and is not.
    #[error("the template makes no JSON: {0}")]
    NotJson(serde_json::Error),
    /// Its text is empty, and the channel takes no empty text.
    #[error("the template makes an empty message, which {taker} does not take")]
    Empty {
        /// The channel's service.
        taker: &'static str,
    },
}

/// Delivers notifications through one channel.
#[async_trait]
pub trait Notifier: Send + Sync + 'static {
    /// The most bytes that a notification may have.
    fn limit(&self) -> usize;

    /// How many bytes of JSON the list of executions in one notification may have, so that there is room
    /// for the rest.
    fn room_for_executions(&self) -> usize {
        self.limit() / 2
    }

    /// Makes a notification of the content.
    ///
    /// # Errors
    /// When no retry can make one: a template that does not fit the data.
    fn compose(&self, content: &Content<'_>) -> Result<Notification, TemplateError>;

    /// Checks whether the receiver can be reached, and sends nothing. `Ok(None)` if only sending would
    /// show it.
    async fn check(&self) -> Result<Option<String>, NotifyError> {
        Ok(None)
    }

    /// Makes one attempt. `Ok` means that the receiver accepted the notification.
    async fn notify(&self, notification: &Notification) -> Result<(), NotifyError>;
}

/// Sends failures to one audience through a channel.
#[derive(Clone)]
pub struct Route {
    /// Identifies the route in logs and metrics.
    pub name: Arc<str>,
    /// Who is notified.
    pub audience: Audience,
    /// Whether a message is deleted only after this route accepted its notification.
    pub required: bool,
    /// Which failures it gets.
    pub filter: Filter,
    /// How much it shows.
    pub form: Form,
    /// Its redactor; routes with the same rules share one.
    pub redactor: Arc<Redactor>,
    /// Whether it shows the last lines of the log of what failed.
    pub logs: bool,
    /// Whether it gets each failure, or an alert and updates of each incident.
    pub grouping: Grouping,
    /// The channel's client.
    pub notifier: Arc<dyn Notifier>,
}

impl Route {
    /// The notification of a redacted report, cut to the channel's limit.
    ///
    /// # Errors
    /// [`NotifyError::Rejected`] when no notification can be made of it.
    pub fn compose(&self, report: &Report, idempotency_key: &str) -> Result<Notification, NotifyError> {
        let compose = |notice: &Notice<'_>| {
            let content = Content { audience: &self.audience, route: &self.name, idempotency_key, notice };
            self.notifier.compose(&content)
        };
        let mut notice = self.form.of(report);
        let limit = self.notifier.limit();
        let refused = match compose(&notice) {
            Ok(notification) if notification.size() <= limit => return Ok(notification),
            Ok(_) => None,
            Err(error) => Some(error),
        };
        // A template that fails on the whole report may pass on a cut one.
        let size =
            |notice: &Notice<'_>| compose(notice).map_or(usize::MAX, |notification| notification.size());
        truncate::truncate(&mut notice, limit, size);
        let notification = compose(&notice)
            .map_err(|error| NotifyError::Rejected { what: refused.unwrap_or(error).to_string() })?;
        match notification.size() {
            size if size > limit => Err(NotifyError::Rejected {
                what: format!(
                    "the notification has {size} bytes however much is cut, and the channel takes {limit}"
                ),
            }),
            _ => Ok(notification),
        }
    }
}

/// The idempotency key of a failure on a route: a digest, since keys are kept and compared by systems
/// that put limits on their length and characters. It is made from the audience; a route that is not
/// called after its audience has keys of its own, so that two routes to one audience through the same
/// API are two notifications.
pub fn idempotency_key(failure: &FailureKey, audience: &Audience, route: &str) -> String {
    let mut text = format!("{} {}", failure.as_str(), audience.email_type().unwrap_or(audience.name()));
    if route != audience.name() {
        let _infallible = write!(text, " {route}");
    }
    digest(&text)
}

/// The idempotency key of one part of a notification of an incident on a route. `episode` tells the episode
/// from every other one, also from those that were removed. One key has one content.
pub fn incident_key(episode: &str, number: u32, route: &str, part: u32) -> String {
    digest(&format!("incident {episode} {number} {route} {part}"))
}

/// The id of an incident that holds one failure alone.
pub fn incident_of_one(failure: &FailureKey) -> String {
    digest(&format!("alone {}", failure.as_str()))["misstep-".len()..].chars().take(16).collect()
}

fn digest(text: &str) -> String {
    Sha256::digest(text).iter().take(16).fold("misstep-".to_owned(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::answer::{Failure, Step};
    use crate::event;
    use crate::report::Subject;
    use crate::report::tests::failed_at;

    fn key(redrive_count: u32) -> FailureKey {
        let body = format!(
            r#"{{"executionArn": "arn:aws:states:eu-west-1:1:execution:a:b", "status": "FAILED", "redriveCount": {redrive_count}}}"#
        );
        event::parse(&body).unwrap().remove(0).failure_key()
    }

    #[test]
    fn keys_are_stable_and_differ_by_audience_by_route_and_by_redrive() {
        let developers =
            |failure: &FailureKey, route: &str| idempotency_key(failure, &Audience::Developers, route);
        let first = developers(&key(0), "developers");
        assert_eq!(first, "misstep-c3fa27c381621bb69f32c3238d5681aa");
        assert_ne!(first, idempotency_key(&key(0), &Audience::CustomerAssist, "customer-assist"));
        assert_ne!(first, developers(&key(0), "pager"));
        assert_ne!(first, developers(&key(1), "developers"));
    }
    /// A channel with nothing but a template.
    struct Templated(template::Template);

    #[async_trait]
    impl Notifier for Templated {
        fn limit(&self) -> usize {
            1 << 24
        }

        fn compose(&self, content: &Content<'_>) -> Result<Notification, TemplateError> {
            Ok(Notification::of(content, self.0.render(content)?))
        }

        async fn notify(&self, _notification: &Notification) -> Result<(), NotifyError> {
            Ok(())
        }
    }

    fn composed(source: &str, report: &Report) -> Result<String, NotifyError> {
        let template = template::Template::parse(source.to_owned(), template::Escape::Text).unwrap();
        let route = Route {
            name: "pager".into(),
            audience: Audience::Developers,
            required: true,
            filter: Filter::default(),
            form: Form::Full,
            redactor: Arc::new(Redactor::new(&crate::redact::Rules::default())),
            logs: false,
            grouping: Grouping::Each,
            notifier: Arc::new(Templated(template)),
        };
        route.compose(report, "key").map(|notification| String::from_utf8(notification.body).unwrap())
    }

    #[test]
    fn a_report_is_cut_until_the_template_takes_it_though_its_size_would_do() {
        let step = |n: usize| Step {
            name: format!("Step {n}"),
            initial_input: Some("x".repeat(200)),
            latest_error: Failure::default(),
        };
        let mut report = failed_at("Step 7", &Subject::default());
        report.event_details.steps = (0..30_000).map(step).collect();
        let names =
            "{% for step in event_details.steps %}{{ step.name }}, {% endfor %}{{ analysis.truncated[-1] }}";
        let text = composed(names, &report).unwrap();
        assert!(
            text.starts_with("Step 0, ") && text.contains("Step 7,") && text.ends_with("event_details.steps")
        );
        let refused =
            composed("{{ analysis.nothing }}{{ event_details.steps[20000] }}", &report).unwrap_err();
        assert!(refused.what().contains("undefined"), "{refused:?}");
    }
}
