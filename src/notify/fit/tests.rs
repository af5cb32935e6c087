use proptest::prelude::*;

use super::*;

fn data(input: usize, cause: usize, siblings: usize) -> Value {
    json!({
        "event_info": {"execution_arn": "arn"},
        "event_details": {
            "payload": "i".repeat(input),
            "steps": [{"name": "Charge", "initial_input": "\"".repeat(input),
                       "latest_error": {"error": "E", "cause": "c".repeat(cause)}}],
        },
        "analysis": {
            "cause": "c".repeat(cause),
            "failed_state": {"name": "Charge", "input": "i".repeat(input), "error": "E", "cause": "c".repeat(cause),
                             "path": [], "attempts": [], "evidence": "the chain"},
            "also_failed": vec![json!({"name": "S", "cause": "x".repeat(cause)}); siblings],
            "truncated": [],
        },
    })
}

fn size(data: &Value) -> usize {
    data.to_string().len()
}

#[test]
fn what_fits_is_not_touched() {
    let mut small = data(10, 10, 1);
    fit(&mut small, 4_096, size);
    assert_eq!(small, data(10, 10, 1));
}

#[test]
fn inputs_give_way_before_the_answer() {
    let mut large = data(100_000, 1_000, 1);
    fit(&mut large, 16_384, size);
    assert!(size(&large) <= 16_384);
    assert_eq!(large["analysis"]["failed_state"]["cause"].as_str().map(str::len), Some(1_000));
    assert_eq!(
        large["analysis"]["truncated"],
        json!([
            "event_details.steps[].initial_input",
            "event_details.payload",
            "analysis.failed_state.input"
        ])
    );
    assert!(large["event_details"]["payload"].as_str().unwrap().ends_with('…'));
}

#[test]
fn lists_give_way_when_texts_are_not_enough() {
    let mut many = data(10, 10, 5_000);
    fit(&mut many, 8_192, size);
    assert!(size(&many) <= 8_192);
    assert_eq!(many["analysis"]["truncated"], json!(["analysis.also_failed"]));
    assert_eq!(many["event_details"]["steps"][0]["name"], "Charge");
}

#[test]
fn what_only_a_hostile_message_has_long_is_cut_last_and_named() {
    let long = "x".repeat(3_000);
    let mut hostile = data(10, 10, 0);
    hostile["analysis"]["failed_state"]["error"] = json!(long);
    hostile["analysis"]["failed_state"]["path"] = json!([format!("Orders[{long}]")]);
    hostile["analysis"]["links"] = json!({"console": format!("https://console/{}", "a".repeat(300))});
    // A link is cut only where nothing else is left to cut.
    let mut with_its_link = hostile.clone();
    fit(&mut with_its_link, 4_096, size);
    assert!(size(&with_its_link) <= 4_096);
    assert_eq!(with_its_link["analysis"]["links"], hostile["analysis"]["links"]);
    assert_eq!(
        with_its_link["analysis"]["truncated"],
        json!(["analysis.failed_state.error", "analysis.failed_state.path[]"])
    );
    hostile["event_info"]["execution_arn"] = json!("x".repeat(5_000));
    fit(&mut hostile, 4_096, size);
    assert!(size(&hostile) <= 4_096);
    let truncated = hostile["analysis"]["truncated"].as_array().unwrap();
    assert!(truncated.contains(&json!("event_info.execution_arn")), "{truncated:?}");
    assert!(truncated.contains(&json!("analysis.links.console")), "{truncated:?}");
}

