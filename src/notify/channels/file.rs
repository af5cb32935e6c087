//! `file`: a line of JSON a notification, added to a file.
//!
//! The file is opened anew for each, so that it can be rotated away, and is on the disk before the
//! notification counts as accepted.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::aws::Session;
use async_trait::async_trait;

use super::line::Lines;
use super::{Channel, ChannelConfig, ConnectError, line};
use crate::notify::route_parser::RouteParser;
use crate::notify::{Content, Notification, Notifier, NotifyError, TemplateError};
use crate::settings::InvalidValue;

/// The channel.
pub const CHANNEL: Channel = Channel { name: "file", read };

#[derive(Debug, Clone)]
struct FileRoute {
    path: PathBuf,
    max_bytes: usize,
    timeout: Duration,
}

/// A file of lines.
#[derive(Debug)]
struct File {
    settings: FileRoute,
    lines: Lines,
}

fn read(route: &mut RouteParser<'_, '_>) -> Option<Arc<dyn ChannelConfig>> {
    let path = route.fields.text("path", |text| match text {
        "" => Err(InvalidValue::expected("a path")),
        path => Ok(PathBuf::from(path)),
    });
    let max_bytes = route.max_bytes();
    let path = route.fields.needed("path", path)?;
    Some(Arc::new(FileRoute { path, max_bytes, timeout: route.defaults.timeout }))
}

impl ChannelConfig for FileRoute {
    fn connect(&self, _aws: Option<&Session>) -> Result<Arc<dyn Notifier>, ConnectError> {
        Ok(Arc::new(File { settings: self.clone(), lines: Lines::new(self.timeout) }))
    }
}

#[async_trait]
impl Notifier for File {
    fn limit(&self) -> usize {
        self.settings.max_bytes
    }

    fn compose(&self, content: &Content<'_>) -> Result<Notification, TemplateError> {
        Ok(line::compose(content))
    }

    async fn check(&self) -> Result<Option<String>, NotifyError> {
        let path = self.settings.path.clone();
        let shown = path.display().to_string();
        match self.lines.check(move || can_be_appended(&path)).await {
            Ok(()) => Ok(Some(format!("{shown} can be written"))),
            Err(error) => {
                Err(NotifyError::Misconfigured { what: format!("{shown} cannot be written: {error}") })
            }
        }
    }

    async fn notify(&self, notification: &Notification) -> Result<(), NotifyError> {
        let path = self.settings.path.clone();
        let open = move || OpenOptions::new().create(true).append(true).open(path);
        let written = self.lines.write(notification, open, |file| file.sync_data());
        written.await.map_err(|error| {
            let what = format!("{} cannot be written: {error}", self.settings.path.display());
            match error.kind() {
                ErrorKind::NotFound
                | ErrorKind::PermissionDenied
                | ErrorKind::IsADirectory
                | ErrorKind::ReadOnlyFilesystem => NotifyError::Misconfigured { what },
                _ => NotifyError::Transient { what, retry_after: None },
            }
        })
    }
}

/// Whether lines can be added. A file that does not exist yet can be created where its folder exists;
/// nothing is created here.
fn can_be_appended(path: &Path) -> std::io::Result<()> {
    match OpenOptions::new().append(true).open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            std::fs::metadata(folder.unwrap_or(Path::new("."))).map(drop)
        }
        opened => opened.map(drop),
    }
}
