//! Health and metrics of the real binary, against stand-ins of everything around it.

pub mod house;
mod scrape;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use misstep::metrics::Metrics;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::support::execution;
use crate::support::receiver::{Answer, Receiver};
use crate::support::stub::{Fault, Refusal};
use crate::support::worker_process::{misstep, run, signal};
use house::{House, event};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(30);

/// The names that `docs/metrics.md` declares.
fn declared() -> Vec<String> {
    let document = Metrics::document();
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `misstep_")?.split_once('`'));
    rows.map(|(name, _)| format!("misstep_{name}")).collect()
}

#[tokio::test]
async fn every_metric_that_is_declared_is_seen_with_a_sensible_value() {
    let house = House::start(Duration::from_secs(2)).await;
    for _ in 0..2 {
        house.sqs.send("dead", "an old one");
    }
    house.sqs.plan("ReceiveMessage", [Some(Fault::internal())]);
    house.sqs.plan("DeleteMessageBatch", [Some(Fault::throttled())]);
    house.sfn.plan("GetExecutionHistory", [Some(Fault::throttled())]);
    // Held for longer than half of the visibility timeout, so that the lease is renewed.
    let (gate, held) = Answer::status(503).held();
    house.receiver.answer([held]);
    let failure = house.failure(0);
    house.sqs.send("failures", &failure);
    let mut worker = house.worker(&[]);

    let scrape = worker.wait_for_series("misstep_lease_renewals_total", 1.0).await;
    assert_eq!(scrape.value("misstep_messages_in_flight"), 1.0);
    gate.send(()).unwrap();
    let scrape = worker.wait_for_series("misstep_messages_total{outcome=\"notified\"}", 1.0).await;
    assert_eq!(scrape.value("misstep_messages_in_flight"), 0.0);

    house.sqs.send("failures", &failure);
    house.sqs.send("failures", "no event at all");
    house.sqs.send("failures", &event(1, "RUNNING"));
    for outcome in ["dead-lettered", "running"] {
        worker.wait_for_series(&format!("misstep_messages_total{{outcome=\"{outcome}\"}}"), 1.0).await;
    }
    worker.wait_for_series("misstep_messages_total{outcome=\"notified\"}", 2.0).await;

    // SQS no longer takes the receipt handle: the lease is lost.
    let (gate, held) = Answer::status(204).held();
    house.receiver.answer([held]);
    house.sqs.fail_entries("ChangeMessageVisibilityBatch", 1, "ReceiptHandleIsInvalid");
    house.sqs.send("failures", &house.failure(2));
    worker.wait_for_series("misstep_messages_total{outcome=\"lease-lost\"}", 1.0).await;
    gate.send(()).ok();
    let scrape = worker.wait_for_series("misstep_messages_total{outcome=\"notified\"}", 3.0).await;

    if std::env::var_os("UPDATE_DOCS").is_some() {
        let (_, text) = worker.get("/metrics").await;
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics-example.txt"), text).unwrap();
    }
    let mut seen: Vec<&String> = scrape.declared.keys().collect();
    let mut declared = declared();
    // Only once a sweep is complete: `sweep::search` reads it.
    declared.retain(|name| name != "misstep_sweep_complete_through_timestamp_seconds");
    seen.sort_unstable();
    declared.sort_unstable();
    assert_eq!(seen, declared.iter().collect::<Vec<_>>());
    let version = env!("CARGO_PKG_VERSION");
    for (series, value) in [
        (format!("misstep_build_info{{version=\"{version}\"}}").as_str(), 1.0),
        ("misstep_leases_lost_total", 1.0),
        ("misstep_duplicates_total", 1.0),
        ("misstep_dead_letters_total{reason=\"not-understood\"}", 1.0),
        ("misstep_dead_letter_queue_messages", 2.0),
        ("misstep_panics_total", 0.0),
        ("misstep_message_duration_seconds_count", 6.0),
        ("misstep_failure_to_notification_seconds_count", 2.0),
        ("misstep_stage_duration_seconds_count{stage=\"settle\"}", 5.0),
        ("misstep_breaker_open{breaker=\"step-functions\"}", 0.0),
        ("misstep_breaker_open{breaker=\"developers\"}", 0.0),
        ("misstep_retries_total{stage=\"poll\",reason=\"unavailable\"}", 1.0),
        ("misstep_retries_total{stage=\"history\",reason=\"throttled\"}", 1.0),
        ("misstep_retries_total{stage=\"notify\",reason=\"transient\"}", 1.0),
        ("misstep_retries_total{stage=\"settle\",reason=\"throttled\"}", 1.0),
        ("misstep_aws_calls_total{service=\"sqs\",operation=\"ReceiveMessage\",result=\"error\"}", 1.0),
        (
            "misstep_aws_calls_total{service=\"sqs\",operation=\"DeleteMessageBatch\",result=\"throttled\"}",
            1.0,
        ),
        ("misstep_aws_calls_total{service=\"sqs\",operation=\"SendMessage\",result=\"ok\"}", 1.0),
        (
            "misstep_aws_calls_total{service=\"sfn\",operation=\"GetExecutionHistory\",result=\"throttled\"}",
            1.0,
        ),
    ] {
        assert_eq!(scrape.value(series), value, "{series}");
    }
    for (series, least, most) in [
        ("misstep_lease_renewals_total", 1.0, 20.0),
        ("misstep_stage_duration_seconds_sum{stage=\"notify\"}", 0.001, 30.0),
        ("misstep_stage_duration_seconds_count{stage=\"analyse\"}", 2.0, 3.0),
        ("misstep_message_duration_seconds_sum", 1.0, 60.0),
        // Two failures that ended five seconds before they were sent.
        ("misstep_failure_to_notification_seconds_sum", 11.0, 60.0),
        ("misstep_backlog_messages{state=\"visible\"}", 0.0, 1.0),
        ("misstep_backlog_messages{state=\"in_flight\"}", 0.0, 1.0),
        ("misstep_backlog_messages{state=\"delayed\"}", 0.0, 0.0),
        (
            "misstep_aws_calls_total{service=\"sfn\",operation=\"GetExecutionHistory\",result=\"ok\"}",
            2.0,
            9.0,
        ),
    ] {
        let value = scrape.value(series);
        assert!((least..=most).contains(&value), "{series} is {value}");
    }
    let told = |result: &str| {
        ["developers", "customer-assist"]
            .map(|route| format!("misstep_notifications_total{{route=\"{route}\",result=\"{result}\"}}"))
            .iter()
            .filter_map(|series| scrape.get(series))
            .sum::<f64>()
    };
    assert!((4.0..=5.0).contains(&told("accepted")), "{}", told("accepted"));
    assert_eq!(told("transient"), 1.0);
    let now = jiff::Timestamp::now().as_millisecond() as f64 / 1_000.0;
    let last_poll = scrape.value("misstep_last_poll_timestamp_seconds");
    assert!((now - 60.0..=now).contains(&last_poll), "{last_poll} at {now}");

    assert_eq!(worker.stop().await, Some(0));
    let stopped = worker.lines().into_iter().find(|line| line["message"] == "stopped").unwrap();
    assert_eq!(stopped["messages"], "dead-lettered 1, lease-lost 1, notified 3, running 1");
}

