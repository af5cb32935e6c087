//! `slack`: an incoming webhook, in Block Kit and within its limits.
//!
//! A header, what happened, one block for each thing to know, and links to the execution and its log. What
//! is too long for a block ends in `…`; the whole of it is behind the link.

use std::sync::Arc;
use std::time::Duration;

use crate::aws::Session;
use async_trait::async_trait;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::{Value, json};

use super::{Channel, ChannelConfig, ConnectError};
use crate::notify::post::{Post, PostResponse, PostTarget, ReadBody};
use crate::notify::route_parser::RouteParser;
use crate::notify::template::{Escape, Template, escaped_for_slack};
use crate::notify::{Content, Notification, Notifier, NotifyError, TemplateError};
use crate::report::notice::Notice;
use crate::report::phrases::brief::{self, Fact};
use crate::settings::secret::TextOrSecret;
use crate::settings::{InvalidValue, values};

/// The channel.
pub const CHANNEL: Channel = Channel { name: "slack", read };

/// Characters of a header block (Slack, Block Kit reference).
const HEADER: usize = 150;

/// Characters of a section's text.
const SECTION: usize = 3_000;

/// Characters of a fact here: several of them should fit on a screen.
const FACT: usize = 700;

/// Bytes of the list of executions, as JSON: even if every character has to be escaped, a message keeps
/// within its 50 blocks.
const EXECUTIONS: usize = 20 * 1024;

/// Characters of a button's URL.
const URL: usize = 3_000;

/// Far more than all blocks together can have.
const MOST_BYTES: usize = 262_144;

#[derive(Debug, Clone)]
struct SlackRoute {
    target: PostTarget,
    timeout: Duration,
    max_bytes: usize,
    subject: Option<Template>,
    body: Option<Template>,
}

/// A webhook of Slack.
#[derive(Debug)]
struct Webhook {
    settings: SlackRoute,
    post: Post,
}

fn read(route: &mut RouteParser<'_, '_>) -> Option<Arc<dyn ChannelConfig>> {
    // Whoever knows the URL can post: it is a secret.
    let webhook = match route.fields.text_or_secret("webhook_url") {
        Some(TextOrSecret::Secret(secret)) => Some(PostTarget::Secret(secret)),
        Some(TextOrSecret::Plain(text)) => match values::api_url(&text) {
            Ok(url) if is_local(&url) => Some(PostTarget::Plain(url)),
            Ok(_) => {
                let why = "whoever knows it can post: write { env = \"VARIABLE\" } or { file = \"PATH\" }";
                route.fields.fault("webhook_url", InvalidValue::not_allowed(why));
                None
            }
            Err(why) => {
                route.fields.fault("webhook_url", why);
                None
            }
        },
        None => None,
    };
    let webhook = route.fields.needed("webhook_url", webhook);
    let timeout = route.timeout();
    let max_bytes = route.max_bytes().min(MOST_BYTES);
    let subject = route.template("subject", Escape::Line);
    let body = route.template("body", Escape::Slack);
    Some(Arc::new(SlackRoute { target: webhook?, timeout, max_bytes, subject, body }))
}

/// A stand-in on this machine has no secrets.
fn is_local(url: &url::Url) -> bool {
    matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"))
}

impl ChannelConfig for SlackRoute {
    fn connect(&self, _aws: Option<&Session>) -> Result<Arc<dyn Notifier>, ConnectError> {
        let post = Post::new(self.target.clone(), self.timeout)?;
        Ok(Arc::new(Webhook { settings: self.clone(), post }))
    }
}

#[async_trait]
impl Notifier for Webhook {
    fn limit(&self) -> usize {
        self.settings.max_bytes
    }

    fn room_for_executions(&self) -> usize {
        (self.limit() / 2).min(EXECUTIONS)
    }

    fn compose(&self, content: &Content<'_>) -> Result<Notification, TemplateError> {
        let subject = match &self.settings.subject {
            Some(template) => template.render(content)?,
            None => brief::subject(content.notice),
        };
        // Slack accepts no empty text.
        let subject = if subject.trim().is_empty() { "misstep".to_owned() } else { subject };
        let mut blocks = vec![json!({
            "type": "header",
            "text": {"type": "plain_text", "text": cut(&subject, HEADER), "emoji": false},
        })];
        match &self.settings.body {
            Some(template) => blocks.push(section(&template.render(content)?)),
            None => {
                blocks.push(section(&escaped_for_slack(&brief::sentence(content.notice))));
                blocks.extend(brief::facts(content.notice).iter().map(fact));
            }
        }
        blocks.extend(executions(content.notice));
        let buttons = [
            ("Open the execution", brief::link(content.notice.report())),
            ("Logs", brief::logs(content.notice.report())),
        ];
        let buttons: Vec<Value> =
            buttons.into_iter().filter_map(|(title, link)| button(title, link?)).collect();
        if !buttons.is_empty() {
            blocks.push(json!({"type": "actions", "elements": buttons}));
        }
        // The text is what a phone shows, and what is read out.
        let body = json!({"text": cut(&escaped_for_slack(&subject), SECTION), "blocks": blocks});
        Ok(Notification { subject, ..Notification::of(content, body.to_string()) })
    }

