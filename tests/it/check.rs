//! `misstep check` with the real binary: what works, what does not, and what to do about it.

use std::time::Duration;

use serde_json::Value;

use crate::support::receiver::{Answer, Receiver};
use crate::support::stub::sfn::StepFunctions;
use crate::support::stub::sqs::Sqs;
use crate::support::stub::{self, Fault, Refusal};
use crate::support::worker_process::{Ended, default_routes, misstep, run};

/// Everything that a worker meets.
struct Surroundings {
    sqs: Sqs,
    sfn: StepFunctions,
    api: Receiver,
    queue_url: String,
}

impl Surroundings {
    async fn new(visibility: u64) -> Self {
        let (sqs, sfn, api) = (Sqs::start().await, StepFunctions::start().await, Receiver::start().await);
        let queue_url = sqs.queue("failures", Duration::from_secs(visibility));
        sqs.queue("failures-dlq", Duration::from_secs(30));
        sqs.dead_letters("failures", "failures-dlq", 5);
        Self { sqs, sfn, api, queue_url }
    }

    async fn check(&self, arguments: &[&str]) -> Ended {
        let mut command = misstep(&[&["check"], arguments].concat());
        command.envs(stub::environment("AWS_ENDPOINT_URL", self.sqs.url()));
        command.envs([
            ("AWS_ENDPOINT_URL_SFN", self.sfn.url()),
            ("MISSTEP_QUEUE_URL", self.queue_url.as_str()),
            ("MISSTEP_ADMIN_ADDR", "127.0.0.1:0"),
        ]);
        command.envs(default_routes(&self.api.url));
        run(command).await
    }

    /// The checks as JSON, and the exit code.
    async fn findings(&self) -> (Vec<Value>, Option<i32>) {
        let ended = self.check(&["--format", "json"]).await;
        let said: Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(said["ok"] == true, ended.code == Some(0));
        (said["checks"].as_array().unwrap().clone(), ended.code)
    }
}

fn denied() -> Refusal {
    Refusal::new(400, "AccessDeniedException", "User: test is not authorized to perform this")
}

/// The verdict on a check.
fn verdict<'f>(findings: &'f [Value], check: &str) -> &'f str {
    let finding = findings.iter().find(|finding| finding["check"] == check);
    finding.unwrap_or_else(|| panic!("no {check} in {findings:#?}"))["verdict"].as_str().unwrap()
}

#[tokio::test]
async fn when_everything_works_all_checks_pass_and_nothing_is_touched() {
    let around = Surroundings::new(120).await;
    around.sqs.send("failures", "{}");
    let (findings, code) = around.findings().await;
    assert_eq!(code, Some(0), "{findings:#?}");
    for check in [
        "settings",
        "AWS",
        "queue",
        "settling",
        "visibility",
        "redrive",
        "dead letters",
        "history",
        "description",
        "map runs",
        "admin address",
        "clock",
        "route developers",
        "route customer-assist",
    ] {
        assert_eq!(verdict(&findings, check), "ok", "{findings:#?}");
    }
    let calls: Vec<String> = around.sqs.calls().into_iter().map(|call| call.operation).collect();
    assert!(!calls.iter().any(|call| call == "ReceiveMessage" || call == "SendMessage"), "{calls:?}");
    assert_eq!(around.sqs.counts("failures").visible, 1);
    assert!(around.api.received().iter().all(|request| request.method == "HEAD"), "something was sent");
}

#[tokio::test]
async fn a_dead_letter_queue_with_a_smaller_limit_than_the_queue_is_warned_of() {
    let around = Surroundings::new(120).await;
    around.sqs.set_largest("failures-dlq", 262_144);
    let (findings, code) = around.findings().await;
    assert_eq!((verdict(&findings, "message size"), code), ("warn", Some(0)), "{findings:#?}");
}

#[tokio::test]
async fn every_failed_check_has_advice() {
    let around = Surroundings::new(120).await;
    around.sfn.refuse("GetExecutionHistory", denied());
    around.sqs.refuse("DeleteMessageBatch", denied());
    let (findings, code) = around.findings().await;
    assert_eq!(code, Some(1));
    assert_eq!((verdict(&findings, "history"), verdict(&findings, "settling")), ("fail", "fail"));
    assert_eq!(verdict(&findings, "description"), "ok");
    for finding in &findings {
        assert_eq!(finding["verdict"] != "ok", finding["advice"].is_string(), "{finding}");
    }
    let text = around.check(&[]).await.stdout;
    let account = around.queue_url.rsplit('/').nth(1).unwrap();
    let advice = format!(":{account}:execution:misstep-check:*");
    assert!(
        text.contains("→ allow states:GetExecutionHistory on arn:aws:states:") && text.contains(&advice),
        "{text}"
    );
}

