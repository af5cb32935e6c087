use serde_json::{Value, json};

use super::*;

mod corpus;
mod shapes;

/// A document of which only the keys say what its texts are.
struct Document(Value);

impl Texts for Document {
    fn texts(&mut self, visit: &mut dyn FnMut(Role, &mut String)) {
        texts(&mut self.0, Role::Text, visit);
    }
}

fn texts(value: &mut Value, role: Role, visit: &mut dyn FnMut(Role, &mut String)) {
    match value {
        Value::String(text) => visit(role, text),
        Value::Array(items) => items.iter_mut().for_each(|item| texts(item, role, visit)),
        Value::Object(fields) => {
            for (key, value) in fields {
                let role = match key.as_str() {
                    "execution_name" | "name" => Role::Name,
                    "payload" => Role::Json,
                    _ => Role::Text,
                };
                texts(value, role, visit);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn redacted(data: Value) -> (Value, Removed) {
    let mut document = Document(data);
    let removed = Redactor::new(&Rules::default()).redact(&mut document);
    (document.0, removed)
}

/// What becomes of one text, as an input of the execution.
fn text(text: &str) -> String {
    let (data, _) = redacted(json!({"event_details": {"payload": text}, "analysis": {}}));
    data["event_details"]["payload"].as_str().unwrap().to_owned()
}

#[test]
fn values_go_and_everything_else_stays_to_the_byte() {
    for (before, after) in [
        (
            r#"{ "b": 1.10, "password" : "hunter two", "n": 12345678901234567890123, "a": "\u00e9" }"#,
            r#"{ "b": 1.10, "password" : "[redacted]", "n": 12345678901234567890123, "a": "\u00e9" }"#,
        ),
        (r#"{"card":{"number":1,"cvv":"123"},"z":[1]}"#, r#"{"card":"[redacted]","z":[1]}"#),
        (
            r#"{"ssn":123456789,"pin":[1,2],"tokens":5}"#,
            r#"{"ssn":"[redacted]","pin":"[redacted]","tokens":5}"#,
        ),
        (
            r#"{"password":null,"secret":"","token":true,"pin":[]}"#,
            r#"{"password":null,"secret":"","token":true,"pin":[]}"#,
        ),
        (r#"{"p\u0061ssword":"abc"}"#, r#"{"p\u0061ssword":"[redacted]"}"#),
        (
            r#"[{"Name":"DB_PASSWORD","Value":"abc"},{"Name":"HOST","Value":"db"}]"#,
            r#"[{"Name":"DB_PASSWORD","Value":"[redacted]"},{"Name":"HOST","Value":"db"}]"#,
        ),
        ("4111111111111111", "\"[redacted: card]\""),
        (r#"{"n":4111111111111111}"#, r#"{"n":"[redacted: card]"}"#),
    ] {
        assert_eq!(text(before), after);
        assert_eq!(text(after), after, "again");
    }
}

#[test]
fn json_in_strings_is_followed_down() {
    let mut inner = json!({"password": "hu\"nter\\2", "keep": "a\nb"}).to_string();
    let mut kept = json!({"password": "[redacted]", "keep": "a\nb"}).to_string();
    for _ in 0..6 {
        inner = json!({"body": inner}).to_string();
        kept = json!({"body": kept}).to_string();
        assert_eq!(text(&inner), kept);
    }
}

#[test]
fn what_was_cut_off_is_redacted_too() {
    for (before, after) in [
        (r#"{"a":1,"password":"abc"#, r#"{"a":1,"password":"[redacted]"#),
        (r#"{"a":"{\"password\":\"a\\\"bc\",\"b\":\"x"#, r#"{"a":"{\"password\":\"[redacted]\",\"b\":\"x"#),
        (
            r#"{"a":"{\"b\":\"{\\\"token\\\":\\\"x\\\\\\\"y\\\",\\\"k\\\":1"#,
            r#"{"a":"{\"b\":\"{\\\"token\\\":\\\"[redacted]\\\",\\\"k\\\":1"#,
        ),
        (r#"{"card":{"number":"4","x":[1"#, r#"{"card":"[redacted]""#),
        (r#"{"pin":1234,"b":"#, r#"{"pin":"[redacted]","b":"#),
        (
            r#"[{"Name":"DB_PASSWORD","Value":"abc"},{"Na"#,
            r#"[{"Name":"DB_PASSWORD","Value":"[redacted]"},{"Na"#,
        ),
    ] {
        assert_eq!(text(before), after);
        assert_eq!(text(after), after, "again");
    }
}

#[test]
fn sentences_headers_and_addresses_are_read_for_keys() {
    for (before, after) in [
        ("login with password=abc, then", "login with password=[redacted], then"),
        ("Authorization: Bearer abc.def", "Authorization: [redacted]"),
        ("x-api-key: abc; y: z", "x-api-key: [redacted]; y: z"),
        ("the api key: abc failed", "the api key: [redacted] failed"),
        ("GET /a?user=1&token=abc&b=2", "GET /a?user=1&token=[redacted]&b=2"),
        ("{'password': 'it', 'b': 1}", "{'password': '[redacted]', 'b': 1}"),
        ("{:password=>\"abc\"}", "{:password=>\"[redacted]\"}"),
        ("<a><password>a b</password><b/>x</a>", "<a><password>[redacted]</password><b/>x</a>"),
        ("at\\npassword=abc", "at\\npassword=[redacted]"),
        (
            "The Parameters '{\"secret\":\"abc\"}' could not be used",
            "The Parameters '{\"secret\":\"[redacted]\"}' could not be used",
        ),
    ] {
        assert_eq!(text(before), after);
        assert_eq!(text(after), after, "again");
    }
    for same in [
        "token == null or password != x",
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:orders-db-Ab12",
        "TokenExpiredException: renewed at 12:30",
        "at Token.java:42",
        "max_tokens=4096",
        "not authorized to perform: secretsmanager:GetSecretValue on x",
        "a <b> token > c",
    ] {
        assert_eq!(text(same), same);
    }
}

#[test]
fn a_value_that_is_secret_somewhere_is_removed_everywhere() {
    let (data, removed) = redacted(json!({
        "event_info": {"execution_name": "run-hunter-77"},
        "event_details": {"payload": r#"{"password":"hunter\"77","token":"visit","pin":"Charge card","n":1}"#},
        "analysis": {
            "cause": "{\"errorMessage\":\"bad: hunter\\\"77\"}",
            "error": "no visitor hunter\"77",
            "failed_state": {"name": "Charge card", "evidence": "it was Charge card"},
        },
    }));
    let all = data.to_string();
    assert!(!all.contains("hunter\\"), "{all}");
    assert_eq!(data["analysis"]["error"], "no visitor [redacted]");
    assert_eq!(data["analysis"]["failed_state"]["evidence"], "it was Charge card");
    assert_eq!((removed.values, removed.kinds["key"], removed.kinds["repeated"]), (5, 3, 2));
}

#[test]
fn a_secret_that_is_a_name_too_stays_as_the_name_alone() {
    for name in ["SuperS3cretVal", "correcthorsebattery", "run hunter 77"] {
        let (data, _) = redacted(json!({
            "event_info": {"execution_name": name},
            "event_details": {"payload": json!({"password": name}).to_string()},
            "analysis": {"cause": format!("refused for {name} now"), "failed_state": {"name": name}},
        }));
        assert_eq!(data["event_info"]["execution_name"], name);
        assert_eq!(data["analysis"]["failed_state"]["name"], name);
        assert_eq!(data["analysis"]["cause"], "refused for [redacted] now");
    }
}

#[test]
fn switched_off_it_leaves_everything() {
    let mut text = "password=abc".to_owned();
    let removed = Redactor::new(&Rules { on: false, ..Rules::default() }).redact(&mut text);
    assert_eq!((&*text, removed), ("password=abc", Removed::default()));
}

#[test]
fn the_words_of_a_placeholder_are_no_key() {
    let (once, _) = redacted(json!({"cause": "'$5$𑲩#(೦A\u{1e008}0A0#🂱aaa®𐦼':®"}));
    let (twice, removed) = redacted(once.clone());
    assert_eq!((twice, removed.values), (once, 0));
}
