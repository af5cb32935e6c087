//! Calls on the table: each one counted, bounded in time, and its errors told apart.

use std::error::Error;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Delete, DeleteRequest, KeysAndAttributes, Put, TransactWriteItem, Update,
    WriteRequest,
};

use super::item::{Item, ItemKey, read_number, text};
use crate::aws::error::ErrorClass;
use crate::aws::{CallCounter, Session};
use crate::incidents::store::StoreError;
use crate::metrics::Service;
use crate::telemetry::chain;

/// How long a call may take. A query reads 1 MB at most.
const LIMIT: Duration = Duration::from_secs(5);

/// The most items of a `BatchGetItem` (Amazon DynamoDB API, BatchGetItem).
const GETS: usize = 100;

/// The most items of a `BatchWriteItem` (Amazon DynamoDB API, BatchWriteItem).
const DELETES: usize = 25;

/// How often what DynamoDB left out of a batch is asked for again.
const BATCH_ATTEMPTS: u32 = 6;

/// What came of a transaction.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Transacted {
    /// All of it is written.
    Done,
    /// Nothing is written: the conditions at these places do not hold.
    Refused(Vec<usize>),
    /// Nothing is written: another transaction was at one of the items.
    Conflict,
}

/// The table.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) client: Client,
    pub(super) calls: CallCounter,
}

impl Table {
    pub(super) fn new(aws: &Session, name: &str) -> Self {
        let client = Client::new(&aws.client_config(None, LIMIT));
        Self { name: name.to_owned(), client, calls: aws.counter(Service::Dynamodb) }
    }

    /// Reads an item, with all that was written before.
    pub(super) async fn get(&self, key: &ItemKey) -> Result<Option<Item>, StoreError> {
        let call = self.client.get_item().table_name(&self.name).set_key(Some(key.item()));
        let answer = self.calls.counted("GetItem", call.consistent_read(true).send()).await;
        answer.map(|answer| answer.item).map_err(|error| self.error("GetItem", &error))
    }

    /// Reads items; what does not exist is left out. In no order.
    pub(super) async fn get_all(&self, keys: &[ItemKey]) -> Result<Vec<Item>, StoreError> {
        let mut items = Vec::new();
        for keys in keys.chunks(GETS) {
            let mut left: Vec<Item> = keys.iter().map(ItemKey::item).collect();
            for attempt in 0.. {
                let wanted = KeysAndAttributes::builder().consistent_read(true).set_keys(Some(left)).build();
                let call =
                    self.client.batch_get_item().request_items(&self.name, wanted.expect("keys are set"));
                let answer = self.calls.counted("BatchGetItem", call.send()).await;
                let answer = answer.map_err(|error| self.error("BatchGetItem", &error))?;
                items.extend(answer.responses.unwrap_or_default().into_values().flatten());
                let unprocessed = answer.unprocessed_keys.unwrap_or_default();
                left = unprocessed.into_values().flat_map(|wanted| wanted.keys).collect();
                if left.is_empty() {
                    break;
                }
                self.again("BatchGetItem", attempt).await?;
            }
        }
        Ok(items)
    }

    /// Writes an item if the one in its place still has this version. `false` if it has not, or a
    /// transaction was at it.
    pub(super) async fn put_over(&self, item: Item, version: u64) -> Result<bool, StoreError> {
        let call = self.client.put_item().table_name(&self.name).set_item(Some(item));
        let call = call.condition_expression("ver = :ver");
        self.put(call.expression_attribute_values(":ver", AttributeValue::N(version.to_string()))).await
    }

    /// Writes an item unless it exists. `false` if it does.
    pub(super) async fn put_new(&self, item: Item) -> Result<bool, StoreError> {
        let call = self.client.put_item().table_name(&self.name).set_item(Some(item));
        self.put(call.condition_expression("attribute_not_exists(pk)")).await
    }

    async fn put(
        &self,
        call: aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder,
    ) -> Result<bool, StoreError> {
        let Err(error) = call.send().await else {
            self.calls.count("PutItem", None);
            return Ok(true);
        };
        let refused = error.as_service_error().is_some_and(|error| {
            error.is_conditional_check_failed_exception() || error.is_transaction_conflict_exception()
        });
        // That somebody else was faster is an answer.
        self.calls.count("PutItem", (!refused).then(|| ErrorClass::of(&error)));
        if refused { Ok(false) } else { Err(self.error("PutItem", &error)) }
    }

    /// The items of a partition, in the order of their sort keys, to the last page.
    pub(super) async fn partition(&self, pk: &str, projection: &str) -> Result<Vec<Item>, StoreError> {
        let query = self.of_partition(pk, "pk = :pk").consistent_read(true).projection_expression(projection);
        self.pages(query, usize::MAX).await
    }

    /// The last item of a partition whose sort key begins so.
    pub(super) async fn last(&self, pk: &str, beginning: &str) -> Result<Option<Item>, StoreError> {
        let query = self
            .of_partition(pk, "pk = :pk AND begins_with(sk, :beginning)")
            .expression_attribute_values(":beginning", text(beginning))
            .consistent_read(true)
            .scan_index_forward(false);
        Ok(self.pages(query, 1).await?.pop())
    }

