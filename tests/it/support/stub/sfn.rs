//! Step Functions as far as reading goes: GetExecutionHistory, DescribeExecution, DescribeMapRun,
//! ListExecutions, and ListStateMachines of the machines whose executions are known.
//!
//! Histories come in the shape that the AWS CLI prints, such as the generator's; the description of
//! an execution follows from its history and can be amended.

use std::collections::{BTreeSet, HashMap};
use std::ops::Deref;
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value, json};

use super::{Answering, Operations, Refusal, Service};

/// The stand-in.
pub(crate) struct StepFunctions {
    service: Service,
    world: Arc<World>,
}

#[derive(Default)]
struct World(Mutex<Known>);

#[derive(Default)]
struct Known {
    executions: HashMap<String, Execution>,
    map_runs: HashMap<String, MapRun>,
    /// What each page token stands for.
    tokens: HashMap<String, Page>,
    /// The most that a page holds, whatever is asked for.
    largest_page: Option<usize>,
}

#[derive(Default)]
struct Execution {
    /// By id, timestamps in seconds; `None` where there is no history to be read.
    events: Option<Vec<Value>>,
    description: Map<String, Value>,
    /// So many readings show only so many events.
    lag: Option<(usize, usize)>,
}

struct MapRun {
    description: Map<String, Value>,
    children: Vec<String>,
}

/// Where a listing goes on.
#[derive(Clone)]
struct Page {
    of: String,
    /// The other arguments, which must not change.
    arguments: Value,
    from: usize,
}

impl Deref for StepFunctions {
    type Target = Service;

    fn deref(&self) -> &Service {
        &self.service
    }
}

impl StepFunctions {
    pub(crate) async fn start() -> Self {
        let world = Arc::new(World::default());
        Self { service: Service::start(world.clone()).await, world }
    }

    /// The real client, pointed here, that tries each call once.
    pub(crate) fn client(&self) -> aws_sdk_sfn::Client {
        let credentials = aws_sdk_sfn::config::Credentials::new("test", "test", None, None, "stub");
        let config = aws_sdk_sfn::Config::builder()
            .endpoint_url(self.url())
            .region(aws_sdk_sfn::config::Region::new("eu-west-1"))
            .credentials_provider(credentials)
            .retry_config(aws_sdk_sfn::config::retry::RetryConfig::disabled())
            .build();
        aws_sdk_sfn::Client::from_conf(config)
    }

    /// Makes an execution known, with the events of its history.
    pub(crate) fn add(&self, arn: &str, events: &[Value]) {
        let description = describe(arn, events);
        let events = Some(events.iter().map(in_seconds).collect());
        self.known().executions.insert(arn.to_owned(), Execution { events, description, lag: None });
    }

    /// Makes an execution known that has no history to be read, such as an Express one under a Map
    /// run.
    pub(crate) fn add_without_history(&self, arn: &str, description: Value) {
        let mut all = describe(arn, &[]);
        all.extend(object(description));
        self.known()
            .executions
            .insert(arn.to_owned(), Execution { description: all, ..Execution::default() });
    }

    /// Changes what DescribeExecution and DescribeMapRun say.
    pub(crate) fn amend(&self, arn: &str, changes: Value) {
        let mut known = self.known();
        let known = &mut *known;
        let description = match (known.executions.get_mut(arn), known.map_runs.get_mut(arn)) {
            (Some(execution), _) => &mut execution.description,
            (_, Some(run)) => &mut run.description,
            _ => panic!("{arn} is not known"),
        };
        description.extend(object(changes));
    }

    /// Pages hold no more than this from now on, as AWS's do where events are large.
    pub(crate) fn limit_pages(&self, events: usize) {
        self.known().largest_page = Some(events);
    }

    /// The next so many readings of a history begin before its end was written: their first page
    /// shows only its first events.
    pub(crate) fn lags(&self, arn: &str, readings: usize, events: usize) {
        let mut known = self.known();
        let execution = known.executions.get_mut(arn).unwrap_or_else(|| panic!("{arn} is not known"));
        execution.lag = Some((readings, events));
    }

