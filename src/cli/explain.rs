//! `misstep explain`: the analysis of one execution, for a person or a program.

use std::io::{ErrorKind, IsTerminal as _, Read as _};
use std::path::PathBuf;
use std::sync::Arc;

use crate::aws::Session;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::error::CliError;
use super::{Exit, aws, print, run_async, sources};
use crate::analysis::Question;
use crate::aws::arn::{ExecutionArn, Workflow, execution_of_url, is_url};
use crate::config::CommonSettings;
use crate::event::{self, StatusChange};
use crate::history::Status;
use crate::history::file::{FileError, FileText, Selected};
use crate::history::sfn::SfnReader;
use crate::history::throttled::ThrottledReader;
use crate::investigation::{ExecutionRequest, Finding, investigate};
use crate::logs::{self, Logs};
use crate::memory::MemoryBudget;
use crate::metrics::Metrics;
use crate::redact::{Redactor, Rules};
use crate::report::format::Format;
use crate::report::{Report, Subject};
use crate::telemetry::{self, chain};

pub(super) fn command() -> Command {
    Command::new("explain")
        .about("Explains one execution: which state tripped, with what error, on what input")
        .arg(Arg::new("target").value_name("TARGET").required(true).help(
            "An execution's ARN, the URL of its page in the console, a file, or - for standard input. A file holds what `aws stepfunctions get-execution-history --output json` prints, or an export of the state machine's log from CloudWatch, also packed with gzip",
        ))
        .arg(
            Arg::new("execution")
                .long("execution")
                .value_name("NAME")
                .help("The name or ARN of the execution to explain, where a log holds several"),
        )
        .arg(
            Arg::new("format")
                .long("format")
                .value_name("FORMAT")
                .value_parser(Format::NAMES)
                .help("How the report looks; text on a terminal, json otherwise"),
        )
        .arg(Arg::new("output").long("output").value_name("FILE").help("Write the report there instead of to standard output"))
        .arg(
            Arg::new("redact")
                .long("redact")
                .action(ArgAction::SetTrue)
                .help("Remove secrets, as notifications do; without it, everything is shown"),
        )
        .arg(
            Arg::new("logs")
                .long("logs")
                .action(ArgAction::SetTrue)
                .help("Show the last lines of the log of what failed, as CloudWatch Logs has them"),
        )
}

pub(super) fn run(matches: &ArgMatches) -> Result<Exit, CliError> {
    let settings = sources(matches).common().map_err(CliError::Settings)?;
    let _log = telemetry::start(&settings.log, settings.log_format);
    let target = matches.get_one::<String>("target").map(String::as_str).unwrap_or_default();
    let output = matches.get_one::<String>("output").map(PathBuf::from);
    let on_terminal = output.is_none() && std::io::stdout().is_terminal();
    let format = match matches.get_one::<String>("format") {
        Some(name) => Format::parse(name).expect("the parser let through no other"),
        None if on_terminal => Format::Text,
        None => Format::Json,
    };
    let wanted = matches.get_one::<String>("execution").map(String::as_str);
    let explained = match (named(target.trim()), wanted) {
        (Some(_), Some(_)) => {
            return Err(CliError::Usage(
                "--execution selects from a file; TARGET names an execution already",
            ));
        }
        (Some(named), None) => explain_named(&named?, &settings)?,
        (None, wanted) => explain_file(target, wanted, &settings)?,
    };
    let report = if matches.get_flag("logs") { with_logs(explained)? } else { explained };
    let report = if matches.get_flag("redact") {
        report.redacted(&Redactor::new(&Rules { on: true, ..settings.redaction.clone() }))
    } else {
        report
    };
    let colour =
        on_terminal && anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never;
    let text = format.render(&report, colour);
    match &output {
        Some(path) => std::fs::write(path, text)
            .map_err(|source| CliError::Output { path: path.display().to_string(), source })?,
        None => print(&text)?,
    }
    Ok(Exit::Done)
}

/// The report with the last lines of the log of what failed. That they cannot be read, it says.
fn with_logs(mut report: Report) -> Result<Report, CliError> {
    let read = async {
        let aws = aws::load_in_time().await?;
        let reader = logs::reader(&aws).ok_or_else(|| CliError::failed(logs::UNAVAILABLE))?;
        Ok(logs::of(&*reader, &report.analysis.resources).await)
    };
    let read: Result<Logs, CliError> = run_async(read)?;
    report.analysis.logs =
        Some(read.unwrap_or_else(|error| Logs { error: Some(chain(&error)), ..Logs::default() }));
    Ok(report)
}

fn subject(settings: &CommonSettings, execution: Option<ExecutionArn>) -> Subject {
    Subject {
        state_machine_arn: execution.as_ref().map(ExecutionArn::state_machine_arn),
        execution,
        env: settings.env.clone(),
        application: settings.application.clone(),
        ..Subject::default()
    }
}