    /// The items of a partition with the highest sort keys, the highest first.
    pub(super) async fn newest(&self, pk: &str, most: usize) -> Result<Vec<Item>, StoreError> {
        let query = self.of_partition(pk, "pk = :pk").consistent_read(true).scan_index_forward(false);
        self.pages(query, most).await
    }

    /// The keys in the index `due` up to this time. An index cannot be read consistently.
    pub(super) async fn due(&self, pk: &str, until: i64, most: usize) -> Result<Vec<Item>, StoreError> {
        let query = self
            .of_partition(pk, "due = :pk AND due_at <= :until")
            .index_name("due")
            .expression_attribute_values(":until", AttributeValue::N(until.to_string()));
        self.pages(query, most).await
    }

    fn of_partition(&self, pk: &str, condition: &str) -> QueryFluentBuilder {
        let query = self.client.query().table_name(&self.name).key_condition_expression(condition);
        query.expression_attribute_values(":pk", text(pk))
    }

    /// A query answers with 1 MB at most, and where to go on from.
    async fn pages(&self, query: QueryFluentBuilder, most: usize) -> Result<Vec<Item>, StoreError> {
        let query = match i32::try_from(most) {
            Ok(limit) => query.limit(limit.max(1)),
            Err(_) => query,
        };
        let (mut items, mut from) = (Vec::new(), None);
        loop {
            let page = query.clone().set_exclusive_start_key(from).send();
            let page =
                self.calls.counted("Query", page).await.map_err(|error| self.error("Query", &error))?;
            items.extend(page.items.unwrap_or_default());
            from = page.last_evaluated_key.filter(|key| !key.is_empty());
            if from.is_none() || items.len() >= most {
                items.truncate(most);
                return Ok(items);
            }
        }
    }

    /// Writes all or nothing.
    pub(super) async fn transact(&self, writes: Vec<TransactWriteItem>) -> Result<Transacted, StoreError> {
        let call = self.client.transact_write_items().set_transact_items(Some(writes));
        let Err(error) = call.send().await else {
            self.calls.count("TransactWriteItems", None);
            return Ok(Transacted::Done);
        };
        let cancelled = match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(answer)) => {
                let reasons = answer.cancellation_reasons();
                Some(cancelled(&self.name, reasons.iter().map(|why| (why.code(), why.message()))))
            }
            _ => None,
        };
        let failed = match &cancelled {
            Some(Ok(_)) => None,
            Some(Err(StoreError::Unavailable(_))) => Some(ErrorClass::Throttled),
            Some(Err(StoreError::Unusable(_))) => Some(ErrorClass::Invalid),
            None => Some(ErrorClass::of(&error)),
        };
        self.calls.count("TransactWriteItems", failed);
        cancelled.unwrap_or_else(|| Err(self.error("TransactWriteItems", &error)))
    }

    /// Deletes items, those that do not exist included.
    pub(super) async fn delete_all(&self, keys: &[ItemKey]) -> Result<(), StoreError> {
        for keys in keys.chunks(DELETES) {
            let delete = |key: &ItemKey| {
                let delete = DeleteRequest::builder().set_key(Some(key.item())).build();
                WriteRequest::builder().delete_request(delete.expect("a key is set")).build()
            };
            let mut left: Vec<WriteRequest> = keys.iter().map(delete).collect();
            for attempt in 0.. {
                let call = self.client.batch_write_item().request_items(&self.name, left);
                let answer = self.calls.counted("BatchWriteItem", call.send()).await;
                let answer = answer.map_err(|error| self.error("BatchWriteItem", &error))?;
                left = answer.unprocessed_items.unwrap_or_default().into_values().flatten().collect();
                if left.is_empty() {
                    break;
                }
                self.again("BatchWriteItem", attempt).await?;
            }
        }
        Ok(())
    }

    /// Waits before what is left of a batch is asked for again. DynamoDB leaves out what it throttles.
    async fn again(&self, operation: &str, attempt: u32) -> Result<(), StoreError> {
        if attempt >= BATCH_ATTEMPTS {
            return Err(StoreError::Unavailable(format!("{}: {operation}: throttled", self.name)));
        }
        pause(attempt).await;
        Ok(())
    }

    pub(super) fn put_if_new(&self, item: Item) -> TransactWriteItem {
        let put = Put::builder().table_name(&self.name).set_item(Some(item));
        let put = put.condition_expression("attribute_not_exists(pk)").build();
        TransactWriteItem::builder().put(put.expect("table and item are set")).build()
    }

    pub(super) fn put_always(&self, item: Item) -> TransactWriteItem {
        let put = Put::builder().table_name(&self.name).set_item(Some(item)).build();
        TransactWriteItem::builder().put(put.expect("table and item are set")).build()
    }

    pub(super) fn check(&self, key: &ItemKey, condition: &str, values: Option<Item>) -> TransactWriteItem {
        let check = ConditionCheck::builder().table_name(&self.name).set_key(Some(key.item()));
        let check = check.condition_expression(condition).set_expression_attribute_values(values).build();
        TransactWriteItem::builder().condition_check(check.expect("table, key and condition are set")).build()
    }

    pub(super) fn update(
        &self,
        key: &ItemKey,
        update: &str,
        condition: &str,
        values: Item,
    ) -> TransactWriteItem {
        let item = Update::builder().table_name(&self.name).set_key(Some(key.item()));
        let item = item.update_expression(update).condition_expression(condition);
        let item = item.set_expression_attribute_values(Some(values)).build();
        TransactWriteItem::builder().update(item.expect("table, key and update are set")).build()
    }

    pub(super) fn delete(
        &self,
        key: &ItemKey,
        condition: Option<&str>,
        values: Option<Item>,
    ) -> TransactWriteItem {
        let delete = Delete::builder().table_name(&self.name).set_key(Some(key.item()));
        let delete = delete.set_condition_expression(condition.map(str::to_owned));
        let delete = delete.set_expression_attribute_values(values).build();
        TransactWriteItem::builder().delete(delete.expect("table and key are set")).build()
    }

    /// What a failed call means for whoever needs the store.
    pub(super) fn error<E>(&self, operation: &str, error: &SdkError<E>) -> StoreError
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let class = ErrorClass::of(error);
        let what = format!("{}: {operation}: {}", self.name, chain(error));
        if class.is_passing() {
            return StoreError::Unavailable(what);
        }
        let advice = match class {
            ErrorClass::Denied => {
                format!("; allow dynamodb:{} on the table, and on its index for Query", action(operation))
            }
            ErrorClass::Gone => {
                "; there is no such table in this region: make it, or correct MISSTEP_INCIDENT_STORE"
                    .to_owned()
            }
            ErrorClass::Kms => "; the table's key refuses: allow kms:Decrypt on it".to_owned(),
            ErrorClass::Invalid => {
                "; the table needs the keys pk and sk, and the index due (docs/incidents.md)".to_owned()
            }
            _ => String::new(),
        };
        StoreError::Unusable(format!("{what}{advice}"))
    }
}

