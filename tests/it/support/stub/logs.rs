//! CloudWatch Logs as far as reading goes: GetLogEvents and FilterLogEvents.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::{Answering, Operations, Refusal, Service};

/// The stand-in.
pub(crate) struct CloudWatchLogs {
    service: Service,
    world: Arc<World>,
}

/// One log group: its streams, and in each its lines with their times in milliseconds.
#[derive(Default)]
struct World {
    streams: Mutex<BTreeMap<String, Vec<(i64, String)>>>,
    page: Mutex<Option<usize>>,
}

/// The log group that there is.
pub(crate) const GROUP: &str = "/aws/lambda/charge";

impl Deref for CloudWatchLogs {
    type Target = Service;

    fn deref(&self) -> &Service {
        &self.service
    }
}

impl CloudWatchLogs {
    pub(crate) async fn start() -> Self {
        let world = Arc::new(World::default());
        Self { service: Service::start(world.clone()).await, world }
    }

    /// Adds a line to a stream.
    pub(crate) fn write(&self, stream: &str, at: i64, line: &str) {
        let mut streams = self.world.streams.lock().unwrap();
        streams.entry(stream.to_owned()).or_default().push((at, line.to_owned()));
    }

    /// Searches answer with no more lines a page than this from now on.
    pub(crate) fn limit_pages(&self, lines: usize) {
        *self.world.page.lock().unwrap() = Some(lines);
    }
}

impl World {
    fn get(&self, arguments: &Value) -> Result<Value, Refusal> {
        let streams = self.streams.lock().unwrap();
        let stream = arguments["logStreamName"].as_str().unwrap();
        let lines = streams.get(stream).ok_or_else(missing)?;
        let mut lines = between(lines, arguments);
        if arguments["startFromHead"] != true {
            lines = lines.split_off(lines.len().saturating_sub(number(arguments, "limit", 10_000)));
        }
        let events: Vec<Value> = lines
            .iter()
            .map(|(at, line)| json!({"timestamp": at, "message": line, "ingestionTime": at}))
            .collect();
        Ok(json!({"events": events, "nextForwardToken": "f/1", "nextBackwardToken": "b/1"}))
    }

    fn filter(&self, arguments: &Value) -> Value {
        let streams = self.streams.lock().unwrap();
        let prefix = arguments["logStreamNamePrefix"].as_str().unwrap_or_default();
        let pattern = arguments["filterPattern"].as_str().unwrap_or_default().trim_matches('"');
        let mut all: Vec<(i64, &String, String)> = Vec::new();
        for (stream, lines) in streams.iter().filter(|(stream, _)| stream.starts_with(prefix)) {
            let lines = between(lines, arguments).into_iter().filter(|(_, line)| line.contains(pattern));
            all.extend(lines.map(|(at, line)| (at, stream, line)));
        }
        all.sort();
        let from = arguments["nextToken"].as_str().map_or(0, |token| token.parse().unwrap());
        let page = self.page.lock().unwrap().unwrap_or(10_000);
        let events: Vec<Value> = all
            .iter()
            .skip(from)
            .take(page)
            .map(|(at, stream, line)| json!({"timestamp": at, "message": line, "logStreamName": stream, "eventId": "1"}))
            .collect();
        let next = (from + page < all.len()).then(|| (from + page).to_string());
        json!({"events": events, "nextToken": next, "searchedLogStreams": []})
    }
}

/// The start is part of what is asked for, the end is not.
fn between(lines: &[(i64, String)], arguments: &Value) -> Vec<(i64, String)> {
    let (from, to) = (arguments["startTime"].as_i64().unwrap(), arguments["endTime"].as_i64().unwrap());
    lines.iter().filter(|(at, _)| (from..to).contains(at)).cloned().collect()
}

fn number(arguments: &Value, key: &str, default: usize) -> usize {
    arguments[key].as_u64().and_then(|number| usize::try_from(number).ok()).unwrap_or(default)
}

fn missing() -> Refusal {
    Refusal::new(400, "ResourceNotFoundException", "The specified log stream does not exist.")
}

impl Operations for World {
    fn answer(self: Arc<Self>, operation: String, arguments: Value) -> Answering {
        Box::pin(async move {
            if arguments["logGroupName"] != GROUP {
                return Err(missing());
            }
            match operation.as_str() {
                "GetLogEvents" => self.get(&arguments),
                "FilterLogEvents" => Ok(self.filter(&arguments)),
                other => Err(Refusal::new(400, "UnknownOperationException", other)),
            }
        })
    }
}