#[tokio::test]
async fn a_report_without_the_history_is_counted_by_why_and_named_in_the_log() {
    let house = House::start(LONG).await;
    house.sqs.send("failures", &house.failure(0));
    let worker = house.worker(&[]);
    let full = "misstep_reports_total{kind=\"full\",reason=\"none\"}";
    let denied = "misstep_reports_total{kind=\"degraded\",reason=\"denied\"}";
    let scrape = worker.wait_for_series(full, 1.0).await;
    assert_eq!(scrape.value(denied), 0.0, "an alert on the first one needs the value before it");

    let refusal = Refusal::new(400, "AccessDeniedException", "no identity-based policy allows it");
    house.sfn.refuse("GetExecutionHistory", refusal);
    house.sqs.send("failures", &house.failure(1));
    let scrape = worker.wait_for_series("misstep_messages_total{outcome=\"notified\"}", 2.0).await;
    assert_eq!((scrape.value(full), scrape.value(denied)), (1.0, 1.0));
    let call = "misstep_aws_calls_total{service=\"sfn\",operation=\"GetExecutionHistory\",result=\"denied\"}";
    assert_eq!(scrape.value(call), 1.0);
    // At the top of the line, where a metric filter of CloudWatch Logs looks for it.
    let reasons: Vec<Value> =
        worker.lines().into_iter().map(|line| line["degraded"].clone()).filter(Value::is_string).collect();
    assert_eq!(reasons, ["denied"]);
}

