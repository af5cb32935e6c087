//! The quotas of Step Functions, and calls that are made again: on paused time.

use std::sync::Arc;
use std::time::Duration;

use misstep::aws::arn::ExecutionArn;
use misstep::aws::error::ErrorClass;
use misstep::history::throttled::ThrottledReader;
use misstep::history::{ExecutionReader, PageRequest};
use misstep::metrics::Metrics;
use tokio::time::Instant;

use crate::support::model::reader::ModelReader;
use crate::support::model::{Chance, Faults};
use crate::support::on_paused_time;

fn execution() -> ExecutionArn {
    ExecutionArn::parse("arn:aws:states:eu-west-1:123456789012:execution:orders:run").unwrap()
}

fn page() -> PageRequest {
    PageRequest { newest_first: true, max_results: 100, token: None, max_bytes: u64::MAX }
}

fn model() -> ModelReader {
    ModelReader::new(Faults::default(), Chance::new(0))
}

#[test]
fn calls_of_all_messages_share_the_rate() {
    on_paused_time(async {
        let reader = Arc::new(ThrottledReader::new(Arc::new(model()), Some(10.0), Metrics::new()));
        let began = Instant::now();
        // The burst is twenty seconds' worth.
        let asking: Vec<_> = (0..300)
            .map(|_| {
                let reader = reader.clone();
                tokio::spawn(async move { reader.history_page(&execution(), &page()).await.unwrap() })
            })
            .collect();
        for asked in asking {
            asked.await.unwrap();
        }
        let took = began.elapsed().as_secs_f64();
        println!("300 calls at 10 a second after a burst of 200 took {took:.1} s");
        assert!((9.9..11.0).contains(&took), "{took}");
        assert!(reader.waited() > Duration::from_secs(100), "what the calls waited for is known");
    });
}

#[test]
fn other_calls_have_small_buckets_of_their_own() {
    on_paused_time(async {
        let reader = ThrottledReader::new(Arc::new(model()), Some(10.0), Metrics::new());
        let began = Instant::now();
        for _ in 0..75 {
            reader.describe_execution(&execution()).await.unwrap();
        }
        let took = began.elapsed().as_secs_f64();
        // 25 at once, then 5 a second.
        assert!((9.9..11.0).contains(&took), "{took}");
    });
}

#[test]
fn without_a_limit_nothing_waits() {
    on_paused_time(async {
        let reader = ThrottledReader::new(Arc::new(model()), None, Metrics::new());
        let began = Instant::now();
        for _ in 0..1_000 {
            reader.history_page(&execution(), &page()).await.unwrap();
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
    });
}

#[test]
fn what_may_change_is_asked_again_and_what_will_not_is_not() {
    on_paused_time(async {
        for (class, calls) in [
            (ErrorClass::Throttled, 5),
            (ErrorClass::Unreachable, 5),
            (ErrorClass::Gone, 1),
            (ErrorClass::Denied, 1),
            (ErrorClass::Kms, 1),
            (ErrorClass::Unsupported, 1),
            (ErrorClass::Credentials, 1),
            (ErrorClass::Unparsable, 3),
            (ErrorClass::TooLarge, 1),
        ] {
            let model = model();
            model.set_broken(Some(class));
            let reader = ThrottledReader::new(Arc::new(model.clone()), None, Metrics::new());
            let error = reader.history_page(&execution(), &page()).await.unwrap_err();
            assert_eq!((error.class(), model.calls()), (class, calls), "{class:?}");
        }
    });
}

#[test]
fn throttling_slows_down_everybody() {
    on_paused_time(async {
        let model = model();
        let reader = ThrottledReader::new(Arc::new(model.clone()), Some(10.0), Metrics::new());
        model.set_broken(Some(ErrorClass::Throttled));
        reader.history_page(&execution(), &page()).await.unwrap_err();
        model.set_broken(None);
        let began = Instant::now();
        for _ in 0..10 {
            reader.history_page(&execution(), &page()).await.unwrap();
        }
        // The burst is gone, and the rate is a sixteenth of what was set, growing back slowly.
        assert!(began.elapsed() > Duration::from_secs(10), "{:?}", began.elapsed());
    });
}
