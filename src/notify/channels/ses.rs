//! `ses`: a mail through Amazon SES, as text and as HTML. Only with the cargo feature `ses`.
//!
//! The whole report as `misstep explain` shows it, or the summary in a few lines; a template can
//! replace the subject and either part.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_ses::Client;
use aws_sdk_ses::types::{Body, Content as Part, Destination, Message};
use maud::{DOCTYPE, html};

use super::{Channel, ChannelConfig, ConnectError};
use crate::aws::{CallCounter, Session};
use crate::metrics::Service;
use crate::notify::aws::classify;
use crate::notify::route_parser::RouteParser;
use crate::notify::template::{Escape, Template};
use crate::notify::{Content, Notification, Notifier, NotifyError, TemplateError};
use crate::report::notice::Notice;
use crate::report::phrases::brief;
use crate::report::{html as page, text};
use crate::settings::{InvalidValue, values};

/// The channel.
pub const CHANNEL: Channel = Channel { name: "ses", read };

/// The most addresses of one mail (Amazon SES quotas).
const MOST_ADDRESSES: usize = 50;

/// The least bytes of both parts: the page alone has ten thousand of style.
const LEAST_BYTES: usize = 65_536;

/// The most bytes of both parts here. SES takes 10 MB; mail servers on the way may not.
const MOST_BYTES: usize = 4 << 20;

#[derive(Debug, Clone)]
struct SesRoute {
    from: String,
    to: Vec<String>,
    region: Option<String>,
    timeout: Duration,
    max_bytes: usize,
    subject: Option<Template>,
    text: Option<Template>,
    html: Option<Template>,
}

/// Mail to a few people.
#[derive(Debug)]
struct Mail {
    settings: SesRoute,
    client: Client,
    calls: CallCounter,
}

fn read(route: &mut RouteParser<'_, '_>) -> Option<Arc<dyn ChannelConfig>> {
    let from = route.fields.text("from", values::email);
    let from = route.fields.needed("from", from);
    let to = route.fields.texts("to", values::email);
    let to = route.fields.needed("to", Some(to).filter(|to| !to.is_empty()));
    if to.as_ref().is_some_and(|to| to.len() > MOST_ADDRESSES) {
        route.fields.fault("to", InvalidValue::not_allowed("a mail goes to 50 addresses at most"));
    }
    let region = route.fields.text("region", values::name);
    let timeout = route.timeout();
    let max_bytes = route.max_bytes().clamp(LEAST_BYTES, MOST_BYTES);
    let subject = route.template("subject", Escape::Line);
    let text = route.template("body", Escape::Text);
    let html = route.template("html", Escape::Html);
    Some(Arc::new(SesRoute { from: from?, to: to?, region, timeout, max_bytes, subject, text, html }))
}

impl ChannelConfig for SesRoute {
    fn needs_aws(&self) -> bool {
        true
    }

    fn connect(&self, aws: Option<&Session>) -> Result<Arc<dyn Notifier>, ConnectError> {
        let aws = aws.ok_or(ConnectError::NoCredentials { what: "a mail through SES" })?;
        let config = aws.client_config(self.region.as_deref(), self.timeout);
        Ok(Arc::new(Mail {
            settings: self.clone(),
            client: Client::new(&config),
            calls: aws.counter(Service::Ses),
        }))
    }
}

#[async_trait]
impl Notifier for Mail {
    fn limit(&self) -> usize {
        self.settings.max_bytes
    }

    fn room_for_executions(&self) -> usize {
        // They stand in the text and on the page.
        self.limit() / 4
    }

    fn compose(&self, content: &Content<'_>) -> Result<Notification, TemplateError> {
        let subject = match &self.settings.subject {
            Some(template) => template.render(content)?,
            None => brief::subject(content.notice),
        };
        let whole = content.notice.whole();
        let text = match (&self.settings.text, whole) {
            (Some(template), _) => template.render(content)?,
            (None, Some(report)) => text::render(report, false),
            (None, None) => brief_text(content.notice),
        };
        let html = match (&self.settings.html, whole) {
            (Some(template), _) => template.render(content)?,
            (None, Some(report)) => page::render(report),
            (None, None) => brief_page(&subject, content.notice),
        };
        Ok(Notification { subject, html: Some(html), ..Notification::of(content, text) })
    }

    async fn notify(&self, notification: &Notification) -> Result<(), NotifyError> {
        let content =
            |text: &str| Part::builder().charset("UTF-8").data(text).build().expect("the data is set");
        let text = content(&String::from_utf8_lossy(&notification.body));
        let html = notification.html.as_deref().map(content);
        let message = Message::builder()
            .subject(content(&notification.subject))
            .body(Body::builder().text(text).set_html(html).build())
            .build();
        let to = Destination::builder().set_to_addresses(Some(self.settings.to.clone())).build();
        let sent =
            self.client.send_email().source(&self.settings.from).destination(to).message(message).send();
        match self.calls.counted("SendEmail", sent).await {
            Ok(_) => Ok(()),
            // SES refuses an unverified address like a bad message, but the message is not at fault.
            Err(error) => Err(classify("SendEmail", &error, &["not verified", "ddress", "omain", "@"])),
        }
    }
}

fn brief_text(notice: &Notice<'_>) -> String {
    let mut text = format!("{}\n", brief::sentence(notice));
    for fact in brief::facts(notice) {
        text.push_str(&format!("\n{}: {}\n", fact.label, fact.text));
    }
    if let Some((title, lines)) = brief::executions(notice) {
        text.push_str(&format!("\n{title}:\n{}\n", lines.join("\n")));
    }
    if let Some(link) = brief::link(notice.report()) {
        text.push_str(&format!("\n{link}\n"));
    }
    text
}

fn brief_page(subject: &str, notice: &Notice<'_>) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head { meta charset="utf-8"; title { (subject) } }
            body style="font-family: sans-serif" {
                p { (brief::sentence(notice)) }
                dl {
                    @for fact in brief::facts(notice) {
                        dt { b { (fact.label) } }
                        dd { @if fact.code { code { (fact.text) } } @else { (fact.text) } }
                    }
                }
                @if let Some((title, lines)) = brief::executions(notice) {
                    p { b { (title) } }
                    ul { @for line in lines { li { (line) } } }
                }
                @if let Some(link) = brief::link(notice.report()).filter(|link| link.starts_with("https://")) {
                    p { a href=(link) { "Open the execution" } }
                }
            }
        }
    };
    page.into_string()
}
