//! Single executions, and the truth about each as a person would state it.

use super::super::steps::*;
use super::*;

fn last(machine: &Machine) -> Truth {
    let mut truth = None;
    for seed in 0..6 {
        let history = machine.history(seed);
        check(&history);
        for truth in &history.truths {
            check_truth(&history, truth);
        }
        truth = Some(history.truth().clone());
    }
    truth.unwrap()
}

/// `Orders[1]/Charge`.
fn place(instance: &Instance) -> String {
    let mut parts = instance.path.clone();
    parts.push(instance.name.clone());
    parts.join("/")
}

#[test]
fn a_failure_deep_inside_has_its_whole_path() {
    let inner = |stops: bool| {
        let third = if stops { task("Ship").stops(Phase::Scheduled) } else { task("Ship") };
        map("Items", vec![vec![pass("Pack")], vec![task("Pack")], vec![third]])
    };
    let failing = map("Items", vec![vec![task("Pack")], vec![task("Pack").fails(("Stock", "none left"))]]);
    let orders = map("Orders", vec![vec![inner(true)], vec![inner(false)], vec![failing]]);
    let truth = last(&Machine::new(vec![parallel("All", vec![vec![pass("Note")], vec![orders]])]));
    let failed = truth.failed_state.unwrap();
    assert_eq!(place(&failed), "All/Orders[2]/Items[1]/Pack");
    assert_eq!(failed.input, r#"{"item":1,"of":"All/Orders[2]/Items[1]"}"#);
    assert_eq!((failed.error(), failed.cause()), (Some("Stock"), Some("none left")));
    let others: Vec<_> = truth.others.iter().map(|(other, fate)| (place(other), *fate)).collect();
    assert_eq!(others, [("All/Orders[0]/Items[2]/Ship".to_owned(), Fate::Aborted)]);
}

#[test]
fn every_attempt_is_known() {
    let charge = lambda("Charge")
        .retries(Failure::new(How::ScheduleFailed, "Throttled", "1"))
        .retries(Failure::new(How::StartFailed, "Throttled", "2"))
        .fails(("Declined", "3"));
    let failed = last(&Machine::new(vec![charge])).failed_state.unwrap();
    let causes: Vec<_> = failed.attempts.iter().map(|attempt| attempt.cause.as_deref().unwrap()).collect();
    assert_eq!(causes, ["1", "2", "3"]);
    assert_eq!(failed.attempts[0].scheduled_event_id, None);
}

#[test]
fn a_fail_state_points_at_what_was_caught() {
    let caught = task("Charge").catches(("Declined", "card expired"));
    let fails = |between: Step| {
        Machine::new(vec![caught.clone(), between, fail("GiveUp", ("OrderFailed", "see above"))])
    };
    let truth = last(&fails(pass("Note")));
    assert_eq!(truth.failed_state.unwrap().name, "GiveUp");
    assert_eq!(truth.caught_before.unwrap().name, "Charge");
    // Work in between makes the caught error somebody else's.
    assert_eq!(last(&fails(task("Refund"))).caught_before, None);
    let inside = parallel("Both", vec![vec![task("Charge").fails(("Declined", "x"))]]).catches_inside();
    let truth = last(&Machine::new(vec![inside, choice("Which"), fail("GiveUp", ("OrderFailed", "y"))]));
    assert_eq!(place(&truth.caught_before.unwrap()), "Both/Charge");
    assert_eq!(truth.others.first().map(|(_, fate)| *fate), Some(Fate::Caught));
}

#[test]
fn the_interpreters_words_name_the_state_and_its_event() {
    let machine = Machine::new(vec![
        pass("A"),
        map(
            "M",
            vec![
                vec![task("B").stops(Phase::Started)],
                vec![pass("C").fails(Failure::runtime("No such path."))],
            ],
        ),
    ]);
    let truth = last(&machine);
    let failed = truth.failed_state.unwrap();
    let expected = format!(
        "An error occurred while executing the state 'C' (entered at the event id #{}). No such path.",
        failed.entered_event_id
    );
    assert_eq!(truth.cause.as_deref(), Some(expected.as_str()));
    assert_eq!(place(&failed), "M[1]/C");
    assert_eq!(
        truth.others.first().map(|(other, fate)| (place(other), *fate)),
        Some(("M[0]/B".into(), Fate::Aborted))
    );
}

#[test]
fn a_timeout_finds_states_in_every_phase() {
    let phases = [Phase::Entered, Phase::Scheduled, Phase::Started, Phase::Submitted];
    let mut branches: Vec<Flow> =
        phases.iter().map(|phase| vec![callback(&format!("In{}", phase.name())).stops(*phase)]).collect();
    branches.push(vec![task("InBackoff").retries(("E", "1")).stops(Phase::Backoff)]);
    branches.push(vec![wait("InWait").stops(Phase::Waiting)]);
    branches.push(vec![map_run("InRun").stops(Phase::Started)]);
    branches.push(vec![task("Ended")]);
    let open = parallel("All", branches);
    let truth = last(&Machine::new(vec![open.clone()]).times_out());
    assert_eq!(
        (truth.status, truth.error.as_deref(), &truth.cause),
        ("TIMED_OUT", Some("States.Timeout"), &None)
    );
    let mut found: Vec<_> = truth.in_flight.iter().map(|open| (&*open.name, open.phase.unwrap())).collect();
    found.sort();
    assert_eq!(
        found,
        [
            ("InBackoff", Phase::Backoff),
            ("InRun", Phase::Started),
            ("InWait", Phase::Waiting),
            ("Inentered", Phase::Entered),
            ("Inscheduled", Phase::Scheduled),
            ("Instarted", Phase::Started),
            ("Insubmitted", Phase::Submitted),
        ]
    );
    let truth = last(&Machine::new(vec![open]).stopped(None));
    assert_eq!((truth.status, &truth.error, truth.in_flight.len()), ("ABORTED", &None, 7));
}

#[test]
fn a_redriven_task_is_scheduled_again_without_being_entered_again() {
    let charge = task("Charge")
        .fails(("Declined", "1"))
        .redriven()
        .retries(("Declined", "2"))
        .fails(("Declined", "3"));
    let waiting = task("Ship").stops(Phase::Started);
    let machine =
        Machine::new(vec![map("Orders", vec![vec![charge], vec![waiting], vec![task("Ship")]])]).redriven();
    let truth = last(&machine);
    assert_eq!(place(truth.failed_state.as_ref().unwrap()), "Orders[0]/Charge");
    assert_eq!(truth.failed_state.unwrap().attempts.len(), 3);
    let history = machine.history(1);
    let count = |kind: &str| history.events.iter().filter(|event| text(event, "type") == kind).count();
    assert_eq!((count("ExecutionRedriven"), count("TaskStateEntered"), count("ExecutionFailed")), (1, 3, 2));
    assert_eq!(history.truths[0].failed_state.as_ref().unwrap().attempts.len(), 1);
    let ends = Machine::new(vec![task("A").fails(("E", "1")).redriven(), pass("B")]).redriven();
    let truth = last(&ends);
    assert_eq!((truth.status, truth.others[0].1), ("SUCCEEDED", Fate::Retried));
}

#[test]
fn a_redriven_map_run_goes_on() {
    let threshold =
        ("States.ExceedToleratedFailureThreshold", "The specified tolerated failure threshold was exceeded");
    let run = map_run("Orders").fails(threshold).redriven().fails(threshold).redriven();
    let machine = Machine::new(vec![run]).redriven().redriven();
    assert_eq!(last(&machine).status, "SUCCEEDED");
    let history = machine.history(1);
    let redriven = history.events.iter().filter(|event| text(event, "type") == "MapRunRedriven");
    let counts: Vec<u64> =
        redriven.map(|event| event["mapRunRedrivenEventDetails"]["redriveCount"].as_u64().unwrap()).collect();
    assert_eq!(counts, [1, 2]);
    let arn = &history.events.iter().find(|event| text(event, "type") == "MapRunStarted").unwrap()["mapRunStartedEventDetails"];
    assert_eq!(text(arn, "mapRunArn"), map_run_arn("shop", "Orders"));
}

#[test]
fn a_childs_arn_precedes_its_failure() {
    let arn = execution_arn("ship", "run-7");
    let machine =
        Machine::new(vec![child("Ship", &arn).fails(("States.TaskFailed", "{}"))]).input(json!({"n": 7}));
    let history = machine.history(1);
    let submitted = history.events.iter().find(|event| text(event, "type") == "TaskSubmitted").unwrap();
    assert!(text(&submitted["taskSubmittedEventDetails"], "output").contains(&arn));
    assert_eq!(last(&machine).failed_state.unwrap().input, r#"{"n":7}"#);
}

#[test]
fn few_at_a_time_leaves_the_rest_unstarted() {
    let machine = Machine::new(vec![
        map(
            "Orders",
            vec![
                vec![task("Charge")],
                vec![activity("Charge").fails(Failure::new(
                    How::NeverStarted,
                    "States.Timeout",
                    "no worker",
                ))],
                vec![service("Charge", "sns", "publish").fails_too(Failure::silent())],
                vec![succeed("Charge")],
            ],
        )
        .at_most(2),
    ]);
    let truth = last(&machine);
    assert_eq!(place(&truth.failed_state.unwrap()), "Orders[1]/Charge");
    assert_eq!(truth.others.iter().map(|(_, fate)| *fate).collect::<Vec<_>>(), [Fate::AlsoFailed]);
    let history = machine.history(1);
    let started = history.events.iter().filter(|event| text(event, "type") == "MapIterationStarted").count();
    assert_eq!(started, 3);
}
