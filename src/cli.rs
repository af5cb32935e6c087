//! The command line: which command, with which settings, and what exit code it ends with.
//!
//! Settings are not checked by the parser but by [`crate::config`], all of them together, so that
//! every fault is shown at once. Results go to standard output, everything else to standard error.

mod aws;
mod check;
mod dlq;
mod error;
mod explain;
mod health;
mod incidents;
mod notify;
mod sweep;
mod work;

use std::env::VarError;
use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::config::{CONFIG_VARIABLE, Layers, SETTINGS};
use crate::telemetry::chain;
use error::CliError;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: it did what was asked.
    Done,
    /// 1: it could not, and said why.
    Failed,
    /// 2: the command line makes no sense.
    Usage,
    /// 64: the settings make no sense; every fault was listed.
    Configuration,
    /// 130: a second interrupt ended it. The signal handler exits with it by itself.
    InterruptedAgain,
}

impl Exit {
    /// The process's exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Configuration => 64,
            Self::InterruptedAgain => crate::shutdown::INTERRUPTED_AGAIN,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Runs the command that `arguments` (the program's name first) ask for.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let matches = match command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => {
            // Help and version are results; anything else is wrong usage, told on standard error.
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Done };
            return if error.print().is_ok() { exit } else { Exit::Failed };
        }
    };
    let done = match matches.subcommand() {
        Some(("work", matches)) => work::run(matches),
        Some(("explain", matches)) => explain::run(matches),
        Some(("check", matches)) => check::run(matches),
        Some(("health", matches)) => health::run(matches),
        Some(("notify", matches)) => notify::run(matches),
        Some(("dlq", matches)) => dlq::run(matches),
        Some(("incidents", matches)) => incidents::run(matches),
        Some(("sweep", matches)) => sweep::run(matches),
        _ => unreachable!("the parser requires one of the commands"),
    };
    done.unwrap_or_else(|error| {
        anstream::eprintln!("misstep: {}", chain(&error));
        error.exit()
    })
}

/// The whole command line.
pub fn command() -> Command {
    Command::new("misstep")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Finds the step that tripped in failed AWS Step Functions executions and tells the people concerned")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(with_settings(work::command()))
        .subcommand(with_settings(explain::command()))
        .subcommand(dlq::command())
        .subcommand(incidents::command())
        .subcommand(with_settings(sweep::command()))
        .subcommand(with_settings(notify::command()))
        .subcommand(with_settings(check::command()))
        .subcommand(with_settings(health::command()))
}

/// Adds a flag for every setting.
fn with_settings(command: Command) -> Command {
    let config = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .help(format!("A TOML file of settings [env: {CONFIG_VARIABLE}]"))
        .help_heading("Settings");
    SETTINGS.iter().fold(command.arg(config), |command, setting| {
        let default = setting.default.map(|value| format!(" [default: {value}]")).unwrap_or_default();
        command.arg(
            Arg::new(setting.flag())
                .long(setting.flag())
                .value_name(setting.value)
                .action(ArgAction::Set)
                .allow_hyphen_values(true)
                .help(format!("{} [env: {}]{default}", setting.meaning, setting.variable()))
                .help_heading("Settings"),
        )
    })
}

/// The settings that were given with flags, in the environment and in the file.
fn sources(matches: &ArgMatches) -> Layers<'_> {
    Layers::gather(
        |key| matches.get_one::<String>(key).cloned(),
        variable,
        matches.get_one::<String>("config").cloned(),
    )
}

/// A variable. What is not UTF-8 in a setting is left for the setting's own check to find; a secret that
/// is not counts as missing.
fn variable(name: &str) -> Option<String> {
    match std::env::var(name) {
        Err(VarError::NotUnicode(value)) if name.starts_with("MISSTEP_") => {
            Some(value.to_string_lossy().into_owned())
        }
        value => value.ok(),
    }
}

/// Does a command's work to its end. What may then still run is a look-up of a name that nobody answers,
/// and is not waited for.
///
/// # Errors
/// When there can be no async runtime.
fn run_async<T>(work: impl Future<Output = T>) -> Result<T, CliError> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(CliError::Runtime)?;
    let done = runtime.block_on(work);
    runtime.shutdown_background();
    Ok(done)
}

/// Prints a result. A reader that went away (`misstep explain … | head`) has seen enough.
fn print(text: &str) -> Result<(), CliError> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(CliError::Stdout(error)),
        _ => Ok(()),
    }
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
