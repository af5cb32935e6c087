use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message as Received,
    MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName,
};

use super::super::{Fault, environment};
use super::*;

const MINUTE: Duration = Duration::from_secs(60);

async fn receive(client: &aws_sdk_sqs::Client, url: &str, wait: i32) -> Vec<Received> {
    let call = client.receive_message().queue_url(url).wait_time_seconds(wait).max_number_of_messages(10);
    let call = call.message_system_attribute_names(MessageSystemAttributeName::All);
    call.message_attribute_names("All").send().await.unwrap().messages.unwrap_or_default()
}

fn receipt_of(message: &Received) -> String {
    message.receipt_handle.clone().unwrap()
}

#[tokio::test]
async fn a_message_goes_through_and_is_deleted() {
    let stub = Sqs::start().await;
    let url = stub.queue("failures", MINUTE);
    let client = stub.client();
    assert_eq!(
        client.get_queue_url().queue_name("failures").send().await.unwrap().queue_url.as_deref(),
        Some(&*url)
    );
    let reason = MessageAttributeValue::builder().data_type("String").string_value("late").build().unwrap();
    let send = client.send_message().queue_url(&url).message_body("abc").message_attributes("reason", reason);
    let sent = send.send().await.unwrap();
    assert_eq!(sent.md5_of_message_body.as_deref(), Some("900150983cd24fb0d6963f7d28e17f72"));
    let received = receive(&client, &url, 0).await;
    assert_eq!(received[0].body.as_deref(), Some("abc"));
    assert_eq!(received[0].message_id, sent.message_id);
    assert_eq!(received[0].md5_of_body, sent.md5_of_message_body);
    let attributes = received[0].attributes.as_ref().unwrap();
    assert_eq!(attributes[&MessageSystemAttributeName::ApproximateReceiveCount], "1");
    let reason = &received[0].message_attributes.as_ref().unwrap()["reason"];
    assert_eq!(reason.string_value.as_deref(), Some("late"));
    assert_eq!(stub.counts("failures"), Counts { visible: 0, in_flight: 1, delayed: 0 });
    let delete = client.delete_message().queue_url(&url).receipt_handle(receipt_of(&received[0]));
    delete.send().await.unwrap();
    assert_eq!(stub.deleted("failures"), [sent.message_id.unwrap()]);
    assert!(stub.messages("failures").is_empty());
}

#[tokio::test]
async fn a_long_poll_waits_and_wakes() {
    let stub = Sqs::start().await;
    let url = stub.queue("failures", MINUTE);
    let client = stub.client();
    let start = Instant::now();
    assert!(receive(&client, &url, 1).await.is_empty());
    assert!(start.elapsed() >= Duration::from_secs(1), "the poll waits for its time");
    let (polling, polled_url) = (client.clone(), url.clone());
    let poll = tokio::spawn(async move { receive(&polling, &polled_url, 20).await });
    stub.wait_for("ReceiveMessage", 2).await;
    assert!(!poll.is_finished());
    let start = Instant::now();
    stub.send("failures", "now");
    assert_eq!(poll.await.unwrap().len(), 1);
    assert!(start.elapsed() < Duration::from_secs(5), "a message ends the wait");
}

#[tokio::test]
async fn what_is_not_deleted_comes_back_and_then_goes_to_the_dead_letters() {
    let stub = Sqs::start().await;
    let dead = stub.queue("dead", MINUTE);
    let url = stub.queue("failures", Duration::from_secs(1));
    stub.dead_letters("failures", "dead", 2);
    let id = stub.send("failures", "poison");
    let client = stub.client();
    let first = receive(&client, &url, 0).await;
    assert!(receive(&client, &url, 0).await.is_empty());
    let second = receive(&client, &url, 5).await;
    assert_eq!(
        second[0].attributes.as_ref().unwrap()[&MessageSystemAttributeName::ApproximateReceiveCount],
        "2"
    );
    // The receipt of the first time is no longer good.
    let late = client.delete_message().queue_url(&url).receipt_handle(receipt_of(&first[0]));
    late.send().await.unwrap();
    assert_eq!(stub.messages("failures").len(), 1);
    assert!(receive(&client, &url, 2).await.is_empty());
    let buried = stub.messages("dead");
    assert_eq!((buried[0].id.as_str(), buried[0].receives, buried[0].body.as_str()), (&*id, 2, "poison"));
    assert!(buried[0].attributes.as_object().is_some_and(Map::is_empty));
    assert_eq!(receive(&client, &dead, 0).await.len(), 1);
}

#[tokio::test]
async fn visibility_is_extended_and_released() {
    let stub = Sqs::start().await;
    let url = stub.queue("failures", Duration::from_secs(1));
    stub.send("failures", "slow");
    let client = stub.client();
    let received = receive(&client, &url, 0).await;
    let change = |seconds| {
        let call =
            client.change_message_visibility().queue_url(&url).receipt_handle(receipt_of(&received[0]));
        async move { call.visibility_timeout(seconds).send().await }
    };
    change(600).await.unwrap();
    assert!(receive(&client, &url, 2).await.is_empty(), "its own time was over");
    change(0).await.unwrap();
    assert_eq!(receive(&client, &url, 0).await.len(), 1);
    // The old receipt no longer speaks for the message.
    let refused = change(10).await.unwrap_err();
    assert_eq!(refused.code(), Some("AWS.SimpleQueueService.MessageNotInflight"));
    let garbled =
        client.change_message_visibility().queue_url(&url).receipt_handle("x").visibility_timeout(1);
    assert!(garbled.send().await.unwrap_err().into_service_error().is_receipt_handle_is_invalid());
}

