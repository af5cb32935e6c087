//! `sns`: a topic. The message is the report's data as JSON, or what a template makes; attributes say
//! what it is about, for subscriptions' filter policies.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sns::Client;
use aws_sdk_sns::types::MessageAttributeValue;

use super::{Channel, ChannelConfig, ConnectError};
use crate::aws::error::ErrorClass;
use crate::aws::{CallCounter, Session};
use crate::history::Status;
use crate::metrics::Service;
use crate::notify::aws::classify;
use crate::notify::route_parser::RouteParser;
use crate::notify::template::{Escape, Template};
use crate::notify::{Content, Notification, Notifier, NotifyError, TemplateError};
use crate::report::phrases::brief;
use crate::settings::InvalidValue;

/// The channel.
pub const CHANNEL: Channel = Channel { name: "sns", read };

/// The most bytes of a message, its attributes included, that every topic takes (Amazon SNS endpoints and
/// quotas).
const EVERY_TOPIC: usize = 262_144;

/// The highest `MaximumMessageSize` of a topic, in bytes.
const LARGEST_TOPIC: u64 = 1_048_576;

/// A subject has fewer characters than this (SNS API, Publish).
const SUBJECT: usize = 100;

/// The most characters of an attribute here; SNS itself would take more.
const ATTRIBUTE: usize = 256;

#[derive(Debug, Clone)]
struct SnsRoute {
    topic_arn: String,
    region: String,
    timeout: Duration,
    max_bytes: usize,
    subject: Option<Template>,
    body: Option<Template>,
}

/// A topic.
#[derive(Debug)]
struct Topic {
    settings: SnsRoute,
    client: Client,
    calls: CallCounter,
}

fn read(route: &mut RouteParser<'_, '_>) -> Option<Arc<dyn ChannelConfig>> {
    let topic = route.fields.text("topic_arn", topic_arn);
    let topic = route.fields.needed("topic_arn", topic);
    let timeout = route.timeout();
    let own = route.own_max_bytes(LARGEST_TOPIC);
    let max_bytes = own.unwrap_or(route.defaults.max_bytes.min(EVERY_TOPIC));
    let subject = route.template("subject", Escape::Line);
    let body = route.template("body", Escape::Text);
    let (topic_arn, region) = topic?;
    Some(Arc::new(SnsRoute { topic_arn, region, timeout, max_bytes, subject, body }))
}

/// A topic's ARN, and its region.
fn topic_arn(text: &str) -> Result<(String, String), InvalidValue> {
    match text.split(':').collect::<Vec<_>>()[..] {
        ["arn", _, "sns", region, _, name] if !region.is_empty() && !name.is_empty() => {
            Ok((text.to_owned(), region.to_owned()))
        }
        _ => Err(InvalidValue::malformed(format!("the ARN of an SNS topic: {text:?}"))),
    }
}

impl ChannelConfig for SnsRoute {
    fn needs_aws(&self) -> bool {
        true
    }

    fn connect(&self, aws: Option<&Session>) -> Result<Arc<dyn Notifier>, ConnectError> {
        let aws = aws.ok_or(ConnectError::NoCredentials { what: "an SNS topic" })?;
        let config = aws.client_config(Some(&self.region), self.timeout);
        Ok(Arc::new(Topic {
            settings: self.clone(),
            client: Client::new(&config),
            calls: aws.counter(Service::Sns),
        }))
    }
}

#[async_trait]
impl Notifier for Topic {
    fn limit(&self) -> usize {
        self.settings.max_bytes
    }

    fn compose(&self, content: &Content<'_>) -> Result<Notification, TemplateError> {
        let subject = match &self.settings.subject {
            Some(template) => template.render(content)?,
            None => brief::subject(content.notice),
        };
        let body = match &self.settings.body {
            Some(template) => template.render(content)?,
            None => content.notice.data().to_string(),
        };
        if body.trim().is_empty() {
            return Err(TemplateError::Empty { taker: "SNS" });
        }
        Ok(Notification {
            subject: ascii_subject(&subject),
            attributes: attributes(content),
            ..Notification::of(content, body)
        })
    }

