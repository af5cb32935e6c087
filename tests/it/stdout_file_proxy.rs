//! `stdout`, `file`, a proxy and `notify --test`, with the real binary.

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::errand::Errand;
use crate::support::receiver::{Answer, Receiver};

const STDOUT: &str = "[[routes]]\nname = \"log\"\naudience = \"operations\"\nchannel = \"stdout\"\n";

fn lines(text: &str) -> Vec<Value> {
    assert!(text.is_empty() || text.ends_with('\n'), "{text:?}");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn stdout_and_a_file_get_a_line_of_json_a_failure_and_nothing_else() {
    let errand = Errand::with(12).await;
    let file = errand.place("failures.jsonl");
    let routes = format!(
        "{STDOUT}form = \"summary\"\n[[routes]]\nname = \"archive\"\naudience = \"archive\"\nchannel = \"file\"\npath = \"{}\"\n",
        file.display()
    );
    let ended = errand.run(&["work", "--until-empty"], &routes, &[]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(errand.left(), 0);
    for (said, route, form) in [
        (lines(&ended.stdout), "log", Value::from("summary")),
        (lines(&std::fs::read_to_string(&file).unwrap()), "archive", Value::Null),
    ] {
        let mut runs: Vec<&str> =
            said.iter().map(|line| line["data"]["event_info"]["execution_name"].as_str().unwrap()).collect();
        runs.sort_unstable();
        let mut expected: Vec<String> = (0..12).map(|number| format!("run-{number}")).collect();
        expected.sort();
        assert_eq!(runs, expected, "{route}");
        for line in &said {
            let keys: Vec<&String> = line.as_object().unwrap().keys().collect();
            assert_eq!(keys, ["route", "audience", "idempotency_key", "data"]);
            assert_eq!(line["route"], route);
            assert_eq!(line["data"]["analysis"]["failed_state"]["name"], "LambdaTask");
            assert_eq!(line["data"]["analysis"]["form"], form);
        }
    }
}

/// Outputs that take nothing: each would hold whoever writes to it for ever.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn optional_routes_into_pipes_that_nobody_reads_hold_one_thread_each() {
    const FAILURES: usize = 150;
    let (receiver, errand) = (Receiver::start().await, Errand::with(FAILURES).await);
    // A name is looked up on one of the threads that may block, and here for each notification.
    receiver.answer_by(|_| Some(Answer::status(204).header("connection", "close")));
    let fifo = errand.place("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let routes = format!(
        "{STDOUT}required = false\n[[routes]]\nname = \"archive\"\naudience = \"archive\"\nchannel = \"file\"\npath = \"{}\"\nrequired = false\n[[routes]]\nname = \"api\"\naudience = \"developers\"\nchannel = \"http\"\nurl = \"{}\"\n",
        fifo.display(),
        receiver.url.replace("127.0.0.1", "localhost"),
    );
    let variables = [
        ("MISSTEP_CONCURRENCY", "4"),
        ("MISSTEP_NOTIFY_TIMEOUT_SECS", "1"),
        ("MISSTEP_SHUTDOWN_GRACE_SECS", "1"),
    ];
    let (unread, stdout) = std::io::pipe().unwrap();
    let mut worker = errand.worker_printing_to(stdout, &routes, &variables);
    let most = std::cell::Cell::new(0);
    let told = || {
        let threads = std::fs::read_dir(worker.proc().join("task")).unwrap().count();
        most.set(most.get().max(threads));
        receiver.received().len() >= FAILURES && errand.left() == 0
    };
    worker.until("every required notification", told).await;
    println!("{} threads at most", most.get());
    // One a core, those that look up names (at most one a message), one a route, and the rest.
    let cores = std::thread::available_parallelism().unwrap().get();
    assert!(most.get() <= cores + 4 + 2 + 6, "{} threads", most.get());
    assert_eq!(worker.stop().await, Some(0));
    drop(unread);
}

#[tokio::test]
async fn a_proxy_is_configured_by_the_usual_variables() {
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", proxy.local_addr().unwrap());
    let served = tokio::spawn(async move {
        let (mut stream, _) = proxy.accept().await.unwrap();
        let mut request = Vec::new();
        let mut piece = [0; 4_096];
        while !request.windows(4).any(|end| end == b"\r\n\r\n") {
            let read = stream.read(&mut piece).await.unwrap();
            request.extend_from_slice(&piece[..read]);
        }
        stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await.unwrap();
        // What is left of the request; closed before, the answer might be lost.
        while stream.read(&mut piece).await.is_ok_and(|read| read > 0) {}
        String::from_utf8_lossy(&request).into_owned()
    });
    let errand = Errand::with(0).await;
    let routes = "[[routes]]\nname = \"hook\"\naudience = \"developers\"\nchannel = \"http\"\nurl = \"http://notify.invalid/send\"\n";
    let ended = errand.run(&["notify", "--test"], routes, &[("HTTP_PROXY", &address)]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let request = served.await.unwrap();
    assert!(request.starts_with("POST http://notify.invalid/send HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("host: notify.invalid\r\n"), "{request}");
    // The proxy is gone now; a host that is excepted does without.
    let receiver = Receiver::start().await;
    let direct = routes.replace("http://notify.invalid/send", &receiver.url);
    let variables = [("HTTP_PROXY", address.as_str()), ("NO_PROXY", "127.0.0.1")];
    let ended = errand.run(&["notify", "--test"], &direct, &variables).await;
    assert_eq!((ended.code, receiver.received().len()), (Some(0), 1), "{ended:?}");
}

/// The address of the first of the five.
fn api(receiver: &Receiver) -> String {
    format!("{}?key=hunter2", receiver.url.replace("http://", "http://user:hunter2@"))
}

/// Five routes, of which the filter lets nothing through, and secrets in every place for one.
fn five(receiver: &Receiver, errand: &Errand) -> String {
    let (url, file) = (&receiver.url, errand.place("failures.jsonl"));
    format!(
        r#"
        env = "prod"
        [[routes]]
        name = "api"
        audience = "developers"
        channel = "http"
        url = {{ env = "API" }}
        bearer_token = {{ env = "TOKEN" }}
        hmac_secret = {{ env = "KEY" }}
        match = {{ envs = "nowhere" }}
        [[routes]]
        name = "assist"
        audience = "customer-assist"
        channel = "http"
        form = "summary"
        url = "{url}"
        headers = {{ x-api-key = {{ env = "KEY" }} }}
        [[routes]]
        name = "on-call"
        audience = "on-call"
        channel = "slack"
        webhook_url = {{ env = "WEBHOOK" }}
        required = false
        [[routes]]
        name = "archive"
        audience = "archive"
        channel = "file"
        path = "{}"
        {STDOUT}"#,
        file.display()
    )
}

#[tokio::test]
async fn a_test_notification_goes_to_every_route_and_is_marked_as_a_test() {
    let (receiver, errand) = (Receiver::start().await, Errand::with(0).await);
    receiver.answer_by(|received| received.json().get("blocks").map(|_| Answer::status(200).body("ok")));
    let webhook = format!("{}/hunter2", receiver.url);
    let api = api(&receiver);
    let variables = [
        ("API", api.as_str()),
        ("TOKEN", "hunter2-token"),
        ("KEY", "hunter2-key"),
        ("WEBHOOK", webhook.as_str()),
    ];
    let ended = errand.run(&["notify", "--test"], &five(&receiver, &errand), &variables).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!format!("{ended:?}").contains("hunter2"), "{ended:?}");
    let received = receiver.received();
    assert_eq!(received.len(), 3);
    for request in &received {
        assert!(request.json().to_string().contains("This is a test"), "{}", request.json());
    }
    let file = std::fs::read_to_string(errand.place("failures.jsonl")).unwrap();
    assert_eq!(lines(&file)[0]["data"]["event_info"]["env"], "prod");
    let (line, table) = ended.stdout.split_once('\n').unwrap();
    assert_eq!(lines(&format!("{line}\n"))[0]["route"], "log");
    let rows: Vec<Vec<&str>> = table.lines().map(|row| row.split_whitespace().take(4).collect()).collect();
    let row = |name, channel| vec![name, channel, "accepted", "in"];
    let expected =
        [("api", "http"), ("assist", "http"), ("on-call", "slack"), ("archive", "file"), ("log", "stdout")];
    assert_eq!(rows, expected.map(|(name, channel)| row(name, channel)));
}

#[tokio::test]
async fn a_test_tries_all_routes_although_some_fail_and_names_route_and_reason() {
    let (receiver, errand) = (Receiver::start().await, Errand::with(0).await);
    receiver.always_when(|received| received.header("authorization").is_some(), 401);
    let webhook = format!("{}/hunter2", receiver.url);
    let api = api(&receiver);
    let variables = [
        ("API", api.as_str()),
        ("TOKEN", "hunter2-token"),
        ("KEY", "hunter2-key"),
        ("WEBHOOK", webhook.as_str()),
    ];
    let routes = five(&receiver, &errand);
    let ended = errand.run(&["notify", "--test"], &routes, &variables).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(!format!("{ended:?}").contains("hunter2"), "{ended:?}");
    assert!(ended.stderr.contains("not every route works"), "{ended:?}");
    let row = |name: &str| ended.stdout.lines().find(|line| line.starts_with(name)).unwrap();
    assert!(row("api").contains("FAILED: POST") && row("api").contains("answered 401"), "{}", row("api"));
    assert!(row("on-call").contains("FAILED") && row("on-call").contains("not as Slack does"));
    for name in ["assist", "archive", "log"] {
        assert!(row(name).contains("accepted in"), "{}", row(name));
    }
    // One alone.
    let ended = errand.run(&["notify", "--test", "--route", "assist"], &routes, &variables).await;
    assert_eq!((ended.code, ended.stdout.lines().count()), (Some(0), 1), "{ended:?}");
    let ended = errand.run(&["notify", "--test", "--route", "nobody"], &routes, &variables).await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("there is no route nobody; there are api, assist"), "{ended:?}");
}

#[tokio::test]
async fn without_aws_the_routes_that_do_not_need_it_are_still_tried_and_checked() {
    let errand = Errand::with(0).await;
    let routes = r#"
[[routes]]
name = "topic"
audience = "on-call"
channel = "sns"
topic_arn = "arn:aws:sns:eu-west-1:123456789012:failures"

[[routes]]
name = "log"
audience = "archive"
channel = "stdout"
"#;
    let nobody = [("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "")];
    let ended = errand.run(&["notify", "--test"], routes, &nobody).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let row = |name: &str| ended.stdout.lines().find(|line| line.starts_with(name)).unwrap();
    assert!(row("topic").contains("FAILED") && row("topic").contains("credentials"), "{}", row("topic"));
    assert!(row("log").contains("accepted in"), "{}", row("log"));
    let ended = errand.run(&["check", "--format", "json"], routes, &nobody).await;
    let told: Value = serde_json::from_str(&ended.stdout).unwrap();
    let verdict = |check: &str| {
        let finding = told["checks"].as_array().unwrap().iter().find(|finding| finding["check"] == check);
        finding.unwrap_or_else(|| panic!("no {check}: {told:#}"))["verdict"].clone()
    };
    assert_eq!([verdict("AWS"), verdict("route topic"), verdict("route log")], ["fail", "fail", "ok"]);
}

#[tokio::test]
async fn faulty_routes_are_all_listed_with_their_lines_and_exit_with_64() {
    let errand = Errand::with(0).await;
    let routes = r#"
[[routes]]
name = "a"
audience = "developers"
channel = "http"
url = "ftp://hunter2.example.com"
bearer_token = "hunter2"
colour = "red"

[[routes]]
name = "a"
channel = "pigeon"

[[routes]]
name = "c"
audience = "on-call"
channel = "slack"
webhook_url = "https://hooks.slack.com/services/hunter2"
"#;
    for command in [&["notify", "--test"][..], &["work", "--until-empty"]] {
        let ended = errand.run(command, routes, &[]).await;
        assert_eq!(ended.code, Some(64), "{ended:?}");
        assert!(ended.stdout.is_empty() && !ended.stderr.contains("hunter2"), "{ended:?}");
        for told in [
            "line 6: routes: a: url: expected a URL",
            "line 7: routes: a: bearer_token: a secret does not belong in this file",
            "line 8: routes: a: colour: there is no such key; there are name, audience",
            "line 11: routes: a: name: another route is called so too",
            "line 10: routes: a: audience: is missing",
            "line 12: routes: a: channel: expected one of http, slack, sns",
            "line 18: routes: c: webhook_url: whoever knows it can post",
        ] {
            assert!(ended.stderr.contains(told), "{told}\n{}", ended.stderr);
        }
    }
}
