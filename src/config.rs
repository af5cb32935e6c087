//! Flags, environment and file, read together into one checked value.
//!
//! A flag wins over the environment, the environment over the file (`--config` or
//! `MISSTEP_CONFIG`, TOML). All faults are collected, so that they can be shown at once. A
//! variable that is set but empty counts as not set. Which AWS account and region is meant follows
//! the AWS SDK's own chain and is not read here.

mod settings;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use url::Url;

use crate::arn::base_state_machine;
use crate::telemetry::{self, LogFormat};
pub use settings::{SETTINGS, Setting};

/// The variable that names the configuration file.
pub const CONFIG_VARIABLE: &str = "MISSTEP_CONFIG";

/// One thing that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault(String);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What to do with events of a Distributed Map's children.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MapRunChildren {
    /// Acknowledge and count them: the parent's report covers them.
    Fold,
    /// Treat each like any other failure.
    Notify,
}

/// Settings that every command has.
#[derive(Debug, Clone)]
pub struct Common {
    /// The environment named in notifications.
    pub env: String,
    /// The application's name.
    pub application: Option<String>,
    /// GetExecutionHistory calls a second; `None` for no limit.
    pub history_rate: Option<f64>,
    /// Which log lines appear.
    pub log: String,
    /// How log lines look.
    pub log_format: LogFormat,
}

/// Settings of the worker.
#[derive(Debug, Clone)]
pub struct Work {
    /// Settings that every command has.
    pub common: Common,
    /// The queue of failure events.
    pub queue_url: String,
    /// Its dead-letter queue, where it is not to be found through the redrive policy.
    pub dlq_url: Option<String>,
    /// Where notifications go.
    pub notification: Notification,
    /// State machine ARNs to handle, without versions and aliases; empty for all.
    pub state_machines: Vec<String>,
    /// What to do with a Distributed Map's children.
    pub map_run_children: MapRunChildren,
    /// Messages in hand at once.
    pub concurrency: usize,
    /// How long a poll waits for messages.
    pub poll_wait: Duration,
    /// How long a stop may drain.
    pub shutdown_grace: Duration,
    /// Where health and metrics are served; `None` for nowhere.
    pub admin_addr: Option<SocketAddr>,
}

/// Settings of the commands on the dead-letter queue.
#[derive(Debug, Clone)]
pub struct Dlq {
    /// Settings that every command has.
    pub common: Common,
    /// The queue that the dead-letter queue serves.
    pub queue_url: String,
    /// The dead-letter queue, where it is not to be found through the redrive policy.
    pub dlq_url: Option<String>,
}

/// The notification API and its two audiences.
#[derive(Clone)]
pub struct Notification {
    /// The API's URL, which may hold secrets and is shown by its origin only.
    pub api: Url,
    /// The developers' group address.
    pub internal_email: String,
    /// CustomerAssist's group address.
    pub external_email: String,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// The upper bound of a request's body, in bytes.
    pub max_bytes: usize,
}

impl fmt::Debug for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notification")
            .field("api", &without_secrets(&self.api))
            .field("internal_email", &self.internal_email)
            .field("external_email", &self.external_email)
            .field("timeout", &self.timeout)
            .field("max_bytes", &self.max_bytes)
            .finish()
    }
}

/// A URL as it may be shown: without user information, query and path, each of which can be a
/// secret (a webhook's path is one).
pub fn without_secrets(url: &Url) -> String {
    let more = if url.path() == "/" && url.query().is_none() { "/" } else { "/…" };
    format!("{}{more}", url.origin().ascii_serialization())
}

/// A value as it was given, and where.
#[derive(Debug, Clone)]
struct Given {
    text: String,
    place: String,
}

/// All values that were given, the winning one of each setting, and the faults found so far.
#[derive(Debug, Default)]
pub struct Sources {
    given: BTreeMap<&'static str, Given>,
    faults: Vec<Fault>,
}

impl Sources {
    /// Gathers the values: `flag` and `variable` look one up by its name, `config_file` is the
    /// `--config` flag. A file that cannot be read, or holds unknown keys, is a fault that
    /// [`Sources::work`] and [`Sources::common`] report together with all others.
    pub fn gather(
        flag: impl Fn(&str) -> Option<String>,
        variable: impl Fn(&str) -> Option<String>,
        config_file: Option<String>,
    ) -> Self {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let mut sources = Self::default();
        // From the weakest to the strongest; a later one replaces an earlier one.
        for setting in SETTINGS {
            sources.give(setting, setting.default.map(str::to_owned), setting.variable());
        }
        if let Some(path) = config_file.or_else(|| variable(CONFIG_VARIABLE)) {
            sources.give_file(&path);
        }
        for setting in SETTINGS {
            sources.give(setting, variable(&setting.variable()), setting.variable());
            sources.give(setting, flag(&setting.flag()), format!("--{}", setting.flag()));
        }
        sources
    }

