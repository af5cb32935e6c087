//! What routes get of incidents, and what becomes of messages while the store or a route is away.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use misstep::aws::error::ErrorClass;
use misstep::notify::{Audience, NotifyError};
use misstep::outcome::Outcome;
use misstep::pipeline::MessageAttempt;
use misstep::queue::LONGEST_WORK;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::bench::{Away, Bench, each, grouped, incident, kinds, minutes, named};
use crate::support::incident_store::NoFaults;
use crate::support::kept::Kept;
use crate::support::{execution, failure, on_paused_time};

#[test]
fn one_alert_an_update_with_every_execution_and_a_resolve() {
    on_paused_time(async {
        let (pager, all) = (Kept::willing(), Kept::willing());
        let bench = Bench::new(
            Arc::new(NoFaults),
            vec![grouped("pager", &pager, Audience::Developers), each("all", &all)],
        );
        for number in 0..5 {
            assert_eq!(bench.handle(number).await, Outcome::Done);
        }
        assert_eq!((kinds(&pager), all.taken().len()), (vec!["alert".to_owned()], 5));
        assert!(all.taken().iter().all(|taken| incident(taken).is_null()));
        let alert = &pager.taken()[0];
        assert_eq!(alert["event_info"]["execution_arn"], execution(0));
        assert_eq!((&incident(alert)["number"], &incident(alert)["count"]), (&json!(1), &json!(1)));
        let reason = incident(alert)["reason"].as_str().unwrap();
        assert!(reason.contains("orders failed at Charge"), "{reason}");

        minutes(1).await;
        let update = pager.taken().pop().unwrap();
        let note = incident(&update);
        assert_eq!(
            (&note["kind"], &note["count"], &note["number"]),
            (&json!("update"), &json!(5), &json!(2))
        );
        assert_eq!(note["new_executions"].as_array().unwrap().len(), 4);
        assert_eq!(note["new_executions"][0]["keys"], json!({"order_id": "O-1"}), "no other key");
        assert_eq!(named(&pager), (0..5).map(execution).collect());

        // Nothing new: nothing is sent, until it has been quiet for an hour.
        minutes(40).await;
        assert_eq!(pager.taken().len(), 2);
        minutes(25).await;
        assert_eq!(kinds(&pager), ["alert", "update", "resolved"]);

        // Soon after, it is the same; later, it is another episode.
        assert_eq!(bench.handle(5).await, Outcome::Done);
        minutes(1).await;
        let again = pager.taken().pop().unwrap();
        assert_eq!(
            (&incident(&again)["kind"], &incident(&again)["reopened"]),
            (&json!("update"), &json!(true))
        );
        minutes(24 * 60).await;
        assert_eq!(kinds(&pager).pop().unwrap(), "resolved");
        assert_eq!(bench.handle(6).await, Outcome::Done);
        let new = pager.taken().pop().unwrap();
        assert_eq!((&incident(&new)["kind"], &incident(&new)["episode"]), (&json!("alert"), &json!(2)));
        assert_eq!(all.taken().len(), 7);
    });
}

#[test]
fn ten_times_as_many_are_an_update_at_once_and_every_one_is_named_in_parts() {
    on_paused_time(async {
        let (pager, small) = (Kept::willing(), Kept { limit: 6_000, ..Kept::willing() });
        let bench = Bench::new(
            Arc::new(NoFaults),
            vec![
                grouped("pager", &pager, Audience::Developers),
                grouped("small", &small, Audience::CustomerAssist),
            ],
        );
        for number in 0..1_000 {
            assert_eq!(bench.handle(number).await, Outcome::Done);
        }
        minutes(2).await;
        let everybody: BTreeSet<String> = (0..1_000).map(execution).collect();
        assert_eq!((named(&pager), named(&small)), (everybody.clone(), everybody));
        let updates = |channel: &Kept| kinds(channel).iter().filter(|kind| *kind == "update").count();
        assert!(updates(&pager) < 5 && updates(&small) > 20, "{} {}", updates(&pager), updates(&small));
        for taken in small.taken() {
            assert!(taken.to_string().len() <= 6_000);
            let note = incident(&taken);
            assert!(note["part"].as_u64() <= note["parts"].as_u64());
        }
        // One message of a failure reads one history; the same failure again reads none.
        let calls = bench.reader.calls();
        assert_eq!(bench.handle(7).await, Outcome::Done);
        assert_eq!(bench.reader.calls(), calls);
    });
}