    /// Makes a Map run known that failed, with its children, which are known already.
    pub(crate) fn add_map_run(&self, arn: &str, parent: &str, children: &[&str]) {
        let mut known = self.known();
        let mut counts = json!({
            "pending": 0, "running": 0, "succeeded": 0, "failed": 0, "timedOut": 0, "aborted": 0,
            "total": children.len(), "resultsWritten": 0,
        });
        for child in children {
            let execution =
                known.executions.get_mut(*child).unwrap_or_else(|| panic!("{child} is not known"));
            execution.description.insert("mapRunArn".to_owned(), json!(arn));
            let status = match execution.description["status"].as_str() {
                Some("TIMED_OUT") => "timedOut".to_owned(),
                status => status.unwrap_or("RUNNING").to_lowercase(),
            };
            counts[&status] = json!(counts[&status].as_u64().unwrap_or(0) + 1);
        }
        let description = json!({
            "mapRunArn": arn, "executionArn": parent, "status": "FAILED", "startDate": 1_772_366_400.0,
            "stopDate": 1_772_366_460.5, "maxConcurrency": 0, "toleratedFailurePercentage": 0.0,
            "toleratedFailureCount": 0, "itemCounts": counts, "executionCounts": counts, "redriveCount": 0,
        });
        let children = children.iter().map(|child| (*child).to_owned()).collect();
        known.map_runs.insert(arn.to_owned(), MapRun { description: object(description), children });
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.world.known()
    }
}

impl World {
    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.lock().expect("no test panics with the executions in hand")
    }
}

impl Operations for World {
    fn answer(self: Arc<Self>, operation: String, arguments: Value) -> Answering {
        Box::pin(async move {
            let mut known = self.known();
            match operation.as_str() {
                "GetExecutionHistory" => known.history(&arguments),
                "DescribeExecution" => {
                    Ok(Value::Object(known.execution(&text(&arguments, "executionArn"))?.description.clone()))
                }
                "DescribeMapRun" => {
                    Ok(Value::Object(known.map_run(&text(&arguments, "mapRunArn"))?.description.clone()))
                }
                "ListExecutions" => known.list(&arguments),
                "ListStateMachines" => known.list_machines(&arguments),
                other => Err(Refusal::new(400, "UnknownOperationException", other)),
            }
        })
    }
}

impl Known {
    fn execution(&mut self, arn: &str) -> Result<&mut Execution, Refusal> {
        let message = format!("Execution Does Not Exist: '{arn}'");
        self.executions.get_mut(arn).ok_or_else(|| Refusal::new(400, "ExecutionDoesNotExist", message))
    }

    fn map_run(&self, arn: &str) -> Result<&MapRun, Refusal> {
        let message = format!("Resource not found: '{arn}'");
        self.map_runs.get(arn).ok_or_else(|| Refusal::new(400, "ResourceNotFound", message))
    }

    fn history(&mut self, arguments: &Value) -> Result<Value, Refusal> {
        let arn = text(arguments, "executionArn");
        let (from, page) = self.page(&arn, arguments)?;
        let with_data = arguments["includeExecutionData"].as_bool().unwrap_or(true);
        let execution = self.execution(&arn)?;
        let does_not_exist =
            || Refusal::new(400, "ExecutionDoesNotExist", format!("Execution Does Not Exist: '{arn}'"));
        let events = execution.events.as_ref().ok_or_else(does_not_exist)?;
        let mut shown = events.as_slice();
        if let Some((readings, events)) = &mut execution.lag
            && *readings > 0
            && from == 0
        {
            shown = &shown[..(*events).min(shown.len())];
            *readings -= 1;
        }
        let is_reverse = arguments["reverseOrder"].as_bool().unwrap_or(false);
        let ordered: Box<dyn Iterator<Item = &Value>> =
            if is_reverse { Box::new(shown.iter().rev()) } else { Box::new(shown.iter()) };
        let events: Vec<Value> =
            ordered.skip(from).take(page).map(|event| trimmed(event, with_data)).collect();
        let end = from + events.len();
        let mut answer = json!({"events": events});
        if end < shown.len() {
            answer["nextToken"] = json!(self.token(&arn, arguments, end));
        }
        Ok(answer)
    }

