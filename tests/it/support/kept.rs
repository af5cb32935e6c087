//! A channel that keeps what it takes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use misstep::notify::{Content, Notification, Notifier, NotifyError, TemplateError};
use serde_json::Value;
use tokio::sync::watch;

/// What a channel of the test answers.
pub(crate) type Answering = dyn Fn(usize) -> Result<(), NotifyError> + Send + Sync;

/// A channel that keeps what it takes, and answers as the test says.
#[derive(Clone)]
pub(crate) struct Kept {
    pub(crate) taken: Arc<Mutex<Vec<Value>>>,
    pub(crate) attempts: watch::Sender<usize>,
    pub(crate) answers: Arc<Answering>,
    /// How long an attempt takes.
    pub(crate) takes: Duration,
    pub(crate) fails_to_compose: bool,
    /// The most bytes of a notification.
    pub(crate) limit: usize,
}

impl Kept {
    pub(crate) fn new(answers: impl Fn(usize) -> Result<(), NotifyError> + Send + Sync + 'static) -> Self {
        Self {
            taken: Arc::default(),
            attempts: watch::Sender::new(0),
            answers: Arc::new(answers),
            takes: Duration::from_millis(20),
            fails_to_compose: false,
            limit: 262_144,
        }
    }

    pub(crate) fn willing() -> Self {
        Self::new(|_| Ok(()))
    }

    pub(crate) fn taken(&self) -> Vec<Value> {
        self.taken.lock().unwrap().clone()
    }

    pub(crate) fn attempts(&self) -> usize {
        *self.attempts.borrow()
    }
}

#[async_trait]
impl Notifier for Kept {
    fn limit(&self) -> usize {
        self.limit
    }

    fn compose(&self, content: &Content<'_>) -> Result<Notification, TemplateError> {
        if self.fails_to_compose {
            return Err(TemplateError::Fails { line: Some(1), what: "undefined value".to_owned() });
        }
        Ok(Notification::of(content, content.notice.data().to_string()))
    }

    async fn notify(&self, notification: &Notification) -> Result<(), NotifyError> {
        tokio::time::sleep(self.takes).await;
        let attempt = self.attempts() + 1;
        self.attempts.send_replace(attempt);
        (self.answers)(attempt)?;
        self.taken.lock().unwrap().push(serde_json::from_slice(&notification.body).unwrap());
        Ok(())
    }
}