#[cfg(feature = "failpoints")]
#[tokio::test]
async fn a_panic_is_counted() {
    let house = House::start(LONG).await;
    house.sqs.send("failures", &house.failure(0));
    let worker = house.worker(&[("MISSTEP_FAILPOINT", "parsed=panic")]);
    let scrape = worker.wait_for_series("misstep_panics_total", 1.0).await;
    assert_eq!(scrape.value("misstep_messages_total{outcome=\"panicked\"}"), 1.0);
    worker.wait_for_series("misstep_messages_total{outcome=\"released\"}", 1.0).await;
    let told = worker.lines().into_iter().find(|line| line.get("panic.place").is_some()).unwrap();
    assert_eq!(told["span"]["execution.arn"], Value::Null);
    assert!(!worker.log().contains("panic.text"), "{}", worker.log());
}

#[tokio::test]
async fn calls_of_sns_are_counted_as_those_of_the_queue_are() {
    let (house, topic) = (House::start(LONG).await, Receiver::start().await);
    topic.answer([
        Answer::status(400).body("<ErrorResponse><Error><Code>Throttling</Code></Error></ErrorResponse>"),
        Answer::status(200).body(
            "<PublishResponse><PublishResult><MessageId>m</MessageId></PublishResult></PublishResponse>",
        ),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("misstep.toml");
    let route = "[[routes]]\nname = \"topic\"\naudience = \"ops\"\nchannel = \"sns\"\n\
                 topic_arn = \"arn:aws:sns:eu-west-1:123456789012:failures\"\n";
    std::fs::write(&config, route).unwrap();
    house.sqs.send("failures", &house.failure(0));
    let variables = [
        ("AWS_ENDPOINT_URL_SNS", topic.url.as_str()),
        ("MISSTEP_CONFIG", config.to_str().unwrap()),
        ("MISSTEP_NOTIFICATION_API", ""),
        ("MISSTEP_INTERNAL_GROUP_EMAIL", ""),
        ("MISSTEP_EXTERNAL_GROUP_EMAIL", ""),
    ];
    let worker = house.worker(&variables);
    let scrape = worker.wait_for_series("misstep_messages_total{outcome=\"notified\"}", 1.0).await;
    for result in ["throttled", "ok"] {
        let series =
            format!("misstep_aws_calls_total{{service=\"sns\",operation=\"Publish\",result=\"{result}\"}}");
        assert_eq!(scrape.value(&series), 1.0);
    }
    assert_eq!(scrape.value("misstep_notifications_total{route=\"topic\",result=\"accepted\"}"), 1.0);
}

#[tokio::test]
async fn a_worker_is_ready_once_its_queue_was_read_and_until_it_is_stopped() {
    let house = House::start(LONG).await;
    let (gate, held) = Fault::held();
    house.sqs.plan("GetQueueAttributes", [Some(held)]);
    let (answer, silence) = Answer::status(204).held();
    house.receiver.answer([silence]);
    house.sqs.send("failures", &house.failure(0));
    let mut worker = house.worker(&[("MISSTEP_POLL_WAIT_SECS", "20")]);
    let why = worker.wait_for_status("/readyz", 503).await;
    assert!(why.contains("not been read yet"), "{why}");
    assert_eq!(worker.get("/livez").await, (200, "ok\n".to_owned()));
    gate.send(()).unwrap();
    worker.wait_for_status("/readyz", 200).await;
    // A long poll is under way.
    house.sqs.wait_for("ReceiveMessage", 2).await;
    assert_eq!(worker.get("/livez").await.0, 200);
    house.receiver.wait_for(2).await;
    worker.signal("-TERM").await;
    let why = worker.wait_for_status("/readyz", 503).await;
    assert!(why.contains("stopping"), "{why}");
    assert_eq!(worker.get("/livez").await.0, 200);
    answer.send(()).unwrap();
    // Wakes the long poll, which must not be cancelled.
    house.sqs.send("failures", "wake");
    assert_eq!(worker.ended().await.code(), Some(0));
}

#[tokio::test]
async fn what_the_dead_letter_queue_did_not_take_counts_as_released() {
    let house = House::start(LONG).await;
    house.sqs.plan("SendMessage", (0..5).map(|_| Some(Fault::internal())));
    house.sqs.send("failures", "no event at all");
    let worker = house.worker(&[]);
    let outcome = |name: &str| format!("misstep_messages_total{{outcome=\"{name}\"}}");
    let scrape = worker.wait_for_series(&outcome("released"), 1.0).await;
    assert_eq!(scrape.get(&outcome("dead-lettered")).unwrap_or(0.0), 0.0);
    assert_eq!(house.sqs.counts("dead").visible, 0);
    let settled = worker.lines().into_iter().find(|line| line["message"] == "message settled");
    assert_eq!(settled.expect("it is logged")["outcome"], "released");
}

/// `misstep health` with this address; its exit code and all that it says.
async fn health(address: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = misstep(&[&["health"], arguments].concat());
    // A proxy has no part in it.
    command.env("MISSTEP_ADMIN_ADDR", address).env("HTTP_PROXY", "http://127.0.0.1:9");
    let ended = run(command).await;
    (ended.code, ended.stdout + &ended.stderr)
}

#[tokio::test]
async fn a_supervisor_without_http_asks_by_a_command() {
    let house = House::start(Duration::from_secs(30)).await;
    // The queue does not answer, so that the worker is alive and not ready.
    house.sqs.plan("GetQueueAttributes", [Some(Fault::Silence)]);
    let mut worker = house.worker(&[]);
    let address = worker.address().await;
    assert_eq!(health(&address, &[]).await, (Some(0), "ok\n".to_owned()));
    let (code, said) = health(&address, &["--ready"]).await;
    assert_eq!(code, Some(1));
    assert!(said.contains("503") && said.contains("have not been read yet"), "{said}");
    assert_eq!(worker.stop().await, Some(0));
    let (code, said) = health(&address, &[]).await;
    assert_eq!(code, Some(1));
    assert!(said.contains("does not answer") && said.contains("does the worker run?"), "{said}");
    let (code, said) = health("off", &[]).await;
    assert_eq!((code, said.contains("MISSTEP_ADMIN_ADDR is off")), (Some(1), true), "{said}");
    assert_eq!(health("nonsense", &[]).await.0, Some(64));
}

#[tokio::test]
async fn an_open_breaker_shows_and_leaves_the_worker_alive_and_ready() {
    let house = House::start(LONG).await;
    house.receiver.always(401);
    house.sqs.send("failures", &house.failure(0));
    let worker = house.worker(&[]);
    for breaker in ["developers", "customer-assist"] {
        worker.wait_for_series(&format!("misstep_breaker_open{{breaker=\"{breaker}\"}}"), 1.0).await;
    }
    assert_eq!(worker.get("/livez").await.0, 200);
    assert_eq!(worker.get("/readyz").await.0, 200);
    assert_eq!(worker.scrape().await.value("misstep_breaker_open{breaker=\"step-functions\"}"), 0.0);
}

#[tokio::test]
async fn an_address_in_use_ends_the_start_with_advice() {
    let house = House::start(LONG).await;
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut worker = house.worker(&[("MISSTEP_ADMIN_ADDR", &address)]);
    assert_eq!(worker.ended().await.code(), Some(1));
    // A line of JSON like all others.
    let last = worker.lines().pop().expect("it says why");
    assert_eq!(last["level"], "ERROR");
    let why = last["message"].as_str().unwrap();
    assert!(why.contains(&address) && why.contains("MISSTEP_ADMIN_ADDR"), "{why}");
    assert!(house.sqs.calls().is_empty());
}

#[tokio::test]
async fn other_paths_and_methods_are_refused_and_formats_are_as_asked_for() {
    let house = House::start(LONG).await;
    let worker = house.worker(&[]);
    assert_eq!(worker.get("/").await.0, 404);
    let url = format!("http://{}/metrics", worker.address().await);
    let client = reqwest::Client::new();
    let posted = client.post(&url).body("x").send().await.unwrap();
    assert_eq!((posted.status().as_u16(), posted.headers()["allow"].to_str().unwrap()), (405, "GET, HEAD"));
    let head = client.head(&url).send().await.unwrap();
    assert_eq!(head.status().as_u16(), 200);
    let plain = client.get(&url).send().await.unwrap();
    assert_eq!(plain.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
    let open = client.get(&url).header("accept", accept).send().await.unwrap();
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(open.headers()["content-type"], kind);
    assert!(open.text().await.unwrap().ends_with("# EOF\n"));
}

#[tokio::test]
async fn clients_that_are_slow_or_many_hold_up_neither_probes_nor_the_end() {
    let house = House::start(LONG).await;
    let mut worker = house.worker(&[]);
    worker.wait_for_status("/readyz", 200).await;
    let address = worker.address().await;
    let began = Instant::now();
    let mut slow = Vec::new();
    for _ in 0..80 {
        let mut client = TcpStream::connect(&address).await.unwrap();
        client.write_all(b"GET /livez HTTP/1.1\r\n").await.unwrap();
        slow.push(client);
    }
    // A probe does not wait for them; they are let go when their headers do not come.
    assert_eq!(worker.get("/livez").await.0, 200);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    let mut rest = Vec::new();
    tokio::time::timeout(LONG, slow[0].read_to_end(&mut rest)).await.unwrap().ok();
    let waiting = TcpStream::connect(&address).await.unwrap();
    let began = Instant::now();
    assert_eq!(worker.stop().await, Some(0));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    drop(waiting);
}

#[tokio::test]
async fn one_log_line_has_the_outcome_of_a_message() {
    let house = House::start(LONG).await;
    let header = "Root=1-58406520-a006649127e371903a2de979;Parent=4c721bf33e3caf8f;Sampled=1";
    let first = house.sqs.send_traced("failures", &house.failure(0), header);
    let second = house.sqs.send("failures", "no event at all");
    let mut worker = house.worker(&[]);
    worker.wait_for_series("misstep_messages_total{outcome=\"notified\"}", 1.0).await;
    worker.wait_for_series("misstep_messages_total{outcome=\"dead-lettered\"}", 1.0).await;
    assert_eq!(worker.stop().await, Some(0));
    let lines = worker.lines();
    let of = |id: &str| -> Value {
        let mut lines =
            lines.iter().filter(|line| line["level"] == "INFO" && line["span"]["message.id"] == id);
        let line = lines.next().unwrap_or_else(|| panic!("nothing of {id}:\n{}", worker.log()));
        assert!(lines.next().is_none(), "more than one line of {id}");
        line.clone()
    };
    let told = of(&first);
    assert_eq!((&told["message"], &told["outcome"]), (&"message settled".into(), &"notified".into()));
    assert_eq!(told["span"]["execution.arn"], execution(0));
    assert_eq!(told["span"]["message.receives"], 1);
    assert_eq!(told["span"]["trace.id"], "58406520a006649127e371903a2de979");
    let ms = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("{told}"));
    let total = ms(&told["duration_ms"]);
    let parts = ["analyse_ms", "notify_ms", "settle_ms"].map(|stage| ms(&told["span"][stage]));
    assert!(parts.iter().sum::<u64>() <= total + 3, "{told}");
    let dead = of(&second);
    assert_eq!(dead["outcome"], "dead-lettered");
    assert_eq!(dead["span"].get("trace.id"), None);
}

#[tokio::test]
async fn a_log_that_nobody_reads_holds_nothing_up_and_what_is_dropped_is_counted() {
    const FAILURES: usize = 40;
    let house = House::start(Duration::from_secs(2)).await;
    // Also what the libraries log, which soon is more than a pipe and the worker's own room hold.
    let mut command = house.command(&[("MISSTEP_LOG", "debug")]);
    let mut child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let address = loop {
        let line: Value = serde_json::from_str(&log.next_line().await.unwrap().unwrap()).unwrap();
        if let Some(address) = line["admin.address"].as_str() {
            break address.to_owned();
        }
    };
    let get = async |path: &str| {
        let answer = tokio::time::timeout(LONG, reqwest::get(format!("http://{address}{path}"))).await;
        let answer = answer.expect("it is answered in time").unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let dropped = async || {
        let (_, text) = get("/metrics").await;
        let series = text.lines().find_map(|line| line.strip_prefix("misstep_log_lines_dropped_total "));
        series.unwrap().parse::<f64>().unwrap()
    };
    let (mut sent, until) = (0, Instant::now() + 3 * LONG);
    while dropped().await < 1.0 {
        assert!(Instant::now() < until, "{sent} failures, and nothing was dropped");
        for _ in 0..FAILURES {
            house.sqs.send("failures", &house.failure(sent));
            sent += 1;
        }
        let settled = tokio::time::timeout(2 * LONG, async {
            while !house.sqs.messages("failures").is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        assert!(settled.await.is_ok(), "{sent} failures are not settled");
    }
    assert_eq!(get("/livez").await.0, 200);
    // Somebody reads again: the log says how many lines it lacks, and every line is whole.
    let lacks = Arc::new(AtomicU64::new(0));
    let seen = lacks.clone();
    let reading = tokio::spawn(async move {
        while let Some(line) = log.next_line().await.unwrap() {
            let line: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            seen.fetch_add(line["log.dropped_lines"].as_u64().unwrap_or(0), Ordering::SeqCst);
        }
    });
    while lacks.load(Ordering::SeqCst) == 0 || (lacks.load(Ordering::SeqCst) as f64) < dropped().await {
        assert!(Instant::now() < until, "{lacks:?} lines are said to be dropped, {} are", dropped().await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    signal(&child, "-TERM").await;
    let status = tokio::time::timeout(LONG, child.wait()).await.expect("it ends").unwrap();
    assert_eq!(status.code(), Some(0));
    reading.await.unwrap();
}
