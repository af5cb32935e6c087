//! Reading from the newest event back gives the same answer as reading everything, with fewer calls.

use std::collections::HashMap;
use std::sync::Mutex;

use async_trait::async_trait;
use misstep::analysis::answer::{FailedState, RootCause};
use misstep::analysis::{Question, analyse};
use misstep::aws::arn::{ExecutionArn, MapRunArn};
use misstep::aws::error::ErrorClass;
use misstep::history::{
    Call, EventType, ExecutionDescription, ExecutionReader, History, HistoryPage, MapRunDescription,
    PageRequest, ReadError, Status,
};
use misstep::investigation::{ExecutionRequest, Finding, investigate};
use misstep::memory::{self, MemoryBudget};

use crate::generated;
use crate::recorded;
use crate::support::synth::{self, Machine};

/// One execution's history, in pages of a size.
struct Pages {
    history: History,
    page: usize,
    calls: Mutex<HashMap<&'static str, usize>>,
}

impl Pages {
    fn of(history: &History, page: usize) -> Self {
        Self { history: history.clone(), page, calls: Mutex::default() }
    }

    fn count(&self, operation: &'static str) {
        *self.calls.lock().unwrap().entry(operation).or_default() += 1;
    }

    fn made(&self) -> usize {
        self.calls.lock().unwrap().values().sum()
    }

    fn not_there<T>(operation: &'static str, target: &str) -> Result<T, ReadError> {
        let call = Call { operation, target: target.to_owned() };
        Err(ReadError::new(ErrorClass::Gone, call, "there is one execution only"))
    }
}

#[async_trait]
impl ExecutionReader for Pages {
    async fn history_page(
        &self,
        execution: &ExecutionArn,
        page: &PageRequest,
    ) -> Result<HistoryPage, ReadError> {
        self.count("GetExecutionHistory");
        if *execution != arn() {
            return Self::not_there("GetExecutionHistory", execution.as_str());
        }
        assert!(page.newest_first);
        let from: usize = page.token.as_deref().map_or(0, |token| token.parse().unwrap());
        let size = self.page.min(page.max_results as usize);
        let all = self.history.events();
        let events: Vec<_> = all.iter().rev().skip(from).take(size).cloned().collect();
        let next_token = (from + size < all.len()).then(|| (from + size).to_string());
        Ok(HistoryPage { events, next_token, bytes: 0 })
    }

    async fn describe_execution(&self, _: &ExecutionArn) -> Result<ExecutionDescription, ReadError> {
        self.count("DescribeExecution");
        let events = self.history.events();
        let redriven = events.iter().filter(|event| event.event_type == EventType::ExecutionRedriven).count();
        Ok(ExecutionDescription {
            input: events[0].details.input.clone(),
            redrive_count: Some(u32::try_from(redriven).unwrap()),
            ..ExecutionDescription::default()
        })
    }

    async fn describe_map_run(&self, map_run: &MapRunArn) -> Result<MapRunDescription, ReadError> {
        self.count("DescribeMapRun");
        Self::not_there("DescribeMapRun", map_run.as_str())
    }

    async fn children(&self, map_run: &MapRunArn, _: Status, _: u32) -> Result<Vec<ExecutionArn>, ReadError> {
        self.count("ListExecutions");
        Self::not_there("ListExecutions", map_run.as_str())
    }
}

fn arn() -> ExecutionArn {
    ExecutionArn::parse(&synth::execution_arn("shop", "run")).unwrap()
}

async fn read(reader: &Pages, question: Question) -> Finding {
    let Question { status, redrive_count } = question;
    let asked = ExecutionRequest { execution: arn(), status, redrive_count };
    investigate(reader, &asked, &MemoryBudget::new(memory::DEFAULT).report().await).await.unwrap()
}

type Answer = (Status, Option<FailedState>, Option<RootCause>, Option<String>);

fn answer(finding: &Finding) -> Answer {
    let analysis = &finding.analysis;
    (analysis.status, analysis.failed_state.clone(), finding.root_cause.clone(), analysis.payload.clone())
}