    fn list(&mut self, arguments: &Value) -> Result<Value, Refusal> {
        let (arn, children): (String, Vec<&Execution>) = match arguments["stateMachineArn"].as_str() {
            None => {
                let arn = text(arguments, "mapRunArn");
                let children = &self.map_run(&arn)?.children;
                (arn, children.iter().filter_map(|child| self.executions.get(child)).collect())
            }
            Some(machine) => {
                let is_of = |execution: &&Execution| {
                    execution.description["stateMachineArn"].as_str() == Some(machine)
                };
                let is_child = |execution: &&Execution| execution.description.contains_key("mapRunArn");
                let its = self.executions.values().filter(is_of).filter(|execution| !is_child(execution));
                (machine.to_owned(), its.collect())
            }
        };
        let (from, page) = self.page(&arn, arguments)?;
        let wanted = arguments["statusFilter"].as_str();
        let is_wanted = |execution: &&Execution| {
            wanted.is_none_or(|status| execution.description["status"].as_str() == Some(status))
        };
        let mut found: Vec<&Map<String, Value>> =
            children.into_iter().filter(is_wanted).map(|execution| &execution.description).collect();
        // Children of a Map run: those first that began last. Of a state machine: those that ended last.
        let date = if arguments["stateMachineArn"].is_null() { "startDate" } else { "stopDate" };
        let last = |description: &Map<String, Value>| {
            let date = description.get(date).unwrap_or(&description["startDate"]);
            date.as_f64().unwrap_or(0.0)
        };
        found.sort_by(|a, b| last(b).total_cmp(&last(a)));
        let total = found.len();
        let listed: Vec<Value> = found.into_iter().skip(from).take(page).map(listed).collect();
        let end = from + listed.len();
        let mut answer = json!({"executions": listed});
        if end < total {
            answer["nextToken"] = json!(self.token(&arn, arguments, end));
        }
        Ok(answer)
    }

    fn list_machines(&mut self, arguments: &Value) -> Result<Value, Refusal> {
        let (from, page) = self.page("state machines", arguments)?;
        let arns = self.executions.values().filter_map(|one| one.description["stateMachineArn"].as_str());
        let arns: BTreeSet<String> = arns.map(str::to_owned).collect();
        let total = arns.len();
        let machine = |arn: String| {
            let name = arn.rsplit(':').next().unwrap_or_default();
            json!({"stateMachineArn": arn, "name": name, "type": "STANDARD", "creationDate": 1_772_366_400.0})
        };
        let listed: Vec<Value> = arns.into_iter().skip(from).take(page).map(machine).collect();
        let end = from + listed.len();
        let mut answer = json!({"stateMachines": listed});
        if end < total {
            answer["nextToken"] = json!(self.token("state machines", arguments, end));
        }
        Ok(answer)
    }

    /// Where a page starts, and how long it is.
    fn page(&self, of: &str, arguments: &Value) -> Result<(usize, usize), Refusal> {
        let page = match arguments["maxResults"].as_u64().unwrap_or(0) {
            0 => 100,
            page @ 1..=1000 => page as usize,
            page => {
                let message = format!(
                    "1 validation error detected: Value '{page}' at 'maxResults' failed to satisfy constraint: \
                     Member must have value less than or equal to 1000"
                );
                return Err(Refusal::new(400, "ValidationException", message));
            }
        };
        let page = page.min(self.largest_page.unwrap_or(page));
        let Some(token) = arguments["nextToken"].as_str() else { return Ok((0, page)) };
        let known = self.tokens.get(token).filter(|page| page.of == of && page.arguments == rest(arguments));
        let known =
            known.ok_or_else(|| Refusal::new(400, "InvalidToken", "Invalid Token: 'Invalid token'"))?;
        Ok((known.from, page))
    }

    fn token(&mut self, of: &str, arguments: &Value, from: usize) -> String {
        let token = format!("AAAAK{:08x}", self.tokens.len() + 1);
        self.tokens.insert(token.clone(), Page { of: of.to_owned(), arguments: rest(arguments), from });
        token
    }
}