#[tokio::test]
async fn the_advice_fits_the_cause() {
    let around = Surroundings::new(120).await;
    let says = async |wanted: &[(&str, &str, &str)]| {
        let (findings, _) = around.findings().await;
        for (check, expected, advice) in wanted {
            assert_eq!(verdict(&findings, check), *expected, "{findings:#?}");
            let finding = findings.iter().find(|finding| finding["check"] == *check).unwrap();
            assert!(finding["advice"].as_str().unwrap().contains(advice), "{finding}");
        }
    };
    let forged = Refusal::new(403, "UnrecognizedClientException", "The security token is invalid");
    around.sqs.refuse("GetQueueAttributes", forged.clone());
    around.sfn.refuse("GetExecutionHistory", forged);
    around.sfn.refuse("DescribeExecution", Refusal::new(400, "ThrottlingException", "Rate exceeded"));
    around.sfn.refuse("ListExecutions", denied());
    says(&[
        ("queue", "fail", "credentials"),
        ("history", "fail", "credentials"),
        ("description", "warn", "try again"),
        ("map runs", "warn", "states:ListExecutions on arn:aws:states:"),
    ])
    .await;
    around.sqs.refuse("GetQueueAttributes", denied());
    around.sfn.refuse("GetExecutionHistory", denied());
    says(&[("queue", "fail", "sqs:GetQueueAttributes"), ("history", "fail", "MISSTEP_STEP_FUNCTION_ARNS")])
        .await;
}

#[tokio::test]
async fn express_children_of_map_runs_are_asked_about_by_an_arn_of_their_own() {
    let around = Surroundings::new(120).await;
    let (findings, _) = around.findings().await;
    assert_eq!(verdict(&findings, "map runs"), "ok", "{findings:#?}");
    let described = around.sfn.calls_of("DescribeExecution");
    let of_a_child = |asked: &Value| {
        asked["executionArn"].as_str().unwrap().contains(":express:misstep-check/misstep-check:")
    };
    assert!(described.iter().any(of_a_child), "{described:?}");

    // The first answer is about a Standard execution, the second about the child.
    around.sfn.plan("DescribeExecution", [None, Some(Fault::Refusal(denied()))]);
    let (findings, code) = around.findings().await;
    assert_eq!((verdict(&findings, "description"), verdict(&findings, "map runs")), ("ok", "warn"));
    let finding = findings.iter().find(|finding| finding["check"] == "map runs").unwrap();
    let advice = finding["advice"].as_str().unwrap();
    assert!(advice.starts_with("allow states:DescribeExecution on arn:aws:states:"), "{advice}");
    assert!(advice.ends_with(":express:misstep-check/*"), "{advice}");
    assert_eq!(code, Some(0));
}

#[tokio::test]
async fn a_page_is_no_answer_of_step_functions() {
    let around = Surroundings::new(120).await;
    around.sfn.plan("GetExecutionHistory", [Some(Fault::Bare(404))]);
    around.sfn.plan("DescribeExecution", [Some(Fault::Bare(403))]);
    let (findings, code) = around.findings().await;
    assert_eq!(code, Some(1));
    assert_eq!((verdict(&findings, "history"), verdict(&findings, "description")), ("fail", "fail"));
}

#[tokio::test]
async fn an_unreadable_queue_and_a_missing_route_fail_together() {
    let mut around = Surroundings::new(120).await;
    around.queue_url = around.queue_url.replace("failures", "nothing");
    around.api.url = "http://127.0.0.1:1/secret-path".to_owned();
    let ended = around.check(&[]).await;
    let text = ended.stdout;
    assert_eq!(ended.code, Some(1));
    assert!(text.contains("FAIL  queue") && text.contains("FAIL  route developers"), "{text}");
    assert!(text.contains("check MISSTEP_QUEUE_URL") && !text.contains("secret-path"), "{text}");
}

#[tokio::test]
async fn settings_that_work_badly_are_warned_of_with_numbers() {
    let around = Surroundings::new(10).await;
    around.sqs.dead_letters("failures", "failures-dlq", 1);
    around.sqs.send("failures-dlq", "x");
    around.api.answer([Answer::status(500)]);
    let (findings, code) = around.findings().await;
    assert_eq!(code, Some(0), "{findings:#?}");
    for (check, number) in
        [("visibility", "10 s"), ("redrive", "after 1 receives"), ("dead letters", "1 visible")]
    {
        assert_eq!(verdict(&findings, check), "warn");
        assert!(
            findings.iter().any(|finding| finding["found"].as_str().unwrap().contains(number)),
            "{findings:#?}"
        );
    }
}