#[tokio::test]
async fn batches_can_fail_in_part() {
    let stub = Sqs::start().await;
    let url = stub.queue("failures", MINUTE);
    for body in ["a", "b", "c"] {
        stub.send("failures", body);
    }
    let client = stub.client();
    let received = receive(&client, &url, 0).await;
    assert_eq!(received.iter().map(|message| message.body.as_deref().unwrap()).collect::<String>(), "abc");
    stub.fail_entries("ChangeMessageVisibilityBatch", 1, "InternalError");
    let entries = received.iter().zip(0..).map(|(message, id)| {
        let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(format!("m{id}"));
        entry.receipt_handle(receipt_of(message)).visibility_timeout(0).build().unwrap()
    });
    let change =
        client.change_message_visibility_batch().queue_url(&url).set_entries(Some(entries.collect()));
    let changed = change.send().await.unwrap();
    assert_eq!((changed.successful.len(), changed.failed[0].id.as_str()), (2, "m0"));
    assert_eq!(stub.counts("failures"), Counts { visible: 2, in_flight: 1, delayed: 0 });
    stub.fail_entries("DeleteMessageBatch", 2, "ServiceUnavailable");
    let delete = |messages: &[Received]| {
        let entries = messages.iter().zip(0..).map(|(message, id)| {
            let entry = DeleteMessageBatchRequestEntry::builder().id(format!("m{id}"));
            entry.receipt_handle(receipt_of(message)).build().unwrap()
        });
        let call = client.delete_message_batch().queue_url(&url).set_entries(Some(entries.collect()));
        async { call.send().await }
    };
    let deleted = delete(&received).await.unwrap();
    assert_eq!((deleted.successful.len(), deleted.failed.len()), (1, 2));
    assert_eq!(
        (deleted.failed[0].code.as_str(), deleted.failed[0].sender_fault),
        ("ServiceUnavailable", false)
    );
    assert_eq!(stub.messages("failures").len(), 2);
    let many: Vec<Received> = std::iter::repeat_n(received[0].clone(), 11).collect();
    assert!(delete(&many).await.unwrap_err().into_service_error().is_too_many_entries_in_batch_request());
    assert!(delete(&[]).await.unwrap_err().into_service_error().is_empty_batch_request());
}

#[tokio::test]
async fn a_queue_reports_its_counts_and_its_dead_letter_queue() {
    let stub = Sqs::start().await;
    stub.queue("dead", MINUTE);
    let url = stub.queue("failures", MINUTE);
    stub.dead_letters("failures", "dead", 5);
    stub.send("failures", "a");
    stub.send("failures", "b");
    let client = stub.client();
    client.send_message().queue_url(&url).message_body("c").delay_seconds(60).send().await.unwrap();
    client.receive_message().queue_url(&url).send().await.unwrap();
    let call = client.get_queue_attributes().queue_url(&url).attribute_names(QueueAttributeName::All);
    let attributes = call.send().await.unwrap().attributes.unwrap();
    for name in [
        QueueAttributeName::ApproximateNumberOfMessages,
        QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        QueueAttributeName::ApproximateNumberOfMessagesDelayed,
    ] {
        assert_eq!(attributes[&name], "1", "{name}");
    }
    let policy: Value = serde_json::from_str(&attributes[&QueueAttributeName::RedrivePolicy]).unwrap();
    assert_eq!(
        policy,
        json!({"deadLetterTargetArn": "arn:aws:sqs:eu-west-1:000000000000:dead", "maxReceiveCount": 5})
    );
    let call = client.get_queue_attributes().queue_url(&url).attribute_names(QueueAttributeName::QueueArn);
    assert_eq!(call.send().await.unwrap().attributes.unwrap().len(), 1);
}

#[tokio::test]
async fn faults_and_faulty_calls_are_refused() {
    let stub = Sqs::start().await;
    let url = stub.queue("failures", MINUTE);
    let client = stub.client();
    let elsewhere =
        client.receive_message().queue_url(format!("{}/000000000000/none", stub.url())).send().await;
    assert!(elsewhere.unwrap_err().into_service_error().is_queue_does_not_exist());
    let none = client.get_queue_url().queue_name("none").send().await.unwrap_err();
    assert!(none.into_service_error().is_queue_does_not_exist());
    let eleven =
        client.receive_message().queue_url(&url).max_number_of_messages(11).send().await.unwrap_err();
    assert_eq!(eleven.code(), Some("InvalidParameterValue"));
    let empty = client.send_message().queue_url(&url).message_body("").send().await.unwrap_err();
    assert_eq!(empty.code(), Some("MissingParameter"));
    assert!(client.purge_queue().queue_url(&url).send().await.is_err());
    stub.send("failures", "a");
    stub.plan("ReceiveMessage", [Some(Fault::internal()), Some(Fault::Reset), Some(Fault::denied())]);
    for _ in 0..3 {
        assert!(client.receive_message().queue_url(&url).send().await.is_err());
    }
    assert_eq!(receive(&client, &url, 0).await.len(), 1);
}

#[tokio::test]
async fn a_program_finds_the_stand_in_through_its_environment() {
    let stub = Sqs::start().await;
    let environment = environment("AWS_ENDPOINT_URL_SQS", stub.url());
    let value =
        |wanted: &str| environment.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    assert_eq!(value("AWS_ENDPOINT_URL_SQS"), Some(stub.url()));
    assert_eq!((value("AWS_ACCESS_KEY_ID"), value("AWS_REGION")), (Some("test"), Some("eu-west-1")));
}
