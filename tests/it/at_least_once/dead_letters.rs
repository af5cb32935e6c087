//! A dead-letter queue that takes its time.

use std::time::Duration;

use super::{Plan, Run};
use crate::support::model::Event;
use crate::support::on_paused_time;

#[test]
fn a_message_is_leased_until_the_dead_letter_queue_has_accepted_it() {
    on_paused_time(async {
        let visibility_timeout = Duration::from_secs(4);
        let mut run = Run::start(&Plan { visibility_timeout, ..Plan::default() });
        run.queue.set_dead_lettering(Duration::from_secs(60));
        let poison = run.queue.send("not json".to_owned());
        run.settled().await;
        run.stop().await;
        run.check();
        let count = |wanted: fn(&Event) -> bool| run.record.count(wanted);
        assert_eq!(count(|event| matches!(event, Event::Received { .. })), 1, "it came back meanwhile");
        assert_eq!(run.record.count(|event| *event == Event::DeadLettered { message: poison }), 1);
        // No renewal comes after the delete.
        assert_eq!(count(|event| matches!(event, Event::Visibility { effective: false, .. })), 0);
    });
}