fn whole(history: &History, question: &Question) -> Answer {
    let analysis = analyse(history, question);
    let root = analysis.root_cause.map(|mut root| {
        root.execution_arn = Some(arn().to_string());
        for hop in &mut root.via {
            hop.execution_arn.clone_from(&root.execution_arn);
        }
        root
    });
    (analysis.status, analysis.failed_state, root, analysis.payload)
}

/// Compares both ways, and returns the calls and the events that each took.
async fn compare(history: &History, question: Question, page: usize) -> [usize; 4] {
    let reader = Pages::of(history, page);
    let finding = read(&reader, question).await;
    assert_eq!(answer(&finding), whole(history, &question), "pages of {page}");
    assert_eq!(finding.reading.calls as usize, reader.made());
    if finding.reading.complete {
        let (part, whole) = (&finding.analysis, analyse(history, &question));
        assert_eq!(part.steps, whole.steps);
        assert_eq!(part.in_flight, whole.in_flight);
        assert_eq!(part.also_failed, whole.also_failed);
    }
    let events = history.events().len();
    [reader.made(), events.div_ceil(page), finding.reading.events, events]
}

fn questions(generated: &synth::History) -> Vec<Question> {
    let ended = generated.truths.iter().filter(|truth| truth.terminal_event_id.is_some());
    let asked = ended.enumerate().map(|(ending, truth)| Question {
        status: Status::parse(truth.status),
        redrive_count: Some(u32::try_from(ending).unwrap()),
    });
    asked.chain([Question::default()]).collect()
}

#[tokio::test]
async fn recorded_and_generated_histories_give_the_same_answer_page_by_page() {
    for page in [5, 7, 20, 100, 1_000] {
        let mut sum = [0; 4];
        let mut add = |took: [usize; 4]| sum.iter_mut().zip(took).for_each(|(sum, took)| *sum += took);
        for history in recorded::all() {
            add(compare(&history, Question::default(), page).await);
        }
        for seed in 0..120 {
            let generated = synth::random(seed).history(seed);
            let history = generated::history(&generated);
            // A budget of calls ends what would take hundreds of pages.
            if history.events().len() > 80 * page {
                continue;
            }
            for question in questions(&generated) {
                add(compare(&history, question, page).await);
            }
        }
        let [calls, all_calls, events, all_events] = sum;
        println!(
            "pages of {page}: {calls} calls instead of {all_calls}, {events} events instead of {all_events}"
        );
    }
}

#[tokio::test]
async fn long_histories_give_the_same_answer_from_few_pages() {
    let map = |events| Machine::history(&synth::big_map(events), 1);
    for (what, generated, page, most) in [
        ("25,000 events one after the other", synth::long(25_000).history(1), 1_000, 2),
        ("25,000 events, pages of 400", synth::long(25_000).history(1), 400, 2),
        ("the end of a loop of 25,000 events", synth::endless().history(1), 1_000, 2),
        ("a Map of 24,990 events at once", map(24_990), 1_000, 27),
        ("a Map of 5,000 events at once", map(5_000), 1_000, 7),
    ] {
        let history = generated::history(&generated);
        let question = Question { status: Some(Status::Failed), redrive_count: Some(0) };
        let [calls, all_calls, events, all_events] = compare(&history, question, page).await;
        println!("{what}: {calls} calls instead of {all_calls}, {events} events instead of {all_events}");
        assert!(calls <= most, "{what}: {calls} calls");
    }
}

#[tokio::test]
async fn a_history_of_too_many_pages_is_read_as_far_as_the_budget_goes() {
    let history = generated::history(&synth::big_map(2_000).history(1));
    let reader = Pages::of(&history, 5);
    let finding = read(&reader, Question { status: Some(Status::Failed), redrive_count: None }).await;
    assert_eq!((reader.made(), finding.reading.calls), (100, 100));
    assert!(finding.reading.budget_hit && !finding.reading.complete);
    assert_eq!(finding.analysis.notes[0], "Only the newest 495 events were read: 100 calls had been made.");
}

#[tokio::test]
async fn a_history_on_one_page_takes_one_call() {
    let history = recorded::recorded("failed", "retry-interval-features");
    let reader = Pages::of(&history, 1_000);
    let finding = read(&reader, Question { status: Some(Status::Failed), redrive_count: Some(0) }).await;
    assert_eq!(reader.made(), 1);
    assert!(finding.reading.complete);
}