    async fn check(&self) -> Result<Option<String>, NotifyError> {
        self.post.reach().await.map(Some)
    }

    async fn notify(&self, notification: &Notification) -> Result<(), NotifyError> {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        let answer = self.post.send(headers, notification.body.clone(), ReadBody::Body).await?;
        answer.judge().and_then(|()| is_slack(&answer))
    }
}

/// Slack answers `ok`. Any other 200 (a proxy's login page) is not Slack, and notified nobody.
fn is_slack(answer: &PostResponse) -> Result<(), NotifyError> {
    let said = String::from_utf8_lossy(&answer.body);
    let said = said.trim();
    let says_ok = said == "ok" || serde_json::from_str::<Value>(said).is_ok_and(|said| said["ok"] == true);
    if says_ok {
        return Ok(());
    }
    let what = format!("POST {}: answered {}", answer.shown, answer.status);
    Err(match answer.broke_off {
        true => NotifyError::Transient { what: format!("{what}, and broke off"), retry_after: None },
        false => NotifyError::Misconfigured { what: format!("{what}, but not as Slack does") },
    })
}

/// A link that Slack accepts: with invalid characters escaped, and not too long.
fn usable(link: &str) -> Option<String> {
    let url = url::Url::parse(link).ok().filter(|url| url.scheme() == "https")?;
    Some(url.to_string()).filter(|url| url.len() <= URL)
}

fn button(title: &str, link: &str) -> Option<Value> {
    let link = usable(link)?;
    Some(json!({"type": "button", "text": {"type": "plain_text", "text": title}, "url": link}))
}

fn section(text: &str) -> Value {
    let text = if text.trim().is_empty() { "–" } else { text };
    json!({"type": "section", "text": {"type": "mrkdwn", "text": cut(text, SECTION)}})
}

/// The failed executions, in as few blocks as hold them.
fn executions(notice: &Notice<'_>) -> Vec<Value> {
    let Some((title, lines)) = brief::executions(notice) else { return Vec::new() };
    let mut texts = vec![format!("*{title}*")];
    for line in lines {
        let line = format!("\n• {}", cut(&escaped_for_slack(&line), SECTION - 10));
        match texts.last_mut() {
            Some(text) if text.chars().count() + line.chars().count() <= SECTION => text.push_str(&line),
            _ => texts.push(line),
        }
    }
    texts.iter().map(|text| section(text)).collect()
}

fn fact(fact: &Fact) -> Value {
    let text = cut(&fact.text, FACT);
    let text = if fact.code {
        // A fence in the text would end the fence around it; escaped, it may be five times as long.
        let inside = cut(&escaped_for_slack(&text.replace("```", "'''")), SECTION - 100);
        format!("```{inside}```")
    } else {
        escaped_for_slack(&text)
    };
    section(&format!("*{}*\n{text}", fact.label))
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most - 1) {
        Some((end, _)) if text.chars().count() > most => format!("{}…", &text[..end]),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_keeps_within_a_block_and_its_fence() {
        let long = Fact { label: "Cause", text: "<&>```".repeat(10_000), code: true };
        let text = fact(&long)["text"]["text"].as_str().unwrap().to_owned();
        assert!(text.chars().count() <= SECTION && text.ends_with("…```"), "{}", text.len());
        assert_eq!(text.matches("```").count(), 2);
    }

    #[test]
    fn only_what_slack_says_counts_as_taken() {
        let answer = |body: &str| PostResponse {
            shown: "https://hooks.example.com/…".to_owned(),
            status: reqwest::StatusCode::OK,
            retry_after: None,
            body: body.into(),
            broke_off: false,
        };
        assert!(is_slack(&answer("ok")).is_ok() && is_slack(&answer("{\"ok\": true}")).is_ok());
        for other in ["", "<html>Log in</html>", "{\"ok\": false}", "okay"] {
            let told = is_slack(&answer(other));
            assert!(matches!(told, Err(NotifyError::Misconfigured { .. })), "{other}: {told:?}");
        }
    }
}
