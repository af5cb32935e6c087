//! Each promise of the worker by its name.

use std::sync::Arc;
use std::time::Duration;

use misstep::aws::error::ErrorClass;
use misstep::notify::filter::{Filter, Pattern};
use misstep::notify::{Audience, Route};
use tokio::time::Instant;

use super::{Plan, Run};
use crate::support::model::api::{ModelApi, Mood, route};
use crate::support::model::{Event, Faults};
use crate::support::{failure, on_paused_time};

#[test]
fn both_audiences_are_notified_of_a_failure_and_then_its_message_is_deleted() {
    on_paused_time(async {
        let mut run = Run::start(&Plan::default());
        run.send_failures(1);
        run.settled().await;
        run.stop().await;
        run.check();
        assert_eq!((run.notified(), run.dead()), (2, 0));
    });
}

#[test]
fn a_body_that_is_not_understood_is_dead_lettered_and_the_others_of_its_batch_are_not() {
    on_paused_time(async {
        let mut run = Run::start(&Plan::default());
        run.send_failures(2);
        let poison = run.queue.send("not json".to_owned());
        run.queue.send(failure(2));
        run.settled().await;
        run.stop().await;
        run.check();
        assert_eq!(run.record.count(|event| *event == Event::DeadLettered { message: poison }), 1);
        assert_eq!((run.notified(), run.dead()), (6, 1));
    });
}

#[test]
fn one_slow_message_in_sixteen_does_not_hold_up_the_others() {
    on_paused_time(async {
        let run = Run::start(&Plan { concurrency: 50, ..Plan::default() });
        // The API takes 20 ms; for one in sixteen it is slow.
        run.api.set_slow_every(16, Duration::from_secs(2));
        run.queue.set_slowest(5);
        let count = 4_000;
        run.send_failures(count);
        let began = Instant::now();
        run.settled().await;
        let took = began.elapsed().as_secs_f64();
        // Work of all messages, spread over 50 places.
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let ideal = (count as f64 / 16.0 * 2.0 + count as f64 * 15.0 / 16.0 * 0.02) / 50.0;
        println!("took {took:.2} s, ideal {ideal:.2} s, ratio {:.2}", took / ideal);
        assert!(took < ideal * 1.3, "{took} s, ideally {ideal} s");
    });
}

#[test]
fn work_longer_than_the_lease_is_not_done_twice() {
    on_paused_time(async {
        let mut run = Run::start(&Plan { visibility_timeout: Duration::from_secs(3), ..Plan::default() });
        run.api.set_mood(Mood::Up(Duration::from_secs(4)));
        run.send_failures(5);
        run.settled().await;
        run.stop().await;
        run.check();
        assert_eq!(run.notified(), 10);
        let renewals =
            run.record.count(|event| matches!(event, Event::Visibility { seconds: 3, effective: true, .. }));
        // Renewed at 1.5 s and 3 s, at most once more for the time of the calls.
        assert!((10..=15).contains(&renewals), "{renewals} renewals");
    });
}

#[test]
fn a_stop_releases_what_is_unfinished_and_leaves_nothing_in_flight() {
    on_paused_time(async {
        let mut run = Run::start(&Plan { grace: Duration::from_secs(5), ..Plan::default() });
        run.api.set_mood(Mood::Up(Duration::from_secs(60)));
        run.send_failures(6);
        tokio::time::sleep(Duration::from_secs(2)).await;
        let asked = Instant::now();
        run.stop().await;
        run.check();
        assert!(asked.elapsed() <= Duration::from_secs(15), "{:?}", asked.elapsed());
        let now = Instant::now();
        assert!(run.queue.stored().iter().all(|stored| !stored.deleted && stored.visible_at <= now));
    });
}

#[test]
fn a_stop_lets_work_finish_within_the_grace_period() {
    on_paused_time(async {
        let mut run = Run::start(&Plan::default());
        run.api.set_mood(Mood::Up(Duration::from_secs(8)));
        run.send_failures(6);
        tokio::time::sleep(Duration::from_secs(2)).await;
        run.stop().await;
        run.check();
        assert!(run.queue.stored().iter().all(|stored| stored.deleted));
    });
}

#[test]
fn messages_that_a_last_poll_brings_are_released_at_once() {
    on_paused_time(async {
        let mut run = Run::start(&Plan::default());
        tokio::time::sleep(Duration::from_secs(1)).await;
        let queue = run.queue.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(3)).await;
            queue.send(failure(0));
        });
        run.stop().await;
        run.check();
        let stored = &run.queue.stored()[0];
        assert!(!stored.deleted && stored.visible_at <= Instant::now(), "{stored:?}");
    });
}

/// An outage of `minutes`, then everything works again.
async fn outage(mut run: Run, failures: usize, break_it: impl Fn(&Run, bool), minutes: u64) {
    break_it(&run, true);
    run.send_failures(failures);
    tokio::time::sleep(Duration::from_secs(minutes * 60)).await;
    assert_eq!(run.dead(), 0, "in the dead-letter queue during the outage");
    let before = run.record.count(|event| matches!(event, Event::Received { .. }));
    println!("{minutes} minutes of outage: {failures} messages were received {before} times");
    break_it(&run, false);
    run.settled().await;
    run.stop().await;
    run.check();
    assert_eq!((run.notified(), run.dead()), (2 * failures, 0));
}