#[test]
fn a_store_that_is_away_delays_failures_for_ten_minutes_and_no_longer() {
    on_paused_time(async {
        let (pager, all) = (Kept::willing(), Kept::willing());
        let away = Arc::new(Away::default());
        let bench =
            Bench::new(away.clone(), vec![grouped("pager", &pager, Audience::Developers), each("all", &all)]);
        away.0.store(true, Ordering::Relaxed);
        let began = Instant::now();
        assert_eq!(bench.handle_as(0, true).await, Outcome::Done, "the last receive does not wait");
        assert!(began.elapsed() < Duration::from_secs(5));
        assert_eq!((pager.taken().len(), incident(&pager.taken()[0])), (1, &Value::Null));

        assert_eq!(bench.handle(1).await, Outcome::Done);
        let waited = began.elapsed().as_secs();
        assert!((600..720).contains(&waited), "{waited} s");
        assert_eq!((pager.taken().len(), all.taken().len()), (2, 2));

        // Further ones do not wait.
        tokio::time::sleep(Duration::from_secs(20 * 60)).await;
        let further = Instant::now();
        assert_eq!(bench.handle(2).await, Outcome::Done);
        assert!(further.elapsed() < Duration::from_secs(5));
        assert_eq!((pager.taken().len(), all.taken().len()), (3, 3));

        away.0.store(false, Ordering::Relaxed);
        assert_eq!(bench.handle(3).await, Outcome::Done);
        assert_eq!(incident(&pager.taken()[3])["kind"], "alert");
    });
}

#[test]
fn a_short_absence_of_the_store_costs_nothing_but_time() {
    on_paused_time(async {
        for absent in [1_u64, 5] {
            let pager = Kept::willing();
            let away = Arc::new(Away::default());
            let bench = Bench::new(away.clone(), vec![grouped("pager", &pager, Audience::Developers)]);
            away.0.store(true, Ordering::Relaxed);
            let back = async {
                tokio::time::sleep(Duration::from_secs(absent * 60)).await;
                away.0.store(false, Ordering::Relaxed);
            };
            let (outcome, ()) = tokio::join!(bench.handle(0), back);
            assert_eq!((outcome, kinds(&pager)), (Outcome::Done, vec!["alert".to_owned()]));
        }
    });
}

#[test]
fn a_message_waits_until_the_alert_is_accepted_and_is_dead_lettered_if_it_never_will_be() {
    on_paused_time(async {
        let busy = || NotifyError::Transient { what: "answered 503".to_owned(), retry_after: None };
        let pager = Kept::new(move |attempt| if attempt < 3 { Err(busy()) } else { Ok(()) });
        let bench = Bench::new(Arc::new(NoFaults), vec![grouped("pager", &pager, Audience::Developers)]);
        assert_eq!(bench.handle(0).await, Outcome::Done);
        assert_eq!(pager.taken().len(), 1);

        let refusing = Kept::new(|_| Err(NotifyError::Rejected { what: "answered 422".to_owned() }));
        let bench = Bench::new(Arc::new(NoFaults), vec![grouped("pager", &refusing, Audience::Developers)]);
        for number in 0..2 {
            assert!(matches!(bench.handle(number).await, Outcome::DeadLetter(_)));
        }
        assert_eq!(refusing.attempts(), 2, "each message has it tried again");
    });
}

