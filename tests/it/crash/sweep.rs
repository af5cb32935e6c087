//! A worker killed at each step of the sweep, and another that goes on.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use misstep::failpoint::Point;

use super::VARIABLE;
use crate::support::errand::Errand;
use crate::support::execution;
use crate::support::receiver::Receiver;
use crate::support::worker_process::PATIENCE;
use crate::sweep::worker::named;
use crate::sweep::{config, fail_all_but};

const FAILURES: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_step_of_the_sweep_no_failure_is_lost_and_none_is_told_twice() {
    join_all(Point::OF_SWEEP.map(cell)).await;
}

async fn cell(point: Point) {
    let name = point.name();
    let (errand, receiver) =
        tokio::join!(Errand::visible_again_after(Duration::from_secs(3), 0), Receiver::start());
    fail_all_but(&errand, FAILURES, &[1, 2]);
    let config = config(&errand, &receiver.url);
    let mut killed = errand.worker_with(&config, &[(VARIABLE, &format!("{name}=kill"))]);
    let status = killed.ended().await;
    assert!(status.code().is_none(), "{name}: it was to be killed: {status}");
    let mut worker = errand.worker(&config);
    let everybody: BTreeSet<String> = (0..FAILURES).map(execution).collect();
    let is_over = async || {
        let all = named(&receiver.received()).into_iter().collect::<BTreeSet<_>>() == everybody;
        let swept = worker.log().contains("looked for failures whose events never arrived");
        (all && swept && errand.left() == 0).then_some(())
    };
    // The lease of the one that was killed ends after a while.
    tokio::time::timeout(2 * PATIENCE, worker.wait_for(name, is_over)).await.unwrap();
    assert_eq!(worker.stop().await, Some(0), "{name}");
    assert_eq!(named(&receiver.received()).len(), FAILURES, "{name}: somebody is named twice");
    assert!(errand.sqs.messages("dead").is_empty(), "{name}");
}