/// The execution that a target names: by its ARN, or by the URL of its page. `None` for a file.
fn named(target: &str) -> Option<Result<ExecutionArn, CliError>> {
    if is_url(target) {
        return Some(execution_of_url(target).map_err(CliError::Url));
    }
    target.starts_with("arn:").then(|| {
        ExecutionArn::parse(target).map_err(|error| {
            if target.contains(":stateMachine:") {
                CliError::Failed(format!("{error}; `aws stepfunctions list-executions --state-machine-arn ARN --status-filter FAILED` lists those that failed"))
            } else {
                CliError::Failed(error.to_string())
            }
        })
    })
}

fn explain_named(execution: &ExecutionArn, settings: &CommonSettings) -> Result<Report, CliError> {
    if execution.workflow() == Workflow::Express {
        return Err(CliError::Failed(format!(
            "{execution} is an execution of an Express workflow, which keeps no history. Explain its log instead, with the name of the state machine's log group for GROUP:\n  aws logs filter-log-events --log-group-name GROUP --filter-pattern '{{ $.execution_arn = \"{execution}\" }}' --region {} --output json | misstep explain -",
            execution.region()
        )));
    }
    run_async(async {
        let aws = aws::load_in_time().await?;
        explain_execution(&aws, execution, None, settings).await
    })?
}

fn explain_file(target: &str, wanted: Option<&str>, settings: &CommonSettings) -> Result<Report, CliError> {
    let (name, bytes) = if target == "-" { ("standard input", read_stdin()) } else { (target, read(target)) };
    let bytes = bytes.map_err(|why| CliError::Failed(format!("{name} cannot be read: {why}")))?;
    let fault = |source: FileError| CliError::File { name: name.to_owned(), source };
    let text = FileText::of(bytes).map_err(fault)?;
    let executions = match text.executions() {
        Ok(executions) => executions,
        Err(error) => {
            return match events_of(&text, &error) {
                Some(changes) => explain_event(changes, wanted, settings)
                    .map_err(|why| CliError::Failed(format!("{name}: {why}"))),
                None => Err(fault(error)),
            };
        }
    };
    let Selected { recorded, reason } =
        executions.select(wanted).map_err(|error| CliError::Failed(format!("{name}: {}", chain(&error))))?;
    if let Some(reason) = reason {
        anstream::eprintln!("misstep: {name}: {reason}");
    }
    let finding = Finding::of_file(&recorded.history, &Question::default());
    Ok(Report::new(&subject(settings, recorded.execution), &finding))
}

fn read_stdin() -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}

fn read(path: &str) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| match error.kind() {
        ErrorKind::IsADirectory => {
            format!("it is a folder; for an export to S3, run `cat {path}/*.gz | misstep explain -`")
        }
        ErrorKind::NotFound => format!(
            "{error}; TARGET is an execution's ARN, the URL of its page in the console, a file, or - for standard input"
        ),
        _ => error.to_string(),
    })
}

/// The longest text that may be an event: far more than a message of a queue holds.
const LONGEST_EVENT: usize = 4 << 20;

/// The status changes that a file holds which is no history: an event of EventBridge, with whatever it is
/// wrapped in, or what `aws stepfunctions describe-execution` prints.
fn events_of(text: &FileText, error: &FileError) -> Option<Vec<StatusChange>> {
    let may_be_event =
        matches!(error, FileError::SomethingElse { .. }) && text.as_str().len() <= LONGEST_EVENT;
    may_be_event.then(|| event::parse(text.as_str()).ok()).flatten()
}

/// A report from an event alone.
fn explain_event(
    mut changes: Vec<StatusChange>,
    wanted: Option<&str>,
    settings: &CommonSettings,
) -> Result<Report, &'static str> {
    if let Some(wanted) = wanted {
        changes.retain(|change| [change.execution.as_str(), change.execution.name()].contains(&wanted));
    }
    let change = match (changes.pop(), changes.is_empty()) {
        (Some(change), true) => change,
        (Some(_), false) => {
            return Err("it holds several events; select one with --execution NAME");
        }
        (None, _) => return Err("it holds no event of that execution"),
    };
    let reason = match change.execution.workflow() {
        Workflow::Standard => {
            format!(
                "the file holds an event, not the history; `misstep explain {}` reads it",
                change.execution
            )
        }
        Workflow::Express => {
            "the file holds an event, and an Express execution keeps no history; explain an export of its log"
                .to_owned()
        }
    };
    let subject = Subject {
        state_machine_arn: Some(change.state_machine_arn),
        status: Some(change.status),
        error: change.error,
        cause: change.cause,
        input: change.input,
        ..subject(settings, Some(change.execution))
    };
    Ok(Report::degraded(&subject, &reason))
}

/// Reads and analyses one execution.
pub(super) async fn explain_execution(
    aws: &Session,
    execution: &ExecutionArn,
    status: Option<Status>,
    settings: &CommonSettings,
) -> Result<Report, CliError> {
    let reader = ThrottledReader::new(Arc::new(SfnReader::new(aws)), settings.history_rate, Metrics::new());
    let asked = ExecutionRequest { execution: execution.clone(), status, redrive_count: None };
    let finding = investigate(&reader, &asked, &MemoryBudget::unlimited().report().await)
        .await
        .map_err(|error| CliError::Investigation(Box::new(error)))?;
    Ok(Report::new(&subject(settings, Some(execution.clone())), &finding))
}
