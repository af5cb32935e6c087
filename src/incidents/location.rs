//! Where a store of incidents is, as the settings name it.

use std::path::PathBuf;
use std::sync::Arc;

use super::store::{IncidentStore, StoreError};
use crate::aws::Session;
use crate::settings::InvalidValue;

/// Where incidents are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreLocation {
    /// Nowhere: each failure is notified by itself.
    Off,
    /// In a SQLite file on a disk of this machine.
    Sqlite(PathBuf),
    /// In a DynamoDB table of the worker's account and region.
    Dynamodb(String),
}

impl StoreLocation {
    /// Reads `off`, `sqlite:PATH` or `dynamodb:TABLE`.
    ///
    /// # Errors
    /// What was expected.
    pub fn parse(text: &str) -> Result<Self, InvalidValue> {
        match text.split_once(':') {
            None if text == "off" => Ok(Self::Off),
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(path.into())),
            Some(("dynamodb", table)) if is_table(table) => Ok(Self::Dynamodb(table.to_owned())),
            _ => Err(InvalidValue::found("off, sqlite:PATH or dynamodb:TABLE", text)),
        }
    }

    /// Whether it is opened with credentials of AWS.
    pub fn needs_aws(&self) -> bool {
        matches!(self, Self::Dynamodb(_))
    }

    /// Opens the store; `None` if incidents are off. Only DynamoDB needs `aws`.
    ///
    /// # Errors
    /// When it cannot be used, or this build cannot use it.
    pub async fn open(&self, aws: Option<&Session>) -> Result<Option<Arc<dyn IncidentStore>>, StoreError> {
        match self {
            Self::Off => Ok(None),
            #[cfg(feature = "sqlite")]
            Self::Sqlite(path) => Ok(Some(Arc::new(super::sqlite::SqliteStore::open(path)?))),
            #[cfg(not(feature = "sqlite"))]
            Self::Sqlite(_) => Err(StoreError::Unusable(
                "this build has no SQLite: build it with the cargo feature sqlite".to_owned(),
            )),
            #[cfg(feature = "dynamodb")]
            Self::Dynamodb(table) => {
                let aws = aws.ok_or_else(|| {
                    StoreError::Unusable("a DynamoDB table needs AWS credentials and a region".to_owned())
                })?;
                Ok(Some(Arc::new(super::dynamodb::DynamodbStore::open(aws, table).await?)))
            }
            #[cfg(not(feature = "dynamodb"))]
            Self::Dynamodb(_) => {
                let _unused = aws;
                Err(StoreError::Unusable(
                    "this build has no DynamoDB: build it with the cargo feature dynamodb".to_owned(),
                ))
            }
        }
    }
}

/// Whether DynamoDB takes this as the name of a table (Amazon DynamoDB, Naming rules).
fn is_table(name: &str) -> bool {
    let may_have = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    (3..=255).contains(&name.len()) && name.chars().all(may_have)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_named_by_its_kind_and_its_place() {
        let parsed = |text| StoreLocation::parse(text).unwrap();
        assert_eq!(parsed("off"), StoreLocation::Off);
        assert_eq!(parsed("sqlite:/a:b.db"), StoreLocation::Sqlite("/a:b.db".into()));
        let table = StoreLocation::Dynamodb("misstep.incidents-1".to_owned());
        assert_eq!(parsed("dynamodb:misstep.incidents-1"), table);
        for wrong in ["", "on", "sqlite:", "sqlite", "dynamodb:", "dynamodb:ab", "dynamodb:a/b/c", "redis:x"]
        {
            assert!(StoreLocation::parse(wrong).is_err(), "{wrong}");
        }
    }
}