    fn give(&mut self, setting: &Setting, text: Option<String>, place: String) {
        if let Some(text) = text {
            self.given.insert(setting.key, Given { text, place });
        }
    }

    fn give_file(&mut self, path: &str) {
        let table = match std::fs::read_to_string(path) {
            Err(error) => return self.fault(format!("configuration file {path}: cannot be read: {error}")),
            Ok(text) => match text.parse::<toml::Table>() {
                Err(error) => {
                    return self
                        .fault(format!("configuration file {path}: {}", error.to_string().trim_end()));
                }
                Ok(table) => table,
            },
        };
        for (key, value) in &table {
            let Some(setting) = SETTINGS.iter().find(|setting| setting.key == key) else {
                self.fault(format!("configuration file {path}: there is no setting called {key}"));
                continue;
            };
            match plain(value) {
                Some(text) => self.give(setting, Some(text), format!("{key} in {path}")),
                None => self.fault(format!("configuration file {path}: {key}: expected {}", setting.value)),
            }
        }
    }

    fn fault(&mut self, text: String) {
        self.faults.push(Fault(text));
    }

    /// The settings of `explain` and the like.
    ///
    /// # Errors
    /// All faults.
    pub fn common(mut self) -> Result<Common, Vec<Fault>> {
        let common = self.read_common();
        self.finish(common)
    }

    /// The settings of `work`.
    ///
    /// # Errors
    /// All faults, those of the settings that other commands share included.
    pub fn work(mut self) -> Result<Work, Vec<Fault>> {
        let common = self.read_common();
        let queue = self.required("queue_url", queue_url);
        let dlq_url = self.optional("dlq_url", queue_url);
        let notification = self.read_notification();
        let state_machines = self.optional("step_function_arns", state_machines);
        let map_run_children = self.required("map_run_children", map_run_children);
        let concurrency = self.required("concurrency", |text| number(text, 1, 1_000));
        let poll_wait = self.required("poll_wait_secs", |text| seconds(text, 0, 20));
        let shutdown_grace = self.required("shutdown_grace_secs", |text| seconds(text, 0, 900));
        let admin_addr = self.required("admin_addr", admin_addr);
        let work = (|| {
            Some(Work {
                common: common?,
                queue_url: queue?,
                dlq_url,
                notification: notification?,
                state_machines: state_machines.unwrap_or_default(),
                map_run_children: map_run_children?,
                concurrency: concurrency?,
                poll_wait: poll_wait?,
                shutdown_grace: shutdown_grace?,
                admin_addr: admin_addr?,
            })
        })();
        self.finish(work)
    }

    /// The settings of `dlq`.
    ///
    /// # Errors
    /// All faults.
    pub fn dlq(mut self) -> Result<Dlq, Vec<Fault>> {
        let common = self.read_common();
        let queue = self.required("queue_url", queue_url);
        let dlq_url = self.optional("dlq_url", queue_url);
        if dlq_url.is_some() && dlq_url == queue {
            self.fault(
                "MISSTEP_DLQ_URL and MISSTEP_QUEUE_URL name the same queue: messages would go round"
                    .to_owned(),
            );
        }
        let dlq = common.zip(queue).map(|(common, queue_url)| Dlq { common, queue_url, dlq_url });
        self.finish(dlq)
    }

    fn read_common(&mut self) -> Option<Common> {
        let env = self.required("env", name);
        let application = self.optional("application_name", name);
        let history_rate = self.required("history_rate", history_rate);
        let log = self.required("log", |text| telemetry::check_filter(text).map(|()| text.to_owned()));
        let log_format = self.optional("log_format", log_format);
        Some(Common {
            env: env?,
            application,
            history_rate: history_rate?,
            log: log?,
            log_format: log_format.unwrap_or_else(LogFormat::fitting),
        })
    }