#[test]
fn a_mute_holds_updates_back_and_neither_the_record_nor_the_end() {
    on_paused_time(async {
        let pager = Kept::willing();
        let bench = Bench::new(Arc::new(NoFaults), vec![grouped("pager", &pager, Audience::Developers)]);
        assert_eq!(bench.handle(0).await, Outcome::Done);
        let id = incident(&pager.taken()[0])["id"].as_str().unwrap().to_owned();
        let muted = bench.incidents.mute(&id, Duration::from_secs(4 * 3_600), "ana", "known").await;
        assert!(muted.unwrap().is_some());
        for number in 1..5 {
            assert_eq!(bench.handle(number).await, Outcome::Done);
        }
        minutes(30).await;
        assert_eq!(pager.taken().len(), 1);
        minutes(60).await;
        assert_eq!(kinds(&pager), ["alert", "resolved"]);
        assert_eq!(named(&pager), (0..5).map(execution).collect());

        // Ten times as many as when it was muted lift it.
        assert!(bench.incidents.mute(&id, Duration::from_secs(4 * 3_600), "ana", "known").await.is_ok());
        for number in 5..60 {
            assert_eq!(bench.handle(number).await, Outcome::Done);
        }
        minutes(2).await;
        assert_eq!(named(&pager), (0..60).map(execution).collect());
        assert_eq!(bench.incidents.mute("nothing", Duration::from_secs(1), "ana", "").await, Ok(None));
    });
}

#[test]
fn resolved_by_hand_it_is_resolved_at_once() {
    on_paused_time(async {
        let pager = Kept::willing();
        let bench = Bench::new(Arc::new(NoFaults), vec![grouped("pager", &pager, Audience::Developers)]);
        assert_eq!(bench.handle(0).await, Outcome::Done);
        let id = incident(&pager.taken()[0])["id"].as_str().unwrap().to_owned();
        assert!(bench.incidents.resolve(&id, "ana").await.unwrap().is_some());
        minutes(0).await;
        assert_eq!(kinds(&pager), ["alert", "resolved"]);
    });
}

#[test]
fn an_execution_that_was_aborted_with_the_one_that_started_it_is_of_its_incident() {
    on_paused_time(async {
        let pager = Kept::willing();
        let bench = Bench::new(Arc::new(NoFaults), vec![grouped("pager", &pager, Audience::Developers)]);
        let mut aborted: Value = serde_json::from_str(&failure(7)).unwrap();
        aborted["detail"]["status"] = json!("ABORTED");
        aborted["detail"]["input"] =
            json!(json!({"AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID": execution(1)}).to_string());
        let attempt = MessageAttempt { until: Instant::now() + LONGEST_WORK, last: true, half_open: false };
        assert_eq!(bench.pipeline.process_message(&aborted.to_string(), attempt).await, Outcome::Done);
        // The parent is read once, however many it took with it.
        let calls = bench.reader.calls();
        aborted["detail"]["executionArn"] = json!(execution(8));
        assert_eq!(bench.pipeline.process_message(&aborted.to_string(), attempt).await, Outcome::Done);
        assert_eq!(bench.reader.calls(), 2 * calls - 1);
        assert_eq!(bench.handle(1).await, Outcome::Done);
        let list = bench.incidents.store().list(true).await.unwrap();
        assert_eq!(list.len(), 1, "{list:?}");
        assert_eq!(kinds(&pager), ["alert"]);
    });
}

#[test]
fn failures_of_which_too_little_is_known_are_put_together_with_no_other() {
    on_paused_time(async {
        let pager = Kept::willing();
        let bench = Bench::new(Arc::new(NoFaults), vec![grouped("pager", &pager, Audience::Developers)]);
        bench.reader.set_broken(Some(ErrorClass::Gone));
        for number in 0..3 {
            assert_eq!(bench.handle(number).await, Outcome::Done);
        }
        assert_eq!(kinds(&pager), ["alert", "alert", "alert"]);
        let ids: BTreeSet<String> =
            pager.taken().iter().map(|taken| incident(taken)["id"].to_string()).collect();
        assert_eq!(ids.len(), 3);
    });
}

