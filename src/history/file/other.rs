//! What a file seems to be that holds no history, and how to get the right one.

/// What a document holds instead of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OtherKind {
    pub(super) what: String,
    pub(super) advice: &'static str,
}

/// The commands that give a file that can be explained.
pub(super) const EXPECTED: &str = "expected what `aws stepfunctions get-execution-history --output json` prints, one page or several, or an export of the state machine's log from CloudWatch";

const HISTORY: &str = "`aws stepfunctions get-execution-history --execution-arn ARN --output json` prints what happened in an execution";

const LOG: &str = "`aws logs filter-log-events --log-group-name GROUP --output json` prints a log's events";

const JSON: &str = "run the command again with `--output json`";

impl OtherKind {
    pub(super) fn named(what: &str) -> Self {
        Self { what: what.to_owned(), advice: EXPECTED }
    }

    fn known(what: &str, advice: &'static str) -> Self {
        Self { what: what.to_owned(), advice }
    }

    /// What text that is not JSON seems to be.
    pub(super) fn of_text(text: &str) -> Option<Self> {
        let start: String = text.trim_start().chars().take(300).collect();
        let (what, advice) = if start.starts_with('<') {
            ("a page (HTML or XML)", "pass the URL of the execution's page in the console instead")
        } else if start.starts_with("events:") || start.starts_with("- ") {
            ("YAML", JSON)
        } else if start.starts_with("EVENTS\t") || start.starts_with("---") || start.starts_with("|  ") {
            ("text or a table of the AWS CLI", JSON)
        } else if start.contains("An error occurred (") || start.starts_with("Unable to locate credentials") {
            ("an error message of the AWS CLI", HISTORY)
        } else if start.starts_with("PK\u{3}\u{4}") {
            ("a ZIP archive", "unpack it first")
        } else if start.starts_with("arn:") {
            ("an ARN", "pass the ARN itself instead of a file")
        } else if start.starts_with("http://") || start.starts_with("https://") {
            ("a URL", "pass the URL itself instead of a file")
        } else if start.starts_with("Permission Check Successful") {
            ("the trial file of an export to S3", "take the `.gz` files beside it")
        } else {
            return None;
        };
        Some(Self::known(what, advice))
    }
}

/// The keys of an object.
#[derive(Default)]
pub(super) struct Keys(Vec<String>);

impl Keys {
    pub(super) fn add(&mut self, key: &str) {
        // The objects that are known have fewer.
        if self.0.len() < 40 {
            self.0.push(key.chars().take(40).collect());
        }
    }

    /// What an object with these keys seems to be.
    pub(super) fn kind(&self) -> OtherKind {
        self.known().unwrap_or_else(|| {
            let quoted: Vec<String> = self.0.iter().take(6).map(|key| format!("\"{key}\"")).collect();
            let keys = if quoted.is_empty() { "nothing in it".to_owned() } else { quoted.join(", ") };
            OtherKind::named(&format!("an object with {keys}"))
        })
    }

    /// What a list of objects with these keys seems to be.
    pub(super) fn kind_of_list(&self) -> OtherKind {
        self.known().unwrap_or_else(|| OtherKind::named("a list of something else than events"))
    }

    fn known(&self) -> Option<OtherKind> {
        let has = |key: &str| self.0.iter().any(|one| one == key);
        let (what, advice) = if has("StartAt") && has("States") {
            ("the definition of a state machine", HISTORY)
        } else if has("definition") && has("stateMachineArn") {
            ("what `describe-state-machine` prints", HISTORY)
        } else if has("executions") || (has("executionArn") && !has("status")) {
            ("a list of executions", HISTORY)
        } else if has("detail-type") || has("executionArn") {
            ("an event or a description of an execution", HISTORY)
        } else if has("stateMachines") {
            ("a list of state machines", HISTORY)
        } else if has("ResultFiles") {
            (
                "the manifest of a Map run's results",
                "explain one of the executions that the files named in it list: `misstep explain EXECUTION_ARN`",
            )
        } else if has("ExecutionArn") {
            (
                "the results of a Map run",
                "explain one of the executions in it: `misstep explain EXECUTION_ARN`",
            )
        } else if has("Messages") || has("ReceiptHandle") {
            ("messages of a queue", "pass the body of one message")
        } else if has("queryId") {
            (
                "the number of a query of Logs Insights",
                "`aws logs get-query-results --query-id ID` prints its results",
            )
        } else if has("logStreams") || has("logGroups") || has("logStreamName") {
            ("a list of logs", LOG)
        } else if has("awslogs") {
            ("a packed event of a log subscription", LOG)
        } else {
            return None;
        };
        Some(OtherKind::known(what, advice))
    }
}