/// The arguments that must stay the same from page to page.
fn rest(arguments: &Value) -> Value {
    let mut rest = object(arguments.clone());
    rest.remove("nextToken");
    rest.remove("maxResults");
    Value::Object(rest)
}

/// What DescribeExecution says of an execution with such a history.
fn describe(arn: &str, events: &[Value]) -> Map<String, Value> {
    let parts: Vec<&str> = arn.splitn(8, ':').collect();
    let [_, partition, _, region, account, _, machine, name] = parts.as_slice() else {
        panic!("{arn} is not the ARN of an execution");
    };
    let mut description = object(json!({
        "executionArn": arn,
        "stateMachineArn": format!("arn:{partition}:states:{region}:{account}:stateMachine:{machine}"),
        "name": name, "status": "RUNNING", "startDate": 1_772_366_400.0, "redriveCount": 0,
        "redriveStatus": "NOT_REDRIVABLE",
    }));
    for event in events {
        if let Some(started) = event.get("executionStartedEventDetails") {
            description.insert("startDate".to_owned(), seconds(event));
            description.insert("input".to_owned(), started["input"].clone());
            description.insert("inputDetails".to_owned(), json!({"included": true}));
        }
        if let Some(redriven) = event.get("executionRedrivenEventDetails") {
            description.insert("redriveCount".to_owned(), redriven["redriveCount"].clone());
            description.insert("status".to_owned(), json!("RUNNING"));
            for key in ["stopDate", "error", "cause"] {
                description.remove(key);
            }
        }
        let status = match event["type"].as_str() {
            Some("ExecutionSucceeded") => "SUCCEEDED",
            Some("ExecutionFailed") => "FAILED",
            Some("ExecutionTimedOut") => "TIMED_OUT",
            Some("ExecutionAborted") => "ABORTED",
            _ => continue,
        };
        description.insert("status".to_owned(), json!(status));
        description.insert("stopDate".to_owned(), seconds(event));
        let is_redrivable = if status == "SUCCEEDED" { "NOT_REDRIVABLE" } else { "REDRIVABLE" };
        description.insert("redriveStatus".to_owned(), json!(is_redrivable));
        // Measured on AWS: a timeout's error is in the history only.
        let said = event.as_object().into_iter().flatten().find(|(key, _)| key.ends_with("EventDetails"));
        for key in ["error", "cause", "output"] {
            if let Some(value) = said.and_then(|(_, details)| details.get(key))
                && status != "TIMED_OUT"
            {
                description.insert(key.to_owned(), value.clone());
            }
        }
    }
    description
}

/// An execution as ListExecutions names it.
fn listed(description: &Map<String, Value>) -> Value {
    let keys = [
        "executionArn",
        "stateMachineArn",
        "name",
        "status",
        "startDate",
        "stopDate",
        "mapRunArn",
        "redriveCount",
    ];
    let known = keys.into_iter().filter_map(|key| Some((key.to_owned(), description.get(key)?.clone())));
    let mut listed: Map<String, Value> = known.collect();
    listed.insert("itemCount".to_owned(), json!(0));
    Value::Object(listed)
}

/// The event with its timestamp as the API gives it: in seconds.
fn in_seconds(event: &Value) -> Value {
    let mut event = event.clone();
    event["timestamp"] = seconds(&event);
    event
}

fn seconds(event: &Value) -> Value {
    match &event["timestamp"] {
        Value::String(text) => {
            let time: jiff::Timestamp = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            json!(time.as_millisecond() as f64 / 1000.0)
        }
        number => number.clone(),
    }
}

/// The event without its input and output, where they are not wanted.
fn trimmed(event: &Value, with_data: bool) -> Value {
    let mut event = event.clone();
    if !with_data {
        for details in
            event.as_object_mut().into_iter().flatten().filter_map(|(_, value)| value.as_object_mut())
        {
            details.retain(|key, _| !["input", "output"].contains(&key.as_str()));
        }
    }
    event
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        other => panic!("not an object: {other}"),
    }
}

fn text(arguments: &Value, key: &str) -> String {
    arguments[key].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