#[test]
fn a_route_that_fails_until_its_breaker_opens_gets_the_alert_soon_after_it_works_again() {
    on_paused_time(async {
        let busy = || NotifyError::Transient { what: "answered 503".to_owned(), retry_after: None };
        let works = Arc::new(AtomicBool::new(false));
        let answers = works.clone();
        let pager = Kept::new(move |_| if answers.load(Ordering::Relaxed) { Ok(()) } else { Err(busy()) });
        let bench = Bench::new(Arc::new(NoFaults), vec![grouped("pager", &pager, Audience::Developers)]);
        let mended = async {
            tokio::time::sleep(Duration::from_secs(600)).await;
            works.store(true, Ordering::Relaxed);
            Instant::now()
        };
        let (outcome, mended) = tokio::join!(bench.handle(0), mended);
        assert_eq!((outcome, kinds(&pager)), (Outcome::Done, vec!["alert".to_owned()]));
        assert!(mended.elapsed() < Duration::from_secs(120), "{:?}", mended.elapsed());
        assert!(pager.attempts() < 60, "{} attempts", pager.attempts());
    });
}

#[test]
fn what_was_dead_lettered_for_a_rejected_alert_is_delivered_when_it_is_replayed_a_day_later() {
    on_paused_time(async {
        let works = Arc::new(AtomicBool::new(false));
        let answers = works.clone();
        let refused = || NotifyError::Rejected { what: "answered 422".to_owned() };
        let pager = Kept::new(move |_| if answers.load(Ordering::Relaxed) { Ok(()) } else { Err(refused()) });
        let bench = Bench::new(Arc::new(NoFaults), vec![grouped("pager", &pager, Audience::Developers)]);
        assert!(matches!(bench.handle(0).await, Outcome::DeadLetter(_)));
        minutes(24 * 60).await;
        works.store(true, Ordering::Relaxed);
        assert_eq!(bench.handle(0).await, Outcome::Done);
        assert_eq!(named(&pager), BTreeSet::from([execution(0)]));
    });
}

#[test]
fn what_a_route_rejects_of_an_update_is_named_in_the_next_one_and_others_are_not_held_up() {
    on_paused_time(async {
        let refused = || NotifyError::Rejected { what: "answered 413".to_owned() };
        let picky = Kept::new(move |attempt| if attempt == 2 { Err(refused()) } else { Ok(()) });
        let other = Kept::willing();
        let bench = Bench::new(
            Arc::new(NoFaults),
            vec![
                grouped("picky", &picky, Audience::Developers),
                grouped("other", &other, Audience::CustomerAssist),
            ],
        );
        for number in 0..3 {
            assert_eq!(bench.handle(number).await, Outcome::Done);
        }
        minutes(1).await;
        assert_eq!((named(&picky).len(), named(&other).len()), (1, 3));
        minutes(6).await;
        assert_eq!((named(&picky).len(), named(&other).len()), (3, 3));
        assert_eq!(picky.attempts(), 3);
    });
}

#[test]
fn a_long_update_to_a_slow_route_goes_on_after_the_part_that_failed() {
    on_paused_time(async {
        let busy = || NotifyError::Transient {
            what: "answered 429".to_owned(),
            retry_after: Some(Duration::from_secs(2)),
        };
        let slow = Kept::new(move |attempt| if attempt % 5 == 4 { Err(busy()) } else { Ok(()) });
        let slow = Kept { takes: Duration::from_secs(4), limit: 6_000, ..slow };
        let bench = Bench::new(Arc::new(NoFaults), vec![grouped("slow", &slow, Audience::Developers)]);
        for number in 0..200 {
            assert_eq!(bench.handle(number).await, Outcome::Done);
        }
        minutes(30).await;
        // No part is sent twice: `named` looks.
        assert_eq!(named(&slow), (0..200).map(execution).collect());
    });
}

