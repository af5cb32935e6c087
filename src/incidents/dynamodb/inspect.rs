//! Whether a table is as the store needs it, and what may be done with it. Nothing is changed: what would
//! change something is asked for on conditions that do not hold, or of items that do not exist.

use std::fmt::Display;

use aws_sdk_dynamodb::types::{
    KeySchemaElement, KeyType, ScalarAttributeType, TableDescription, TableStatus,
};

use super::item::{Item, ItemKey, number};
use super::{DynamodbStore, IncidentStore as _, Timestamp};
use crate::aws::error::ErrorClass;
use crate::incidents::store::StoreError;

/// No incident is called so.
const NOTHING: &str = "misstep-check";

/// What a look at a table found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableInspection {
    /// Whether it may be described. Otherwise its keys show in the calls alone.
    pub described: bool,
    /// What is wrong with it.
    pub faults: Vec<String>,
}

impl DynamodbStore {
    /// Looks at the table, and tries each kind of call on it.
    ///
    /// # Errors
    /// The first call that does not work.
    pub async fn inspect(&self) -> Result<TableInspection, StoreError> {
        let table = &self.table;
        let call = table.client.describe_table().table_name(&table.name);
        let described = match table.calls.counted("DescribeTable", call.send()).await {
            Ok(answer) => answer.table,
            Err(error) if ErrorClass::of(&error) == ErrorClass::Denied => None,
            Err(error) => return Err(table.error("DescribeTable", &error)),
        };
        let faults = described.as_ref().map(faults).unwrap_or_default();
        if faults.is_empty() {
            self.try_calls().await?;
        }
        Ok(TableInspection { described: described.is_some(), faults })
    }

    async fn try_calls(&self) -> Result<(), StoreError> {
        let nothing = ItemKey { pk: NOTHING.to_owned(), sk: NOTHING.to_owned() };
        let another = |sk: &str| ItemKey { pk: NOTHING.to_owned(), sk: sk.to_owned() };
        self.is_set_up().await?;
        self.table.get_all(std::slice::from_ref(&nothing)).await?;
        self.table.partition(NOTHING, "pk").await?;
        self.due(Timestamp::MIN, 1).await?;
        let mut never = nothing.item();
        never.insert("ver".to_owned(), number(0));
        self.table.put_over(never, 0).await?;
        let exists = "attribute_exists(pk)";
        let value = Item::from([(":num".to_owned(), number(0))]);
        let writes = vec![
            self.table.check(&nothing, exists, None),
            self.table.update(&another("update"), "SET num = :num", exists, value),
            self.table.delete(&another("delete"), Some(exists), None),
        ];
        self.table.transact(writes).await?;
        self.table.delete_all(&[nothing]).await
    }
}

fn faults(table: &TableDescription) -> Vec<String> {
    let mut faults = Vec::new();
    if !matches!(table.table_status(), None | Some(TableStatus::Active | TableStatus::Updating)) {
        faults.push(format!("it is {}", shown(table.table_status())));
    }
    let kind = |name: &str| {
        let definition = table.attribute_definitions().iter().find(|found| found.attribute_name() == name);
        definition.map(|definition| definition.attribute_type().clone())
    };
    let keys = [("pk", ScalarAttributeType::S), ("sk", ScalarAttributeType::S)];
    if !has_keys(table.key_schema(), keys.each_ref().map(|(name, _)| *name))
        || keys.iter().any(|(name, wanted)| kind(name).as_ref() != Some(wanted))
    {
        faults.push("its keys are not pk and sk, both strings".to_owned());
    }
    match table.global_secondary_indexes().iter().find(|index| index.index_name() == Some("due")) {
        None => faults.push("it has no global secondary index called due".to_owned()),
        Some(index) => {
            let is_right = has_keys(index.key_schema(), ["due", "due_at"])
                && kind("due") == Some(ScalarAttributeType::S)
                && kind("due_at") == Some(ScalarAttributeType::N);
            if !is_right {
                faults
                    .push("the keys of its index due are not due, a string, and due_at, a number".to_owned());
            }
        }
    }
    faults
}

fn has_keys(schema: &[KeySchemaElement], [hash, range]: [&str; 2]) -> bool {
    let is = |name: &str, kind: KeyType| {
        schema.iter().any(|key| key.attribute_name() == name && *key.key_type() == kind)
    };
    schema.len() == 2 && is(hash, KeyType::Hash) && is(range, KeyType::Range)
}

fn shown(status: Option<&impl Display>) -> String {
    status.map(ToString::to_string).unwrap_or_default()
}