    async fn check(&self) -> Result<Option<String>, NotifyError> {
        let topic = &self.settings.topic_arn;
        match self.client.get_topic_attributes().topic_arn(topic).send().await {
            Ok(_) => Ok(Some(format!("{topic} is there; whether it may be published to was not tried"))),
            // Publishing is another permission.
            Err(error) if ErrorClass::of(&error) == ErrorClass::Denied => {
                Ok(Some(format!("not tried, since sns:GetTopicAttributes of {topic} is not allowed")))
            }
            Err(error) => {
                Err(classify(&format!("GetTopicAttributes of {topic}"), &error, &["TopicArn", "topic"]))
            }
        }
    }

    async fn notify(&self, notification: &Notification) -> Result<(), NotifyError> {
        let topic = &self.settings.topic_arn;
        let mut call = self
            .client
            .publish()
            .topic_arn(topic)
            .subject(&notification.subject)
            .message(String::from_utf8_lossy(&notification.body));
        for (name, value) in &notification.attributes {
            let value = MessageAttributeValue::builder().data_type("String").string_value(value).build();
            call = call.message_attributes(*name, value.expect("a data type is set"));
        }
        if topic.ends_with(".fifo") {
            call = call.message_group_id("misstep").message_deduplication_id(&notification.idempotency_key);
        }
        match self.calls.counted("Publish", call.send()).await {
            Ok(_) => Ok(()),
            Err(error) => Err(classify(&format!("Publish to {topic}"), &error, &["TopicArn", "topic"])),
        }
    }
}

/// The attributes that subscribers can filter by. SNS accepts no empty values.
fn attributes(content: &Content<'_>) -> Vec<(&'static str, String)> {
    let report = content.notice.report();
    let analysis = &report.analysis;
    let all = [
        ("audience", Some(content.audience.name())),
        ("idempotency_key", Some(content.idempotency_key)),
        ("env", Some(&*report.event_info.env)),
        ("application", analysis.application.as_deref()),
        ("state_machine", brief::machine(report)),
        ("status", analysis.status.map(Status::as_str)),
        ("error", analysis.error.as_deref()),
        ("failed_state", analysis.failed_state.as_ref().map(|failed| &*failed.name)),
        ("fingerprint", analysis.fingerprint.as_deref()),
    ];
    let usable = |text: &str| {
        let text: String = text.chars().filter(|c| !c.is_control()).take(ATTRIBUTE).collect();
        (!text.is_empty()).then_some(text)
    };
    all.into_iter().filter_map(|(name, value)| Some((name, usable(value?)?))).collect()
}

/// SNS accepts subjects of ASCII characters that begin with a letter, a digit or punctuation.
fn ascii_subject(subject: &str) -> String {
    let ascii: String =
        subject.chars().map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' }).collect();
    let ascii = ascii.trim();
    match ascii.char_indices().nth(SUBJECT - 4) {
        Some((end, _)) if ascii.len() >= SUBJECT => format!("{}...", &ascii[..end]),
        _ if ascii.is_empty() => "misstep".to_owned(),
        _ => ascii.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_short_ascii() {
        assert_eq!(ascii_subject("[dev] Bestätigung failed"), "[dev] Best?tigung failed");
        assert_eq!(ascii_subject(""), "misstep");
        for length in 95..110 {
            assert!(ascii_subject(&"x".repeat(length)).len() < 100, "{length}");
        }
    }

    #[test]
    fn a_topic_is_known_by_its_arn() {
        let topic = topic_arn("arn:aws-us-gov:sns:us-gov-west-1:123456789012:failures").unwrap();
        assert_eq!(topic.1, "us-gov-west-1");
        for bad in
            ["failures", "arn:aws:sqs:eu-west-1:1:q", "arn:aws:sns::1:t", "arn:aws:sns:eu-west-1:1:t:sub"]
        {
            assert!(topic_arn(bad).is_err(), "{bad}");
        }
    }
}