fn break_api(run: &Run, broken: bool) {
    run.api.set_mood(if broken { Mood::Down } else { Mood::Up(Duration::from_millis(20)) });
}

#[test]
fn ten_minutes_of_outage_bring_nothing_to_the_dead_letter_queue() {
    on_paused_time(async {
        let run = Run::start(&Plan { max_receive_count: 3, ..Plan::default() });
        outage(run, 100, break_api, 10).await;
    });
}

#[test]
fn five_hours_of_outage_with_three_messages_bring_nothing_to_the_dead_letter_queue() {
    on_paused_time(async {
        let run = Run::start(&Plan { max_receive_count: 3, ..Plan::default() });
        outage(run, 3, break_api, 300).await;
    });
}

#[test]
fn a_route_that_answers_403_opens_its_breaker_at_once() {
    on_paused_time(async {
        let run = Run::start(&Plan { max_receive_count: 3, ..Plan::default() });
        outage(
            run,
            30,
            |run, broken| run.api.set_mood(if broken { Mood::Forbidden } else { Mood::Up(Duration::ZERO) }),
            60,
        )
        .await;
    });
}

#[test]
fn expired_credentials_and_an_unreachable_service_bring_nothing_to_the_dead_letter_queue() {
    for class in [ErrorClass::Credentials, ErrorClass::Unreachable, ErrorClass::Throttled] {
        on_paused_time(async {
            let run = Run::start(&Plan { max_receive_count: 3, ..Plan::default() });
            outage(run, 20, |run, broken| run.reader.set_broken(broken.then_some(class)), 120).await;
        });
    }
}

#[test]
fn a_message_that_alone_breaks_the_other_side_does_not_stop_the_others_for_good() {
    on_paused_time(async {
        let mut run = Run::start(&Plan { max_receive_count: 5, ..Plan::default() });
        run.api.refuse("run-0");
        run.send_failures(1);
        tokio::time::sleep(Duration::from_secs(60)).await;
        for number in 1..20 {
            run.queue.send(failure(number));
        }
        tokio::time::sleep(Duration::from_secs(1_200)).await;
        assert_eq!(run.notified(), 38, "the others were notified");
        run.api.refuse("nothing");
        run.settled().await;
        run.stop().await;
        run.check();
    });
}

#[test]
fn a_route_that_few_messages_take_keeps_no_backlog_waiting_once_its_probe_is_gone() {
    on_paused_time(async {
        let routes = |api: ModelApi| {
            let api = Arc::new(api);
            let refunds =
                Filter { state_machines: vec![Pattern::parse("refunds").unwrap()], ..Filter::default() };
            let all = route("all", Audience::Developers, api.clone());
            vec![all, Route { filter: refunds, ..route("refunds", Audience::CustomerAssist, api) }]
        };
        // The probe, once its lease is lost, does not come back.
        let mut run = Run::start(&Plan { routes, max_receive_count: 1, ..Plan::default() });
        run.api.refuse("ASSESTIVE_ENQUIRY_ERROR");
        run.queue.send(failure(0).replace("orders", "refunds"));
        tokio::time::sleep(Duration::from_secs(60)).await;
        run.queue.set_faults(Faults { entry_failed: 1.0, ..Faults::default() });
        run.settled().await;
        assert_eq!(run.dead(), 1);
        run.queue.set_faults(Faults::default());
        run.api.refuse("nothing");
        for number in 1..=100 {
            run.queue.send(failure(number));
        }
        run.queue.send(failure(101).replace("orders", "refunds"));
        let began = Instant::now();
        run.settled().await;
        assert!(began.elapsed() < Duration::from_secs(120), "{:?}", began.elapsed());
        run.stop().await;
        assert_eq!((run.notified(), run.dead()), (1 + 100 + 2, 1));
    });
}

#[test]
fn a_message_whose_delete_failed_is_deleted_later_without_a_second_notification() {
    on_paused_time(async {
        let mut run = Run::start(&Plan { visibility_timeout: Duration::from_secs(5), ..Plan::default() });
        run.queue.set_faults(Faults { entry_failed: 1.0, ..Faults::default() });
        run.send_failures(3);
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(run.queue.stored().iter().all(|stored| !stored.deleted));
        run.queue.set_faults(Faults::default());
        run.settled().await;
        run.stop().await;
        assert_eq!(run.notified(), 6);
    });
}

#[test]
fn only_the_audience_that_was_not_notified_is_notified_when_a_message_comes_back() {
    on_paused_time(async {
        let mut run = Run::start(&Plan::default());
        run.api.refuse("ASSESTIVE_ENQUIRY_ERROR");
        run.send_failures(4);
        tokio::time::sleep(Duration::from_secs(120)).await;
        run.api.refuse("nothing");
        run.settled().await;
        run.stop().await;
        run.check();
        assert_eq!(run.notified(), 8);
    });
}

