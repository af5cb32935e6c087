//! Incidents in DynamoDB, against an emulator.
//!
//! Ignored unless asked for with `--ignored`, as `make test` does: it starts ministack, and names its address in
//! `MISSTEP_TEST_DYNAMODB`. An emulator has no throttling, no permissions and no conflicts between transactions: what
//! those mean is tried with answers made up here. The delay of the index is not tried.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType,
    Projection, ProjectionType, ScalarAttributeType,
};
use axum::Router;
use axum::http::StatusCode;
use futures_util::future::join_all;
use misstep::aws::Session;
use misstep::check::{Verdict, store};
use misstep::incidents::dynamodb::DynamodbStore;
use misstep::incidents::location::StoreLocation;
use misstep::incidents::store::{Episode, EpisodeState, FailureRow, IncidentStore, StoreError, Written};
use serde_json::json;
use tokio::time::Instant;

use super::contract::{at, contract, episode, id, race, row};
use crate::support::stub::session;

/// A table of its own, as `infra/` makes it.
struct Table {
    session: Session,
    client: Client,
    name: String,
}

fn definition(name: &str, kind: ScalarAttributeType) -> AttributeDefinition {
    AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build().unwrap()
}

fn key(name: &str, kind: KeyType) -> KeySchemaElement {
    KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap()
}

fn primary(pk: &str, sk: &str) -> HashMap<String, AttributeValue> {
    [("pk", pk), ("sk", sk)].map(|(name, text)| (name.to_owned(), AttributeValue::S(text.to_owned()))).into()
}

impl Table {
    fn named(name: &str) -> Self {
        let endpoint = std::env::var("MISSTEP_TEST_DYNAMODB").expect("`make test` names the emulator");
        let session = session(&endpoint);
        let client = Client::new(&session.client_config(None, Duration::from_secs(10)));
        Self { session, client, name: name.to_owned() }
    }

    async fn made(name: &str) -> Self {
        let table = Self::named(name);
        let index = GlobalSecondaryIndex::builder()
            .index_name("due")
            .key_schema(key("due", KeyType::Hash))
            .key_schema(key("due_at", KeyType::Range))
            .projection(Projection::builder().projection_type(ProjectionType::KeysOnly).build())
            .build()
            .unwrap();
        let made = table
            .client
            .create_table()
            .table_name(name)
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(definition("pk", ScalarAttributeType::S))
            .attribute_definitions(definition("sk", ScalarAttributeType::S))
            .attribute_definitions(definition("due", ScalarAttributeType::S))
            .attribute_definitions(definition("due_at", ScalarAttributeType::N))
            .key_schema(key("pk", KeyType::Hash))
            .key_schema(key("sk", KeyType::Range))
            .global_secondary_indexes(index);
        made.send().await.unwrap();
        table
    }

    async fn store(&self) -> DynamodbStore {
        DynamodbStore::open(&self.session, &self.name).await.unwrap()
    }

    async fn delete(&self, pk: &str, sk: &str) {
        let delete = self.client.delete_item().table_name(&self.name).set_key(Some(primary(pk, sk)));
        delete.send().await.unwrap();
    }