#[test]
fn a_store_that_is_away_holds_up_no_route_that_gets_each_failure() {
    on_paused_time(async {
        let all = Kept::willing();
        let away = Arc::new(Away::default());
        let bench = Bench::new(away.clone(), vec![each("all", &all)]);
        away.0.store(true, Ordering::Relaxed);
        let began = Instant::now();
        for number in 0..3 {
            assert_eq!(bench.handle(number).await, Outcome::Done);
        }
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        assert_eq!(all.taken().len(), 3);
    });
}

#[test]
fn the_first_update_after_a_mute_names_what_was_held_back() {
    on_paused_time(async {
        let pager = Kept::willing();
        let bench = Bench::new(Arc::new(NoFaults), vec![grouped("pager", &pager, Audience::Developers)]);
        assert_eq!(bench.handle(0).await, Outcome::Done);
        let id = incident(&pager.taken()[0])["id"].as_str().unwrap().to_owned();
        assert!(bench.incidents.mute(&id, Duration::from_secs(600), "ana", "known").await.unwrap().is_some());
        for number in 1..5 {
            assert_eq!(bench.handle(number).await, Outcome::Done);
        }
        minutes(9).await;
        assert_eq!(kinds(&pager), ["alert"]);
        minutes(3).await;
        assert_eq!(kinds(&pager), ["alert", "update"]);
        assert_eq!(named(&pager), (0..5).map(execution).collect());
    });
}

#[test]
fn a_required_route_that_is_down_holds_up_the_updates_to_all_and_nobody_is_left_out() {
    on_paused_time(async {
        let busy = || NotifyError::Transient { what: "answered 503".to_owned(), retry_after: None };
        let works = Arc::new(AtomicBool::new(true));
        let answers = works.clone();
        let down = Kept::new(move |_| if answers.load(Ordering::Relaxed) { Ok(()) } else { Err(busy()) });
        let up = Kept::willing();
        let bench = Bench::new(
            Arc::new(NoFaults),
            vec![grouped("down", &down, Audience::Developers), grouped("up", &up, Audience::CustomerAssist)],
        );
        assert_eq!(bench.handle(0).await, Outcome::Done);
        works.store(false, Ordering::Relaxed);
        for number in 1..4 {
            assert_eq!(bench.handle(number).await, Outcome::Done);
        }
        minutes(10).await;
        assert_eq!(bench.handle(4).await, Outcome::Done);
        minutes(30).await;
        assert_eq!((named(&down).len(), named(&up).len()), (1, 4));
        works.store(true, Ordering::Relaxed);
        minutes(20).await;
        let everybody: BTreeSet<String> = (0..5).map(execution).collect();
        assert_eq!((named(&down), named(&up)), (everybody.clone(), everybody));
    });
}

#[test]
fn a_resolve_says_whether_an_execution_has_succeeded_since_the_last_failure() {
    on_paused_time(async {
        let began = "2027-01-15T08:00:00Z".parse::<jiff::Timestamp>().unwrap();
        let hours = |hours: i64| began + jiff::SignedDuration::from_hours(hours);
        for (last_success, said) in [
            (None, Value::Null),
            (Some(None), json!(false)),
            (Some(Some(hours(-1))), json!(false)),
            (Some(Some(hours(1))), json!(true)),
        ] {
            let pager = Kept::willing();
            let bench = Bench::new(Arc::new(NoFaults), vec![grouped("pager", &pager, Audience::Developers)]);
            bench.reader.set_last_success(last_success);
            assert_eq!(bench.handle(0).await, Outcome::Done);
            minutes(65).await;
            let resolved = pager.taken().pop().unwrap();
            assert_eq!(
                (&incident(&resolved)["kind"], &incident(&resolved)["succeeded_since"]),
                (&json!("resolved"), &said)
            );
        }
    });
}