#[test]
fn an_outage_longer_than_the_longest_lease_brings_nothing_to_the_dead_letter_queue() {
    on_paused_time(async {
        let run = Run::start(&Plan { max_receive_count: 3, ..Plan::default() });
        outage(run, 3, break_api, 13 * 60).await;
    });
}

#[test]
fn a_panic_releases_its_message_and_the_worker_lives() {
    on_paused_time(async {
        let mut run = Run::start(&Plan::default());
        run.api.panic_at("run-1");
        run.send_failures(3);
        tokio::time::sleep(Duration::from_secs(1)).await;
        let others_deleted = run.queue.stored().iter().filter(|stored| stored.deleted).count();
        assert_eq!(others_deleted, 2);
        run.api.panic_at("nothing");
        run.settled().await;
        run.stop().await;
        run.check();
        assert_eq!(run.dead(), 0);
    });
}

/// How many polls began so far.
fn polls(run: &Run) -> usize {
    run.record.count(|event| *event == Event::PollBegan)
}

#[test]
fn an_idle_queue_is_polled_once_at_a_time_and_a_busy_one_several_times() {
    on_paused_time(async {
        let run = Run::start(&Plan { concurrency: 50, ..Plan::default() });
        tokio::time::sleep(Duration::from_secs(60)).await;
        // One poll of ten seconds after the other.
        assert!((5..=7).contains(&polls(&run)), "{} polls", polls(&run));
        run.api.set_mood(Mood::Up(Duration::from_secs(20)));
        run.send_failures(200);
        tokio::time::sleep(Duration::from_secs(10)).await;
        let in_hand = run.record.count(|event| matches!(event, Event::Received { .. }));
        assert_eq!(in_hand, 50, "as many as there are places");
    });
}

#[test]
fn polls_that_fail_are_tried_again_with_growing_pauses() {
    on_paused_time(async {
        let mut run = Run::start(&Plan::default());
        run.queue.set_faults(Faults { refused: 1.0, ..Faults::default() });
        tokio::time::sleep(Duration::from_secs(600)).await;
        // Half a minute at most between two, half of that on average.
        assert!((20..=80).contains(&polls(&run)), "{} polls", polls(&run));
        run.queue.set_faults(Faults::default());
        run.send_failures(1);
        run.settled().await;
        run.stop().await;
        run.check();
    });
}

#[test]
fn settling_goes_out_in_batches() {
    on_paused_time(async {
        let mut run = Run::start(&Plan { concurrency: 50, ..Plan::default() });
        run.send_failures(50);
        run.settled().await;
        run.stop().await;
        run.check();
        let batches = run.queue.delete_calls();
        assert!(batches <= 15, "{batches} calls for 50 deletes");
    });
}

#[test]
fn what_is_not_a_failure_is_deleted_without_a_notification() {
    on_paused_time(async {
        let mut run = Run::start(&Plan::default());
        run.queue.send(failure(0).replace("FAILED", "SUCCEEDED"));
        run.settled().await;
        run.stop().await;
        run.check();
        assert_eq!((run.notified(), run.dead()), (0, 0));
    });
}

#[test]
fn work_that_reaches_twelve_hours_releases_its_message() {
    on_paused_time(async {
        // No breaker opens: the API never answers at all.
        let mut run = Run::start(&Plan { max_receive_count: 3, ..Plan::default() });
        run.api.set_mood(Mood::Up(Duration::from_secs(100 * 60 * 60)));
        run.send_failures(3);
        tokio::time::sleep(Duration::from_secs(13 * 60 * 60)).await;
        assert_eq!(run.record.count(|event| matches!(event, Event::Received { .. })), 6);
        run.api.set_mood(Mood::Up(Duration::ZERO));
        run.settled().await;
        run.stop().await;
        run.check();
        assert_eq!(run.dead(), 0);
    });
}

#[test]
fn a_message_that_alone_breaks_the_other_side_does_not_hold_the_only_place() {
    on_paused_time(async {
        let mut run = Run::start(&Plan { concurrency: 1, ..Plan::default() });
        run.api.refuse("run-0");
        run.send_failures(1);
        tokio::time::sleep(Duration::from_secs(120)).await;
        run.queue.send(failure(1));
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert_eq!(run.notified(), 2, "the other one was notified");
        run.api.refuse("nothing");
        run.settled().await;
        run.stop().await;
        run.check();
    });
}

#[test]
fn a_stop_dead_letters_nothing_that_nobody_worked_on() {
    on_paused_time(async {
        let mut run = Run::start(&Plan { max_receive_count: 1, ..Plan::default() });
        tokio::time::sleep(Duration::from_secs(1)).await;
        let queue = run.queue.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(3)).await;
            queue.send(failure(0));
        });
        run.stop().await;
        run.check();
        assert_eq!((run.notified(), run.dead()), (2, 0));
        assert!(run.queue.stored()[0].deleted);
    });
}
