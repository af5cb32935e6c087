//! Histories recorded on AWS, and the scripts that must give the same events with the same links.

use super::super::steps::*;
use super::*;

fn assert_recorded(flow: Flow, recorded: &str) {
    let machine = Machine::new(flow);
    for seed in 0..8 {
        let history = machine.history(seed);
        check(&history);
        check_truth(&history, history.truth());
        assert_eq!(in_short(&history), recorded);
    }
}

#[test]
fn a_map_that_was_retried() {
    let iteration = || vec![vec![fail("HandleItemFail", ("HandleItemFailError", "HandleItemFailCause"))]];
    let map = map("MapState", iteration()).tried_before(iteration()).tried_before(iteration());
    assert_recorded(
        vec![pass("StartState"), map],
        "ExecutionStarted<0 PassStateEntered<0 PassStateExited<2 MapStateEntered<3 MapStateStarted<4 \
         MapIterationStarted<5 FailStateEntered<6 MapIterationFailed<7 MapStateStarted<7 MapIterationStarted<9 \
         FailStateEntered<10 MapIterationFailed<11 MapStateStarted<11 MapIterationStarted<13 FailStateEntered<14 \
         MapIterationFailed<15 MapStateFailed<15 ExecutionFailed<17",
    );
}

#[test]
fn a_parallel_that_was_retried() {
    let branch = || vec![vec![fail("Branch1", ("FailureType", "Cause description"))]];
    assert_recorded(
        vec![parallel("ParallelState", branch()).tried_before(branch()).tried_before(branch())],
        "ExecutionStarted<0 ParallelStateEntered<0 ParallelStateStarted<2 FailStateEntered<3 ParallelStateStarted<4 \
         FailStateEntered<5 ParallelStateStarted<6 FailStateEntered<7 ParallelStateFailed<8 ExecutionFailed<9",
    );
}

#[test]
fn containers_that_were_caught() {
    let inside = || vec![vec![fail("HandleItemFail", ("E", "C"))]];
    assert_recorded(
        vec![pass("StartState"), map("MapState", inside()).catches_inside(), pass("FinalCaught")],
        "ExecutionStarted<0 PassStateEntered<0 PassStateExited<2 MapStateEntered<3 MapStateStarted<4 \
         MapIterationStarted<5 FailStateEntered<6 MapIterationFailed<7 MapStateFailed<7 MapStateExited<9 \
         PassStateEntered<10 PassStateExited<11 ExecutionSucceeded<12",
    );
    assert_recorded(
        vec![parallel("ParallelState", inside()).catches_inside(), pass("FinalCaught")],
        "ExecutionStarted<0 ParallelStateEntered<0 ParallelStateStarted<2 FailStateEntered<3 ParallelStateFailed<4 \
         ParallelStateExited<5 PassStateEntered<6 PassStateExited<7 ExecutionSucceeded<8",
    );
}

#[test]
fn tasks_of_each_integration() {
    assert_recorded(
        vec![activity("ActivityTask").fails(("Programmatic Error", "{}"))],
        "ExecutionStarted<0 TaskStateEntered<0 ActivityScheduled<2 ActivityStarted<3 ActivityFailed<4 \
         ExecutionFailed<5",
    );
    assert_recorded(
        vec![lambda("LambdaTask").retries(("E", "1")).retries(("E", "2")).fails(("E", "3"))],
        "ExecutionStarted<0 TaskStateEntered<0 LambdaFunctionScheduled<2 LambdaFunctionStarted<3 \
         LambdaFunctionFailed<4 LambdaFunctionScheduled<5 LambdaFunctionStarted<6 LambdaFunctionFailed<7 \
         LambdaFunctionScheduled<8 LambdaFunctionStarted<9 LambdaFunctionFailed<10 ExecutionFailed<11",
    );
    assert_recorded(
        vec![callback("SendMessageWithWait").heartbeat(5).timeout(600).fails(Failure::timeout())],
        "ExecutionStarted<0 TaskStateEntered<0 TaskScheduled<2 TaskStarted<3 TaskSubmitted<4 TaskTimedOut<5 \
         ExecutionFailed<6",
    );
    assert_recorded(
        vec![callback("SendMessageWithWait").catches(("Failure error", "Failure cause")), pass("Caught")],
        "ExecutionStarted<0 TaskStateEntered<0 TaskScheduled<2 TaskStarted<3 TaskSubmitted<4 TaskFailed<5 \
         TaskStateExited<6 PassStateEntered<7 PassStateExited<8 ExecutionSucceeded<9",
    );
}

#[test]
fn one_iteration_after_the_other() {
    let iterations = (0..3).map(|_| vec![pass("Process")]).collect();
    assert_recorded(
        vec![map("Start", iterations).at_most(1)],
        "ExecutionStarted<0 MapStateEntered<0 MapStateStarted<2 MapIterationStarted<3 PassStateEntered<4 \
         PassStateExited<5 MapIterationSucceeded<6 MapIterationStarted<6 PassStateEntered<8 PassStateExited<9 \
         MapIterationSucceeded<10 MapIterationStarted<10 PassStateEntered<12 PassStateExited<13 \
         MapIterationSucceeded<14 MapStateSucceeded<15 MapStateExited<15 ExecutionSucceeded<17",
    );
}