/// A report with `text` in every place that has one.
fn full_of(text: &str) -> Value {
    let all =
        |keys: &[&str]| Value::Object(keys.iter().map(|key| ((*key).to_owned(), json!(text))).collect());
    let parsed = all(&["kind", "message", "error_type", "stack"]);
    let mut failed = all(&["name", "type", "input", "error", "cause", "confidence", "evidence"]);
    failed["path"] = json!(vec![text; 9]);
    failed["attempts"] = json!(vec![all(&["started_at", "ended_at", "error", "cause"]); 9]);
    let mut root = all(&["execution_arn", "state", "error", "cause"]);
    root["via"] = json!(vec![all(&["execution_arn", "state"]); 9]);
    let mut analysis = all(&[
        "schema",
        "application",
        "status",
        "started_at",
        "ended_at",
        "error",
        "cause",
        "degraded",
        "since",
        "fingerprint",
    ]);
    analysis["failed_state"] = failed;
    analysis["root_cause"] = root;
    analysis["parsed_cause"] = parsed.clone();
    analysis["parsed_root_cause"] = parsed;
    analysis["reading"] = json!({"calls": 1_000, "events": 25_000, "complete": false, "budget_hit": true});
    analysis["truncated"] = json!([]);
    analysis["links"] = all(&["console"]);
    for list in ["in_flight", "also_failed", "busiest_states", "unread", "notes"] {
        analysis[list] = json!(vec![json!({"name": text}); 9]);
    }
    let mut failed = all(&["name", "initial_input"]);
    failed["latest_error"] = all(&["error", "cause"]);
    json!({
        "event_info": all(&["execution_arn", "state_machine_arn", "execution_name", "env"]),
        "event_details": {"payload": text, "steps": [failed]},
        "analysis": analysis,
    })
}

#[test]
fn whatever_a_report_is_full_of_it_fits_the_smallest_limit() {
    for text in ["\u{1}", "\"", "名", "\u{1f4a5}", "x"] {
        let mut full = full_of(&text.repeat(1_000));
        fit(&mut full, 4_000, size);
        assert!(size(&full) <= 4_000, "{text:?}: {}", size(&full));
        assert_eq!(full["event_details"]["steps"].as_array().map(Vec::len), Some(1));
    }
}

#[test]
fn a_long_cause_of_control_characters_leaves_what_says_which_failure_it_is() {
    let mut hostile = data(10, 10, 0);
    let cause = "\u{1}".repeat(5_000);
    hostile["analysis"]["failed_state"]["cause"] = json!(cause);
    hostile["analysis"]["cause"] = json!(cause);
    let names = hostile["event_info"].clone();
    fit(&mut hostile, 4_096, size);
    assert!(size(&hostile) <= 4_096);
    assert_eq!(hostile["event_info"], names);
    let kept = hostile["analysis"]["failed_state"]["cause"].as_str().unwrap().chars().count();
    assert!((20..1_000).contains(&kept), "{kept}");
}

#[test]
fn the_failed_states_entry_is_the_last_of_the_steps_to_go() {
    let mut many = data(10, 10, 0);
    let step = |name: String| json!({"name": name, "initial_input": "{}", "latest_error": {"error": "E"}});
    let mut steps: Vec<Value> = (0..500).map(|n| step(format!("Step {n}"))).collect();
    steps.insert(400, step("Charge".to_owned()));
    many["event_details"]["steps"] = json!(steps);
    fit(&mut many, 4_096, size);
    assert!(size(&many) <= 4_096);
    let names: Vec<_> =
        many["event_details"]["steps"].as_array().unwrap().iter().map(|step| &step["name"]).collect();
    assert!(names.len() > 10 && names[0] == "Step 0", "{names:?}");
    assert_eq!(**names.last().unwrap(), "Charge");
    assert_eq!(many["analysis"]["truncated"], json!([STEPS]));
}

#[test]
fn the_failed_states_entry_stays_alone_where_there_is_room_for_no_other() {
    let mut few = data(10, 10, 0);
    let other = json!({"name": "Other", "latest_error": {"error": "E".repeat(100)}});
    few["event_details"]["steps"].as_array_mut().unwrap().insert(0, other);
    while halve(&mut few, STEPS) {}
    assert_eq!(few["event_details"]["steps"].as_array().map(Vec::len), Some(1));
    assert_eq!(few["event_details"]["steps"][0]["name"], "Charge");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn the_bound_always_holds(input in 0_usize..20_000, cause in 0_usize..3_000, siblings in 0_usize..30, most in 4_096_usize..100_000) {
        let mut value = data(input, cause, siblings);
        fit(&mut value, most, size);
        prop_assert!(size(&value) <= most, "{} > {most}", size(&value));
        prop_assert_eq!(&value["analysis"]["failed_state"]["name"], "Charge");
    }
}