    /// Every item that there is, as `pk / sk`.
    async fn items(&self) -> Vec<String> {
        let mut pages = self.client.scan().table_name(&self.name).into_paginator().items().send();
        let mut items = Vec::new();
        while let Some(item) = pages.next().await {
            let item = item.unwrap();
            let text = |name: &str| item[name].as_s().unwrap().clone();
            items.push(format!("{} / {}", text("pk"), text("sk")));
        }
        items.sort();
        items
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an emulator of DynamoDB"]
async fn dynamodb_keeps_the_contract() {
    contract(&Table::made("contract").await.store().await).await;
    race(Arc::new(Table::made("race").await.store().await)).await;
}

#[tokio::test]
#[ignore = "needs an emulator of DynamoDB"]
async fn dynamodb_goes_on_where_it_was_and_refuses_what_it_cannot_use() {
    let table = Table::made("reopened").await;
    table.store().await.open(&episode("a", 1), &row("x", 1), "{}").await.unwrap();
    assert_eq!(table.store().await.tally(&id("a", 1)).await.unwrap().count, 1);

    let mut schema = primary("META", "META");
    schema.insert("schema_version".to_owned(), AttributeValue::N("99".to_owned()));
    table.client.put_item().table_name("reopened").set_item(Some(schema)).send().await.unwrap();
    let refused = DynamodbStore::open(&table.session, "reopened").await.unwrap_err();
    assert!(matches!(&refused, StoreError::Unusable(why) if why.contains("version 99")), "{refused}");

    let absent = DynamodbStore::open(&table.session, "nowhere").await.unwrap_err();
    assert!(
        matches!(&absent, StoreError::Unusable(why) if why.contains("there is no such table")),
        "{absent}"
    );
    let made = table.client.create_table().table_name("other-keys").billing_mode(BillingMode::PayPerRequest);
    let made = made.attribute_definitions(definition("id", ScalarAttributeType::S));
    made.key_schema(key("id", KeyType::Hash)).send().await.unwrap();
    let wrong = DynamodbStore::open(&table.session, "other-keys").await.unwrap_err();
    assert!(matches!(&wrong, StoreError::Unusable(why) if why.contains("pk and sk")), "{wrong}");
}

#[tokio::test]
#[ignore = "needs an emulator of DynamoDB"]
async fn a_table_is_looked_at_without_a_change_to_it() {
    let table = Table::made("looked-at").await;
    let look = |name: &str| {
        let location = StoreLocation::parse(&format!("dynamodb:{name}")).unwrap();
        let session = &table.session;
        async move { store::check(&location, Some(session)).await.remove(0) }
    };
    let found = look("looked-at").await;
    assert_eq!(found.verdict, Verdict::Ok, "{found:?}");
    assert_eq!(table.items().await, Vec::<String>::new());

    let made = table.client.create_table().table_name("no-index").billing_mode(BillingMode::PayPerRequest);
    let made = made.attribute_definitions(definition("pk", ScalarAttributeType::S));
    let made = made.attribute_definitions(definition("sk", ScalarAttributeType::N));
    made.key_schema(key("pk", KeyType::Hash)).key_schema(key("sk", KeyType::Range)).send().await.unwrap();
    let found = look("no-index").await;
    assert_eq!(found.verdict, Verdict::Fail, "{found:?}");
    assert!(
        found.found.contains("both strings") && found.found.contains("no global secondary index"),
        "{found:?}"
    );
    let found = look("nowhere").await;
    assert!(found.verdict == Verdict::Fail && found.found.contains("there is no such table"), "{found:?}");
}

#[tokio::test]
#[ignore = "needs an emulator of DynamoDB"]
async fn what_is_removed_leaves_nothing_and_a_removal_that_was_cut_off_is_ended() {
    let table = Table::made("removed").await;
    let store = table.store().await;
    let empty = table.items().await;
    store.open(&episode("a", 1), &row("x", 1), "{}").await.unwrap();
    for failure in 0..60 {
        store.add(&id("a", 1), &row(&failure.to_string(), failure)).await.unwrap();
    }
    let open = store.newest("a").await.unwrap().unwrap();
    let over = Episode { state: EpisodeState::Resolved, resolved_at: Some(at(90)), ..open };
    store.replace(over).await.unwrap().unwrap();
    assert_eq!(store.forget(at(100)).await, Ok(1));
    assert_eq!(table.items().await, empty);

    // Cut off after its own item was removed: the rest goes with the next removal, or when its number is
    // needed.
    for by_opening in [true, false] {
        store.open(&episode("a", 1), &row("x", 1), "{}").await.unwrap();
        table.delete("I#a", "E#0000000001").await;
        table.delete("I#a", "R#0000000001").await;
        let mark =
            table.client.update_item().table_name("removed").set_key(Some(primary("D", "a#0000000001")));
        let mark = mark.update_expression("SET removing = :at");
        mark.expression_attribute_values(":at", AttributeValue::N("1".to_owned())).send().await.unwrap();
        if by_opening {
            let reopen = || async { store.open(&episode("a", 1), &row("y", 5), "{}").await.unwrap() };
            assert_eq!((reopen().await, reopen().await), (Written::Overtaken, Written::Yes));
            assert_eq!(store.tally(&id("a", 1)).await.unwrap().count, 1);
            let open = store.newest("a").await.unwrap().unwrap();
            let over = Episode { state: EpisodeState::Resolved, resolved_at: Some(at(90)), ..open };
            store.replace(over).await.unwrap().unwrap();
        }
        assert_eq!(store.forget(at(100)).await, Ok(u64::from(by_opening)));
        assert_eq!(table.items().await, empty);
    }
}

/// Many failures of one bug, from eight workers at once: rows of several pages, and several transactions.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an emulator of DynamoDB"]
async fn every_one_of_many_failures_is_counted_named_and_listed() {
    let failures: i64 = std::env::var("INCIDENT_FAILURES").map_or(1_500, |count| count.parse().unwrap());
    let table = Table::made("many").await;
    let store = Arc::new(table.store().await);
    // Pages hold 1 MB.
    let large = |failure: i64| FailureRow {
        keys: [("order_id".to_owned(), "x".repeat(2_000))].into(),
        ..row(&failure.to_string(), failure)
    };
    store.open(&episode("m", 1), &large(0), &"r".repeat(128 * 1024)).await.unwrap();
    let started = Instant::now();
    join_all((0..8).map(|worker| {
        let store = store.clone();
        tokio::spawn(async move {
            for failure in (1..failures).filter(|failure| failure % 8 == worker) {
                assert_eq!(store.add(&id("m", 1), &large(failure)).await, Ok(Written::Yes));
            }
        })
    }))
    .await
    .into_iter()
    .for_each(Result::unwrap);
    println!("{failures} failures added in {:.1?}", started.elapsed());
    let count = u64::try_from(failures).unwrap();
    let started = Instant::now();
    assert_eq!(store.tally(&id("m", 1)).await.unwrap().unnamed, count);
    println!("counted in {:.1?}", started.elapsed());
    let started = Instant::now();
    assert_eq!(store.assign_number(&id("m", 1), 0, 1).await, Ok(Some(count)));
    println!("named in {:.1?}", started.elapsed());
    let started = Instant::now();
    assert_eq!(store.numbered(&id("m", 1), 0, 1).await.unwrap().len() as u64, count);
    println!("listed in {:.1?}", started.elapsed());
    assert_eq!(store.report(&id("m", 1)).await.unwrap().unwrap().len(), 128 * 1024);
}

/// A DynamoDB that answers each call with this body.
async fn answering(status: u16, body: &str) -> DynamodbStore {
    let body = body.to_owned();
    let answer = move || {
        let body = body.clone();
        async move {
            (StatusCode::from_u16(status).unwrap(), [("content-type", "application/x-amz-json-1.0")], body)
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    DynamodbStore::new(&session(&url), "incidents")
}

fn refusal(code: &str) -> String {
    json!({"__type": format!("com.amazonaws.dynamodb.v20120810#{code}"), "message": "as asked for"})
        .to_string()
}

#[tokio::test]
async fn what_may_work_later_is_told_apart_from_what_somebody_has_to_mend() {
    for (status, code) in [
        (400, "ProvisionedThroughputExceededException"),
        (400, "ThrottlingException"),
        (400, "RequestLimitExceeded"),
        (400, "TransactionInProgressException"),
        (400, "ExpiredTokenException"),
        (500, "InternalServerError"),
        (503, "ServiceUnavailable"),
    ] {
        let store = answering(status, &refusal(code)).await;
        for error in
            [store.find("x").await.unwrap_err(), store.add(&id("a", 1), &row("x", 1)).await.unwrap_err()]
        {
            assert!(matches!(error, StoreError::Unavailable(_)), "{code}: {error}");
        }
    }
    for (code, of_find, of_add) in [
        ("AccessDeniedException", "allow dynamodb:GetItem", "ConditionCheckItem"),
        ("ResourceNotFoundException", "there is no such table", "there is no such table"),
        ("ValidationException", "the keys pk and sk", "the keys pk and sk"),
    ] {
        let store = answering(400, &refusal(code)).await;
        for (error, advice) in [
            (store.find("x").await.unwrap_err(), of_find),
            (store.add(&id("a", 1), &row("x", 1)).await.unwrap_err(), of_add),
        ] {
            assert!(matches!(&error, StoreError::Unusable(why) if why.contains(advice)), "{code}: {error}");
        }
    }
    let nobody = DynamodbStore::new(&session("http://127.0.0.1:9"), "incidents").find("x").await.unwrap_err();
    assert!(matches!(nobody, StoreError::Unavailable(_)), "{nobody}");
}

#[tokio::test]
async fn somebody_who_was_faster_is_an_answer() {
    for code in ["ConditionalCheckFailedException", "TransactionConflictException"] {
        let store = answering(400, &refusal(code)).await;
        assert_eq!(store.replace(episode("a", 1)).await, Ok(None), "{code}");
    }
    let cancelled = |codes: [&str; 2]| {
        let reasons = codes.map(|code| json!({"Code": code, "Message": "as asked for"}));
        json!({"__type": "TransactionCanceledException", "CancellationReasons": reasons}).to_string()
    };
    for (codes, written) in [
        (["ConditionalCheckFailed", "None"], Ok(Written::Known)),
        (["TransactionConflict", "None"], Ok(Written::Overtaken)),
    ] {
        let store = answering(400, &cancelled(codes)).await;
        assert_eq!(store.add(&id("a", 1), &row("x", 1)).await, written, "{codes:?}");
    }
    let throttled = answering(400, &cancelled(["None", "ThrottlingError"])).await;
    let error = throttled.add(&id("a", 1), &row("x", 1)).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
}
