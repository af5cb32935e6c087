//! Whether incidents can be kept where the settings say.

use super::CheckResult;
use crate::aws::Session;
use crate::incidents::location::StoreLocation;

/// What the line is called.
const CHECK: &str = "incident store";

/// Looks at the store, where there is one.
pub async fn check(location: &StoreLocation, aws: Option<&Session>) -> Vec<CheckResult> {
    match location {
        StoreLocation::Off => vec![],
        #[cfg(feature = "sqlite")]
        StoreLocation::Sqlite(path) => vec![sqlite(path)],
        #[cfg(feature = "dynamodb")]
        StoreLocation::Dynamodb(table) => match aws {
            Some(aws) => vec![dynamodb(table, aws).await],
            None => vec![CheckResult::fail(
                CHECK,
                format!("the table {table} was not looked at"),
                "check the results for AWS above",
            )],
        },
        #[cfg(not(all(feature = "sqlite", feature = "dynamodb")))]
        _ => match location.open(aws).await {
            Ok(_) => vec![],
            Err(error) => {
                vec![CheckResult::fail(
                    CHECK,
                    error.to_string(),
                    "take a build that has it, or another store",
                )]
            }
        },
    }
}

/// The folder has to be writable too: SQLite has two more files beside this one.
#[cfg(feature = "sqlite")]
fn sqlite(path: &std::path::Path) -> CheckResult {
    use crate::incidents::sqlite::network_file_system;
    use rustix::fs::{Access, access};

    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(std::path::Path::new("."));
    let shown = path.display();
    match network_file_system(folder) {
        Err(error) => {
            let found = format!("{shown}: {}: {error}", folder.display());
            return CheckResult::fail(CHECK, found, "make the folder, writable for the worker's user");
        }
        Ok(Some(kind)) => {
            let found = format!("{shown} lies on {kind}, over which SQLite's write-ahead log does not work");
            return CheckResult::fail(CHECK, found, "name a disk of this machine, or dynamodb:TABLE");
        }
        Ok(None) => {}
    }
    let writable = access(folder, Access::WRITE_OK | Access::EXEC_OK);
    let writable = writable.map_err(|error| (folder, error)).and_then(|()| match path.exists() {
        true => access(path, Access::READ_OK | Access::WRITE_OK).map_err(|error| (path, error)),
        false => Ok(()),
    });
    match writable {
        Ok(()) => CheckResult::ok(CHECK, format!("{shown} can be written, on a disk of this machine")),
        Err((which, error)) => CheckResult::fail(
            CHECK,
            format!("{} cannot be written: {error}", which.display()),
            "make it writable for the worker's user",
        ),
    }
}

#[cfg(feature = "dynamodb")]
async fn dynamodb(table: &str, aws: &Session) -> CheckResult {
    use crate::incidents::dynamodb::DynamodbStore;
    use crate::incidents::store::StoreError;

    let advice = "docs/incidents.md has the table, docs/iam.md what the worker needs to do with it";
    match DynamodbStore::new(aws, table).inspect().await {
        Ok(found) if !found.faults.is_empty() => {
            CheckResult::fail(CHECK, format!("the table {table}: {}", found.faults.join("; ")), advice)
        }
        Ok(found) => {
            let how = if found.described { "" } else { ", which may not be described" };
            CheckResult::ok(
                CHECK,
                format!("the table {table}{how} can be read and written, and its index read"),
            )
        }
        Err(error @ StoreError::Unavailable(_)) => {
            CheckResult::fail(CHECK, error.to_string(), "check the region, the network and AWS_ENDPOINT_URL")
        }
        Err(error @ StoreError::Unusable(_)) => CheckResult::fail(CHECK, error.to_string(), advice),
    }
}

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use super::*;
    use crate::check::Verdict;

    #[tokio::test]
    async fn a_file_needs_a_folder_that_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("incidents.db");
        let found = check(&StoreLocation::Sqlite(path.clone()), None).await;
        assert_eq!(found[0].verdict, Verdict::Ok, "{found:?}");
        assert!(!path.exists(), "nothing is made");
        let found = check(&StoreLocation::Sqlite("/nowhere/incidents.db".into()), None).await;
        assert_eq!(found[0].verdict, Verdict::Fail, "{found:?}");
        assert_eq!(check(&StoreLocation::Off, None).await, vec![]);
    }
}