/// What the reasons of a cancelled transaction mean, one for each of its items (Amazon DynamoDB API,
/// TransactWriteItems, "Cancellation reason codes").
fn cancelled<'r>(
    table: &str,
    reasons: impl Iterator<Item = (Option<&'r str>, Option<&'r str>)>,
) -> Result<Transacted, StoreError> {
    let (mut refused, mut conflict) = (Vec::new(), false);
    for (place, (code, message)) in reasons.enumerate() {
        let why = |code| format!("{table}: TransactWriteItems: {code}: {}", message.unwrap_or_default());
        match code {
            None | Some("None") => {}
            Some("ConditionalCheckFailed") => refused.push(place),
            Some("TransactionConflict") => conflict = true,
            Some(code @ ("ThrottlingError" | "ProvisionedThroughputExceeded")) => {
                return Err(StoreError::Unavailable(why(code)));
            }
            Some(code) => return Err(StoreError::Unusable(why(code))),
        }
    }
    Ok(if refused.is_empty() || conflict { Transacted::Conflict } else { Transacted::Refused(refused) })
}

/// What a policy has to allow for a call. Transactions have no action of their own.
fn action(operation: &str) -> &str {
    match operation {
        "TransactWriteItems" => "PutItem, UpdateItem, DeleteItem and ConditionCheckItem",
        operation => operation,
    }
}

/// Waits for longer with each attempt, and each time for another while.
pub(super) async fn pause(attempt: u32) {
    let longest = Duration::from_millis(50) * 2_u32.pow(attempt.min(5));
    tokio::time::sleep(longest.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
}

/// The version of the data in the table.
pub(super) fn schema_version(item: &Item) -> Result<u32, StoreError> {
    read_number(item, "schema_version")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reasons_of_a_cancelled_transaction_are_told_apart() {
        let cancelled = |codes: &[&'static str]| cancelled("t", codes.iter().map(|code| (Some(*code), None)));
        let failed = "ConditionalCheckFailed";
        assert_eq!(cancelled(&["None", failed, failed]), Ok(Transacted::Refused(vec![1, 2])));
        // Whether the condition holds when the other transaction has ended is not known.
        assert_eq!(cancelled(&[failed, "TransactionConflict"]), Ok(Transacted::Conflict));
        for passing in ["ThrottlingError", "ProvisionedThroughputExceeded"] {
            let error = cancelled(&["None", passing, failed]);
            assert!(
                matches!(&error, Err(StoreError::Unavailable(why)) if why.contains(passing)),
                "{error:?}"
            );
        }
        for lasting in ["ValidationError", "ItemCollectionSizeLimitExceeded"] {
            let error = cancelled(&[lasting]);
            assert!(matches!(&error, Err(StoreError::Unusable(why)) if why.contains(lasting)), "{error:?}");
        }
    }
}