    fn read_notification(&mut self) -> Option<Notification> {
        let api = self.required("notification_api", api_url);
        let internal_email = self.required("internal_group_email", email);
        let external_email = self.required("external_group_email", email);
        let timeout = self.required("notify_timeout_secs", |text| seconds(text, 1, 300));
        let max_bytes = self.required("max_notification_bytes", |text| number(text, 4_096, 1 << 30));
        Some(Notification {
            api: api?,
            internal_email: internal_email?,
            external_email: external_email?,
            timeout: timeout?,
            max_bytes: max_bytes?,
        })
    }

    fn finish<T>(self, value: Option<T>) -> Result<T, Vec<Fault>> {
        match value {
            Some(value) if self.faults.is_empty() => Ok(value),
            _ => Err(self.faults),
        }
    }

    fn required<T>(&mut self, key: &str, read: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        if !self.given.contains_key(key) {
            let variable = format!("MISSTEP_{}", key.to_ascii_uppercase());
            self.fault(format!("{variable} is missing (or --{})", key.replace('_', "-")));
        }
        self.optional(key, read)
    }

    fn optional<T>(&mut self, key: &str, read: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let Given { text, place } = self.given.get(key)?;
        match read(text.trim()) {
            Ok(value) => Some(value),
            Err(why) => {
                let fault = format!("{place}: {why}");
                self.fault(fault);
                None
            }
        }
    }
}

/// A TOML value as the text that a flag or a variable would hold.
fn plain(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Array(items) => {
            items.iter().map(|item| item.as_str()).collect::<Option<Vec<_>>>().map(|items| items.join(","))
        }
        _ => None,
    }
}

fn name(text: &str) -> Result<String, String> {
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err("expected a name without control characters".to_owned());
    }
    Ok(text.to_owned())
}

// The two readers of URLs never repeat what they were given: it may hold a secret.

fn api_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("not a URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err("expected a URL that begins with http:// or https://".to_owned());
    }
    Ok(url)
}

fn queue_url(text: &str) -> Result<String, String> {
    let url = api_url(text)?;
    let name = url.path_segments().and_then(Iterator::last).unwrap_or_default().to_owned();
    if name.is_empty() {
        return Err(
            "expected a queue's URL, such as https://sqs.REGION.amazonaws.com/ACCOUNT/NAME".to_owned()
        );
    }
    if name.ends_with(".fifo") {
        return Err("a FIFO queue holds up every failure behind a slow one; use a standard queue".to_owned());
    }
    Ok(text.to_owned())
}

fn email(text: &str) -> Result<String, String> {
    let parts = text.split_once('@').filter(|(user, host)| !user.is_empty() && !host.is_empty());
    if parts.is_none() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(format!("not an e-mail address: {text:?}"));
    }
    Ok(text.to_owned())
}

fn state_machines(text: &str) -> Result<Vec<String>, String> {
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    items
        .map(|arn| match arn.split(':').collect::<Vec<_>>().as_slice() {
            ["arn", _, "states", _, _, "stateMachine", name, ..] if !name.is_empty() => {
                Ok(base_state_machine(arn))
            }
            _ => Err(format!("not the ARN of a state machine: {arn:?}")),
        })
        .collect()
}

fn map_run_children(text: &str) -> Result<MapRunChildren, String> {
    match text {
        "fold" => Ok(MapRunChildren::Fold),
        "notify" => Ok(MapRunChildren::Notify),
        _ => Err(format!("expected fold or notify, found {text:?}")),
    }
}

fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(format!("expected text or json, found {text:?}")),
    }
}

fn history_rate(text: &str) -> Result<Option<f64>, String> {
    if text == "off" {
        return Ok(None);
    }
    match text.parse::<f64>() {
        Ok(rate) if (0.01..=10_000.0).contains(&rate) => Ok(Some(rate)),
        _ => Err(format!("expected calls a second from 0.01 to 10000, or off, found {text:?}")),
    }
}

fn admin_addr(text: &str) -> Result<Option<SocketAddr>, String> {
    if text == "off" {
        return Ok(None);
    }
    let expected =
        || format!("expected an address with its port, such as 127.0.0.1:9108, or off, found {text:?}");
    text.parse().map(Some).map_err(|_| expected())
}

fn number<T: FromStr + PartialOrd + fmt::Display>(text: &str, least: T, most: T) -> Result<T, String> {
    match text.parse::<T>() {
        Ok(number) if (&least..=&most).contains(&&number) => Ok(number),
        _ => Err(format!("expected a whole number from {least} to {most}, found {text:?}")),
    }
}

fn seconds(text: &str, least: u64, most: u64) -> Result<Duration, String> {
    number(text, least, most).map(Duration::from_secs)
}

#[cfg(test)]
mod tests;
