//! `misstep explain`: the analysis of one execution, for a person or a program.

use std::io::{IsTerminal as _, Read as _};
use std::path::PathBuf;
use std::sync::Arc;

use aws_config::SdkConfig;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::{Exit, aws, failed, faults, print, run_async, sources};
use crate::analysis::Question;
use crate::arn::ExecutionArn;
use crate::config::Common;
use crate::history::patient::PatientReader;
use crate::history::sfn::SfnReader;
use crate::history::{Status, file};
use crate::investigation::{Asked, Finding, investigate};
use crate::redact::{Redactor, Rules};
use crate::report::format::Format;
use crate::report::{Report, Subject};
use crate::telemetry::{self, chain};

pub(super) fn command() -> Command {
    Command::new("explain")
        .about("Explains one execution: which state tripped, with what error, on what input")
        .arg(Arg::new("target").value_name("TARGET").required(true).help(
            "An execution's ARN, a file that holds what `aws stepfunctions get-execution-history --output json` prints, or - for standard input",
        ))
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
}

pub(super) fn run(matches: &ArgMatches) -> Exit {
    let settings = match sources(matches).common() {
        Ok(settings) => settings,
        Err(all) => return faults(&all),
    };
    let _log = telemetry::start(&settings.log, settings.log_format);
    let target = matches.get_one::<String>("target").map(String::as_str).unwrap_or_default();
    let output = matches.get_one::<String>("output").map(PathBuf::from);
    let on_terminal = output.is_none() && std::io::stdout().is_terminal();
    let format = match matches.get_one::<String>("format") {
        Some(name) => Format::parse(name).expect("the parser let through no other"),
        None if on_terminal => Format::Text,
        None => Format::Json,
    };
    let explained = if target.starts_with("arn:") {
        explain_arn(target, &settings)
    } else {
        explain_file(target, &settings)
    };
    let shown = explained.and_then(|report| {
        if matches.get_flag("redact") { redacted(&report, &settings) } else { Ok(report) }
    });
    let report = match shown {
        Ok(report) => report,
        Err(why) => return failed(&why),
    };
    let colour =
        on_terminal && anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never;
    let text = format.render(&report, colour);
    let written = match &output {
        Some(path) => std::fs::write(path, text)
            .map_err(|error| format!("{} cannot be written: {error}", path.display())),
        None => print(&text),
    };
    match written {
        Ok(()) => Exit::Done,
        Err(why) => failed(&why),
    }
}

fn redacted(report: &Report, settings: &Common) -> Result<Report, String> {
    let redactor = Redactor::new(&Rules { on: true, ..settings.redaction.clone() });
    redactor.redacted(report).map_err(|error| {
        format!("the report cannot be shown without its secrets: {error}; this is a defect of misstep, please report it")
    })
}

fn subject(settings: &Common, execution: Option<ExecutionArn>) -> Subject {
    Subject {
        state_machine_arn: execution.as_ref().map(ExecutionArn::state_machine_arn),
        execution,
        env: settings.env.clone(),
        application: settings.application.clone(),
        ..Subject::default()
    }
}

fn explain_file(target: &str, settings: &Common) -> Result<Report, String> {
    let (name, bytes) = if target == "-" {
        let mut bytes = Vec::new();
        let read = std::io::stdin().lock().read_to_end(&mut bytes);
        ("standard input", read.map(|_| bytes))
    } else {
        (target, std::fs::read(target))
    };
    let bytes = bytes.map_err(|error| format!("{name} cannot be read: {error}"))?;
    let history = file::parse(&bytes).map_err(|error| format!("{name}: {}", chain(&error)))?;
    let finding = Finding::of_file(&history, &Question::default());
    Ok(Report::new(&subject(settings, None), &finding))
}

fn explain_arn(target: &str, settings: &Common) -> Result<Report, String> {
    let execution = ExecutionArn::parse(target).map_err(|error| error.to_string())?;
    run_async(async {
        let aws = aws::load_in_time().await?;
        explain_execution(&aws, &execution, None, settings).await
    })?
}

/// Reads and analyses one execution.
pub(super) async fn explain_execution(
    aws: &SdkConfig,
    execution: &ExecutionArn,
    status: Option<Status>,
    settings: &Common,
) -> Result<Report, String> {
    let reader = PatientReader::new(Arc::new(SfnReader::new(aws)), settings.history_rate);
    let asked = Asked { execution: execution.clone(), status, redrive_count: None };
    let finding = investigate(&reader, &asked).await.map_err(|error| chain(&error))?;
    Ok(Report::new(&subject(settings, Some(execution.clone())), &finding))
}
