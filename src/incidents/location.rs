//! Where a store of incidents is, as the settings name it.

use std::path::PathBuf;
use std::sync::Arc;

use super::store::{IncidentStore, StoreError};
use crate::settings::InvalidValue;

/// Where incidents are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreLocation {
    /// Nowhere: each failure is notified by itself.
    Off,
    /// In a SQLite file on a disk of this machine.
    Sqlite(PathBuf),
}

impl StoreLocation {
    /// Reads `off` or `sqlite:PATH`.
    ///
    /// # Errors
    /// What was expected.
    pub fn parse(text: &str) -> Result<Self, InvalidValue> {
        match text.split_once(':') {
            None if text == "off" => Ok(Self::Off),
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(path.into())),
            _ => Err(InvalidValue::found("off or sqlite:PATH", text)),
        }
    }

    /// Opens the store; `None` where there is none.
    ///
    /// # Errors
    /// When it cannot be used, or this build cannot use it.
    pub fn open(&self) -> Result<Option<Arc<dyn IncidentStore>>, StoreError> {
        match self {
            Self::Off => Ok(None),
            #[cfg(feature = "sqlite")]
            Self::Sqlite(path) => Ok(Some(Arc::new(super::sqlite::SqliteStore::open(path)?))),
            #[cfg(not(feature = "sqlite"))]
            Self::Sqlite(_) => Err(StoreError::Unusable(
                "this build has no SQLite: build it with the cargo feature sqlite".to_owned(),
            )),
        }
    }
}
