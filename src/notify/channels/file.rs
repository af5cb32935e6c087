//! `file`: a line of JSON a notification, added to a file.
//!
//! The file is opened anew for each, so that it can be rotated away, and is on the disk before the
//! notification counts as taken.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;

use super::line::in_time;
use super::{Channel, Connect, line};
use crate::notify::settings::Reading;
use crate::notify::{Material, Notification, Notifier, NotifyError};

/// The channel.
pub const CHANNEL: Channel = Channel { name: "file", read };

#[derive(Debug, Clone)]
struct Settings {
    path: PathBuf,
    max_bytes: usize,
    timeout: Duration,
}

/// A file of lines.
#[derive(Debug)]
struct File {
    settings: Settings,
    /// Held while a line is written; true when the last one was not written to its end.
    torn: Arc<Mutex<bool>>,
}

fn read(reading: &mut Reading<'_, '_>) -> Option<Arc<dyn Connect>> {
    let path = reading.fields.text("path", |text| match text {
        "" => Err("expected a path".to_owned()),
        path => Ok(PathBuf::from(path)),
    });
    let max_bytes = reading.max_bytes();
    let path = reading.fields.needed("path", path)?;
    Some(Arc::new(Settings { path, max_bytes, timeout: reading.defaults.timeout }))
}

impl Connect for Settings {
    fn connect(&self, _aws: Option<&SdkConfig>) -> Result<Arc<dyn Notifier>, String> {
        Ok(Arc::new(File { settings: self.clone(), torn: Arc::default() }))
    }
}

#[async_trait]
impl Notifier for File {
    fn limit(&self) -> usize {
        self.settings.max_bytes
    }

    fn compose(&self, material: &Material<'_>) -> Result<Notification, String> {
        Ok(line::compose(material))
    }

    async fn check(&self) -> Result<Option<String>, NotifyError> {
        let path = &self.settings.path;
        // What is not there yet can be made where its folder is; nothing is made here.
        let looked = match std::fs::OpenOptions::new().append(true).open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                std::fs::metadata(folder.unwrap_or(Path::new("."))).map(drop)
            }
            opened => opened.map(drop),
        };
        match looked {
            Ok(()) => Ok(Some(format!("{} can be written", path.display()))),
            Err(error) => Err(NotifyError::Misconfigured {
                what: format!("{} cannot be written: {error}", path.display()),
            }),
        }
    }

    async fn notify(&self, notification: &Notification) -> Result<(), NotifyError> {
        let (path, torn, body) = (self.settings.path.clone(), self.torn.clone(), notification.body.clone());
        let written = tokio::task::spawn_blocking(move || {
            let mut torn = torn.lock().unwrap_or_else(PoisonError::into_inner);
            add(&path, &body, &mut torn)
        });
        let what = |error: &dyn std::fmt::Display| {
            format!("{} cannot be written: {error}", self.settings.path.display())
        };
        match in_time(self.settings.timeout, written).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(match error.kind() {
                ErrorKind::NotFound
                | ErrorKind::PermissionDenied
                | ErrorKind::IsADirectory
                | ErrorKind::ReadOnlyFilesystem => NotifyError::Misconfigured { what: what(&error) },
                _ => NotifyError::Transient { what: what(&error), retry_after: None },
            }),
            Err(ended) => Err(NotifyError::Transient { what: what(&ended), retry_after: None }),
        }
    }
}

/// Adds a line in one write, after ending one that was torn.
fn add(path: &Path, line: &[u8], torn: &mut bool) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
    let whole = if *torn { [b"\n", line].concat() } else { line.to_vec() };
    *torn = true;
    file.write_all(&whole)?;
    *torn = false;
    file.sync_data()
}
