//! The model of the notification API.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use misstep::notify::channels::http::Envelope;
use misstep::notify::filter::Filter;
use misstep::notify::{
    Audience, Content, Form, Grouping, Notification, Notifier, NotifyError, Route, TemplateError,
};
use misstep::redact::{Redactor, Rules};
use serde_json::Value;

use super::{Chance, Event, Faults, Record};

/// What the API does, beyond its faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// Takes what comes, after this time.
    Up(Duration),
    /// Refuses connections.
    Down,
    /// Answers 403.
    Forbidden,
    /// Answers 422.
    Refusing,
    /// Answers 429 with this `Retry-After`.
    Busy(Duration),
}

/// A notification API.
#[derive(Clone)]
pub struct ModelApi {
    mood: Arc<Mutex<Mood>>,
    refused: Arc<Mutex<Option<String>>>,
    panics: Arc<Mutex<Option<String>>>,
    slow: Arc<Mutex<Option<(usize, Duration)>>>,
    largest: Arc<AtomicUsize>,
    limit: Arc<AtomicUsize>,
    faults: Faults,
    chance: Chance,
    record: Record,
}

impl ModelApi {
    /// An API that answers after 20 ms.
    pub fn new(faults: Faults, chance: Chance, record: Record) -> Self {
        let mood = Arc::new(Mutex::new(Mood::Up(Duration::from_millis(20))));
        Self {
            mood,
            refused: Arc::default(),
            panics: Arc::default(),
            slow: Arc::default(),
            largest: Arc::default(),
            limit: Arc::new(AtomicUsize::new(262_144)),
            faults,
            chance,
            record,
        }
    }

    /// Changes what it does from now on.
    pub fn set_mood(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// Answers 503 to every notification whose body holds this text.
    pub fn refuse(&self, text: &str) {
        *self.refused.lock().unwrap() = Some(text.to_owned());
    }

    /// Panics, as a defect would, at every notification whose body holds this text.
    pub fn panic_at(&self, text: &str) {
        *self.panics.lock().unwrap() = Some(text.to_owned());
    }

    /// Takes so long for the developers' notification of every `every`-th execution.
    pub fn set_slow_every(&self, every: usize, delay: Duration) {
        *self.slow.lock().unwrap() = Some((every, delay));
    }

    /// Takes notifications of so many bytes at most.
    pub fn set_limit(&self, bytes: usize) {
        self.limit.store(bytes, Ordering::Relaxed);
    }

    /// The size of the largest body that came, in bytes.
    pub fn largest(&self) -> usize {
        self.largest.load(Ordering::Relaxed)
    }

    fn is_slow(&self, body: &Value, every: usize) -> bool {
        let execution = body["data"]["event_info"]["execution_arn"].as_str().unwrap();
        let number: usize = execution.rsplit('-').next().unwrap().parse().unwrap();
        number.is_multiple_of(every) && body["emailType"] == "INTERNAL_ENQUIRY_ERROR"
    }
}

/// The two routes that lead to `notifier`.
pub fn routes(notifier: Arc<dyn Notifier>) -> Vec<Route> {
    let audiences = [Audience::Developers, Audience::CustomerAssist];
    audiences.map(|audience| route(audience.name(), audience.clone(), notifier.clone())).into()
}

/// A required route for everything.
pub fn route(name: &str, audience: Audience, notifier: Arc<dyn Notifier>) -> Route {
    Route {
        name: name.into(),
        audience,
        required: true,
        filter: Filter::default(),
        form: Form::Full,
        redactor: Arc::new(Redactor::new(&Rules::default())),
        logs: false,
        grouping: Grouping::Each,
        notifier,
    }
}

#[async_trait]
impl Notifier for ModelApi {
    fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    fn compose(&self, content: &Content<'_>) -> Result<Notification, TemplateError> {
        let envelope = Envelope { group_email: Some("people@example.com".to_owned()), ..Envelope::default() };
        Ok(Notification::of(content, envelope.around(content.audience, content.notice)))
    }

    async fn notify(&self, notification: &Notification) -> Result<(), NotifyError> {
        let transient = |what: &str| Err(NotifyError::Transient { what: what.to_owned(), retry_after: None });
        let mood = *self.mood.lock().unwrap();
        let faults = self.faults;
        let delay = match mood {
            Mood::Up(delay) => delay,
            Mood::Down => return transient("connection refused"),
            Mood::Busy(after) => {
                return Err(NotifyError::Transient {
                    what: "answered 429".to_owned(),
                    retry_after: Some(after),
                });
            }
            Mood::Refusing => return Err(NotifyError::Rejected { what: "answered 422".to_owned() }),
            Mood::Forbidden => return Err(NotifyError::Misconfigured { what: "answered 403".to_owned() }),
        };
        self.largest.fetch_max(notification.body.len(), Ordering::Relaxed);
        let body: Value = serde_json::from_slice(&notification.body).unwrap();
        let slow = *self.slow.lock().unwrap();
        let delay = match slow {
            Some((every, slow)) if self.is_slow(&body, every) => slow,
            _ => delay,
        };
        tokio::time::sleep(delay).await;
        let panics = self.panics.lock().unwrap().clone();
        assert!(!panics.is_some_and(|text| body.to_string().contains(&text)), "as the test wants it");
        let refused = self.refused.lock().unwrap().clone();
        if refused.is_some_and(|text| body.to_string().contains(&text)) {
            return transient("answered 503");
        }
        if self.chance.of(faults.api_busy) {
            return transient("answered 503");
        }
        self.record.add(Event::Notified {
            key: notification.idempotency_key.clone(),
            execution: body["data"]["event_info"]["execution_arn"].as_str().unwrap().to_owned(),
            email_type: body["emailType"].as_str().unwrap().to_owned(),
            degraded: body["data"]["analysis"]["degraded"].as_str().map(str::to_owned),
        });
        if self.chance.of(faults.api_reply_lost) {
            self.record.add(Event::Fault { kind: "api-reply-lost", messages: 1 });
            return transient("connection reset");
        }
        Ok(())
    }
}