#[test]
fn expressions_that_could_not_be_evaluated() {
    let undefined = || Failure::evaluation(Some("Output/error"), "It returned nothing (undefined).");
    let iteration = vec![
        task("ProcessItem").retries(("E", "1")).catches(("E", "2")),
        pass("Fallback").fails(undefined()),
    ];
    assert_recorded(
        vec![map("ProcessItems", vec![iteration, vec![pass("Never")], vec![pass("Never")]]).at_most(1)],
        "ExecutionStarted<0 MapStateEntered<0 MapStateStarted<2 MapIterationStarted<3 TaskStateEntered<4 \
         TaskScheduled<5 TaskStarted<6 TaskFailed<7 TaskScheduled<8 TaskStarted<9 TaskFailed<10 TaskStateExited<11 \
         PassStateEntered<12 EvaluationFailed<12 MapIterationFailed<14 MapStateFailed<14 ExecutionFailed<16",
    );
    assert_recorded(
        vec![pass("Start"), map("MapIterateState", vec![]).fails(undefined())],
        "ExecutionStarted<0 PassStateEntered<0 PassStateExited<2 MapStateEntered<3 EvaluationFailed<3 \
         MapStateFailed<5 ExecutionFailed<6",
    );
    assert_recorded(
        vec![task("State0").fails(undefined())],
        "ExecutionStarted<0 TaskStateEntered<0 EvaluationFailed<0 ExecutionFailed<3",
    );
    assert_recorded(
        vec![wait("WaitState").fails(undefined())],
        "ExecutionStarted<0 WaitStateEntered<0 EvaluationFailed<2 ExecutionFailed<3",
    );
}

#[test]
fn failures_of_the_interpreter() {
    let dead = || Failure::runtime("ToleratedFailurePercentage must be between 0 and 100.");
    assert_recorded(
        vec![wait("WaitUntil").fails(dead())],
        "ExecutionStarted<0 WaitStateEntered<0 ExecutionFailed<2",
    );
    assert_recorded(
        vec![map_run("MapState").fails(dead())],
        "ExecutionStarted<0 MapStateEntered<0 MapStateStarted<2 ExecutionFailed<3",
    );
    // Measured on AWS: nothing tells of the Parallel around it.
    assert_recorded(
        vec![parallel("P", vec![vec![pass("Fast").fails(dead())]])],
        "ExecutionStarted<0 ParallelStateEntered<0 ParallelStateStarted<2 PassStateEntered<3 ExecutionFailed<4",
    );
}

#[test]
fn a_map_run_whose_reader_failed() {
    assert_recorded(
        vec![
            map_run("MapState")
                .fails(("States.ItemReaderFailed", "Attempting to map over non-iterable node.")),
        ],
        "ExecutionStarted<0 MapStateEntered<0 MapStateStarted<2 MapRunStarted<3 MapRunFailed<4 MapStateFailed<5 \
         ExecutionFailed<6",
    );
}

/// Recorded: four tasks time out at once; the first decides, and is told of like the others.
#[test]
fn iterations_that_time_out_together() {
    let iteration = |first: bool| {
        let task = task("LambdaInvoke").timeout(5);
        vec![if first { task.fails(Failure::timeout()) } else { task.fails_too(Failure::timeout()) }]
    };
    let machine = Machine::new(vec![map("MapWait", (0..4).map(|at| iteration(at == 0)).collect())]);
    for seed in 0..8 {
        let history = machine.history(seed);
        check(&history);
        check_truth(&history, history.truth());
        let failed = &history.truth().failed_state.as_ref().unwrap().attempts;
        let decisive = failed.last().unwrap().failed_event_id;
        let block: Vec<_> = history.events.iter().skip(history.events.len() - 10).collect();
        let told: Vec<&str> = block.iter().map(|event| text(event, "type")).collect();
        assert_eq!(
            told,
            [
                "MapIterationFailed",
                "TaskStateAborted",
                "MapIterationAborted",
                "TaskStateAborted",
                "MapIterationAborted",
                "TaskStateAborted",
                "MapIterationAborted",
                "TaskStateAborted",
                "MapStateFailed",
                "ExecutionFailed",
            ]
        );
        assert!(block.iter().take(9).all(|event| previous(event) as u64 == decisive));
        let also: Vec<_> =
            history.truth().others.iter().map(|(other, fate)| (other.path.concat(), *fate)).collect();
        let expected = [1, 2, 3].map(|at| (format!("MapWait[{at}]"), Fate::AlsoFailed));
        assert_eq!(also, expected);
    }
}

/// Measured on AWS: the aborted iteration and its Wait, then the failing one, whose Fail state is
/// not told of.
#[test]
fn a_wait_that_is_cut_short() {
    let long = vec![wait("Long").stops(Phase::Waiting)];
    let short = vec![wait("Pause"), fail("Boom", ("Boom", "sibling failed"))];
    let machine = Machine::new(vec![map("M", vec![long, short])]);
    for seed in 0..8 {
        let history = machine.history(seed);
        check(&history);
        let kinds: Vec<&str> = history.events.iter().map(|event| text(event, "type")).collect();
        let expected = [
            "MapIterationAborted",
            "WaitStateAborted",
            "MapIterationFailed",
            "MapStateFailed",
            "ExecutionFailed",
        ];
        assert!(kinds.ends_with(&expected), "{kinds:?}");
    }
}
