//! Mail through SES of a real LocalStack, read where LocalStack keeps what it sent.

use serde_json::Value;

use super::stage::{Stage, aws};
use crate::support::receiver::Receiver;

/// The mails of this sender.
async fn sent(stage: &Stage, from: &str) -> Vec<Value> {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.get(format!("{}/_aws/ses?email={from}", stage.endpoint())).send().await.unwrap();
    let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    answer["messages"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_mail_has_a_text_and_a_page_and_waits_until_its_sender_is_verified() {
    let (receiver, folder) = (Receiver::start().await, tempfile::tempdir().unwrap());
    let stage = Stage::set_up("mail", &["map-fourth-item"], &[]).await;
    let from = format!("misstep-{}@example.com", std::process::id());
    let config = folder.path().join("misstep.toml");
    let text = format!(
        r#"
        [[routes]]
        name = "mail"
        audience = "developers"
        channel = "ses"
        from = "{from}"
        to = ["dev@example.com", "platform@example.com"]
        [[routes]]
        name = "assist-mail"
        audience = "customer-assist"
        channel = "ses"
        from = "{from}"
        to = "assist@example.com"
        form = "summary"
        input_keys = ["order_id"]
        [[routes]]
        name = "own-words"
        audience = "managers"
        channel = "ses"
        from = "{from}"
        to = "managers@example.com"
        subject = "{{{{ analysis.error }}}}"
        body = "{{{{ sentence }}}}"
        html = "<p>{{{{ event_details.payload }}}}</p>"
        "#
    );
    std::fs::write(&config, text).unwrap();
    let mut worker = stage.worker(&receiver.url, &[("MISSTEP_CONFIG", config.to_str().unwrap())]);
    let executions = stage.run().await;
    receiver.wait_for(2).await;
    worker.wait_for_log(&["SendEmail: MessageRejected"]).await;
    assert!(sent(&stage, &from).await.is_empty());
    let ses = aws_sdk_ses::Client::new(&aws().await);
    ses.verify_email_identity().email_address(&from).send().await.unwrap();
    stage.wait_until_empty().await;
    let mails = sent(&stage, &from).await;
    assert_eq!(mails.len(), 3, "{mails:#?}");
    assert_eq!(stage.dead_letters().await, []);
    let to = |address: &str| {
        let is_to = |mail: &&Value| mail["Destination"]["ToAddresses"][0] == address;
        let mail = mails.iter().find(is_to).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&mail["Subject"]), text(&mail["Body"]["text_part"]), text(&mail["Body"]["html_part"]))
    };
    let execution = executions.values().next().unwrap();
    let (subject, text, page) = to("dev@example.com");
    assert!(subject.starts_with("[dev] ") && subject.contains("failed at Reserve in Utrecht"), "{subject}");
    assert!(
        text.starts_with("✗ FAILED") && text.contains("OutOfStock") && text.contains(execution),
        "{text}"
    );
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("OutOfStock"), "{page}");
    let (_, text, page) = to("assist@example.com");
    assert!(text.contains("failed at the step “Reserve in Utrecht”"), "{text}");
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("“Reserve in Utrecht”"), "{page}");
    let (subject, text, page) = to("managers@example.com");
    assert_eq!(subject, "OutOfStock");
    assert!(text.contains("failed at the step") && page.starts_with("<p>{&quot;"), "{text}{page}");
    assert_eq!(worker.stop().await, Some(0));
}
