//! Flags, environment and file, read together into one checked value.
//!
//! A flag wins over the environment, the environment over the file (`--config` or
//! `MISSTEP_CONFIG`, TOML). All faults are collected, so that they can be shown at once. A
//! variable that is set but empty counts as not set. Which AWS account and region is meant follows
//! the AWS SDK's own chain and is not read here.

mod settings;
mod values;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::incidents::location::StoreLocation;
use crate::incidents::schedule::{AGREEING, Schedule};
use crate::notify::route_parser::Defaults;
use crate::notify::settings::RouteSettings;
use crate::pipeline::MapRunChildren;
use crate::redact::Rules;
use crate::settings::document::{Document, Variables, has_routes};
use crate::settings::values::{
    api_url, duration, duration_or_off, durations, email, name, names, number, seconds, switch,
};
use crate::settings::{Fault, InvalidValue};
use crate::sweep::SweepSettings;
use crate::telemetry::LogFormat;
pub use settings::{SETTINGS, Setting};
use values::{
    admin_addr, history_rate, log_filter, log_format, map_run_children, memory_budget, queue_url,
    state_machines,
};

/// The variable that names the configuration file.
pub const CONFIG_VARIABLE: &str = "MISSTEP_CONFIG";

/// Settings that every command has.
#[derive(Debug, Clone)]
pub struct CommonSettings {
    /// The environment named in notifications.
    pub env: String,
    /// The application's name.
    pub application: Option<String>,
    /// GetExecutionHistory calls a second; `None` for no limit.
    pub history_rate: Option<f64>,
    /// What is removed from notifications, and by `explain --redact`.
    pub redaction: Rules,
    /// Which log lines appear.
    pub log: String,
    /// How log lines look.
    pub log_format: LogFormat,
}

/// Settings of the worker.
#[derive(Debug, Clone)]
pub struct WorkSettings {
    /// Settings that every command has.
    pub common: CommonSettings,
    /// The queue of failure events.
    pub queue_url: String,
    /// Its dead-letter queue, where it is not to be found through the redrive policy.
    pub dlq_url: Option<String>,
    /// Who is notified, and how.
    pub routes: Vec<RouteSettings>,
    /// Where incidents are kept, and when they are notified of.
    pub incidents: IncidentSettings,
    /// When failures are looked for whose events never arrived.
    pub sweep: SweepSettings,
    /// State machine ARNs to handle, without versions and aliases; empty for all.
    pub state_machines: Vec<String>,
    /// What to do with a Distributed Map's children.
    pub map_run_children: MapRunChildren,
    /// Messages in hand at once.
    pub concurrency: usize,
    /// How much memory readings of executions may take together, in bytes.
    pub memory_budget: u64,
    /// How long a poll waits for messages.
    pub poll_wait: Duration,
    /// How long a stop may drain.
    pub shutdown_grace: Duration,
    /// Where health and metrics are served; `None` for nowhere.
    pub admin_addr: Option<SocketAddr>,
}

/// Settings of the commands on the dead-letter queue.
#[derive(Debug, Clone)]
pub struct DlqSettings {
    /// Settings that every command has.
    pub common: CommonSettings,
    /// The queue that the dead-letter queue serves.
    pub queue_url: String,
    /// The dead-letter queue, where it is not to be found through the redrive policy.
    pub dlq_url: Option<String>,
}

/// Settings of incidents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentSettings {
    /// Where they are kept.
    pub store: StoreLocation,
    /// When updates go out, and when an incident is over.
    pub schedule: Schedule,
}

/// Settings of the commands on incidents.
#[derive(Debug, Clone)]
pub struct IncidentsSettings {
    /// Settings that every command has.
    pub common: CommonSettings,
    /// Where incidents are kept, and when they are over.
    pub incidents: IncidentSettings,
}

/// Settings of `sweep`.
#[derive(Debug, Clone)]
pub struct SweepCommandSettings {
    /// Settings that every command has.
    pub common: CommonSettings,
    /// What has arrived.
    pub store: StoreLocation,
    /// The queue that missing failures are put into.
    pub queue_url: Option<String>,
    /// How old a failure must be.
    pub sweep: SweepSettings,
    /// State machine ARNs, without versions and aliases; empty for all.
    pub state_machines: Vec<String>,
}

/// Settings of `notify`.
#[derive(Debug, Clone)]
pub struct NotifySettings {
    /// Settings that every command has.
    pub common: CommonSettings,
    /// Who is told, and how.
    pub routes: Vec<RouteSettings>,
}

/// A value as it was given, and where.
#[derive(Debug, Clone)]
struct LayeredValue {
    text: String,
    place: String,
}

/// All values that were given, the winning one of each setting, and the faults found so far.
pub struct Layers<'v> {
    given: BTreeMap<&'static str, LayeredValue>,
    document: Option<Document>,
    /// There is a file, and nobody knows what it holds.
    file_is_unread: bool,
    variable: Box<Variables<'v>>,
    faults: Vec<Fault>,
}

impl<'v> Layers<'v> {
    /// Gathers the values: `flag` and `variable` look one up by its name, `config_file` is the
    /// `--config` flag. A file that cannot be read, or holds unknown keys, is a fault that
    /// [`Layers::work`] and the like report together with all others.
    pub fn gather(
        flag: impl Fn(&str) -> Option<String>,
        variable: impl Fn(&str) -> Option<String> + 'v,
        config_file: Option<String>,
    ) -> Self {
        let variable = move |name: &str| variable(name).filter(|value| !value.is_empty());
        let file = config_file.or_else(|| variable(CONFIG_VARIABLE));
        let mut sources = Self {
            given: BTreeMap::new(),
            document: None,
            file_is_unread: false,
            variable: Box::new(variable),
            faults: Vec::new(),
        };
        // From the weakest to the strongest; a later one replaces an earlier one.
        for setting in SETTINGS {
            sources.give(setting, setting.default.map(str::to_owned), setting.variable());
        }
        if let Some(path) = file {
            let given = Document::read(&path).and_then(|document| sources.give_file(document));
            if let Err(faults) = given {
                sources.faults.extend(faults);
                sources.file_is_unread = true;
            }
        }
        for setting in SETTINGS {
            let value = (sources.variable)(&setting.variable());
            sources.give(setting, value, setting.variable());
            sources.give(setting, flag(&setting.flag()), format!("--{}", setting.flag()));
        }
        sources
    }

    fn give(&mut self, setting: &Setting, text: Option<String>, place: String) {
        if let Some(text) = text {
            self.given.insert(setting.key, LayeredValue { text, place });
        }
    }

    fn give_file(&mut self, document: Document) -> Result<(), Vec<Fault>> {
        let table = document.table()?;
        for (key, value, place) in document.settings(&table) {
            let origin = format!("{place}: {key}");
            match (SETTINGS.iter().find(|setting| setting.file_key() == key), value) {
                (None, _) => self.faults.push(Fault::Value { origin, why: InvalidValue::UnknownSetting }),
                (Some(setting), None) => {
                    self.faults.push(Fault::Value { origin, why: InvalidValue::expected(setting.value) });
                }
                (Some(setting), Some(text)) => {
                    self.given.insert(setting.key, LayeredValue { text, place: origin });
                }
            }
        }
        drop(table);
        self.document = Some(document);
        Ok(())
    }

    /// The settings of `explain` and the like.
    ///
    /// # Errors
    /// All faults.
    pub fn common(mut self) -> Result<CommonSettings, Vec<Fault>> {
        let common = self.read_common();
        self.finish(common)
    }

    /// Where a worker serves its health; `None` where it does not.
    ///
    /// # Errors
    /// All faults, but those of settings that do not matter here.
    pub fn admin_addr(mut self) -> Result<Option<SocketAddr>, Vec<Fault>> {
        let address = self.required("admin_addr", admin_addr);
        self.finish(address)
    }

    /// The settings of `work`.
    ///
    /// # Errors
    /// All faults, those of the settings that other commands share included.
    pub fn work(mut self) -> Result<WorkSettings, Vec<Fault>> {
        let common = self.read_common();
        let (queue, dlq_url) = self.read_queues();
        let incidents = self.read_incidents();
        let routes = self.read_routes(common.as_ref().map(|common| &common.redaction), incidents.as_ref());
        let sweep = self.read_sweep();
        let has_store = incidents.as_ref().is_none_or(|incidents| incidents.store != StoreLocation::Off);
        if !has_store && self.is_sweep_given() {
            self.faults.push(Fault::SweepWithoutStore);
        }
        let state_machines = self.optional("step_function_arns", state_machines);
        let map_run_children = self.required("map_run_children", map_run_children);
        let concurrency = self.required("concurrency", |text| number(text, 1, 1_000));
        let memory_budget = self.required("memory_budget_mib", memory_budget);
        let poll_wait = self.required("poll_wait_secs", |text| seconds(text, 0, 20));
        let shutdown_grace = self.required("shutdown_grace_secs", |text| seconds(text, 0, 900));
        let admin_addr = self.required("admin_addr", admin_addr);
        let work = (|| {
            Some(WorkSettings {
                common: common?,
                queue_url: queue?,
                dlq_url,
                routes: routes?,
                incidents: incidents?,
                sweep: sweep?,
                state_machines: state_machines.unwrap_or_default(),
                map_run_children: map_run_children?,
                concurrency: concurrency?,
                memory_budget: memory_budget?,
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
    pub fn dlq(mut self) -> Result<DlqSettings, Vec<Fault>> {
        let common = self.read_common();
        let (queue, dlq_url) = self.read_queues();
        let dlq = common.zip(queue).map(|(common, queue_url)| DlqSettings { common, queue_url, dlq_url });
        self.finish(dlq)
    }

    /// The settings of `incidents`.
    ///
    /// # Errors
    /// All faults.
    pub fn incidents(mut self) -> Result<IncidentsSettings, Vec<Fault>> {
        let common = self.read_common();
        let incidents = self.read_incidents();
        if incidents.as_ref().is_some_and(|incidents| incidents.store == StoreLocation::Off) {
            self.faults.push(Fault::NoIncidentStore);
        }
        let both = common.zip(incidents);
        self.finish(both.map(|(common, incidents)| IncidentsSettings { common, incidents }))
    }

    /// Where incidents are kept, and when they are notified of. Every setting is read, faulty ones or not.
    fn read_incidents(&mut self) -> Option<IncidentSettings> {
        let store = self.required("incident_store", StoreLocation::parse);
        let ladder = self.required("incident_ladder", durations);
        let quiet = self.required("incident_quiet", duration);
        let reopen = self.required("incident_reopen", duration);
        let keep = self.required("incident_keep", duration);
        let infers = self.required("incident_infer", switch);
        let agreeing = infers?.then_some(AGREEING);
        let schedule = Schedule { ladder: ladder?, quiet: quiet?, reopen: reopen?, keep: keep?, agreeing };
        Some(IncidentSettings { store: store?, schedule })
    }

    /// When failures are looked for whose events never arrived.
    fn read_sweep(&mut self) -> Option<SweepSettings> {
        let every = self.required("sweep_every", duration_or_off);
        let look_back = self.required("sweep_look_back", duration);
        Some(SweepSettings { every: every?, look_back: look_back? })
    }

    /// Whether the sweep was asked for, by more than the default.
    fn is_sweep_given(&self) -> bool {
        let setting = SETTINGS.iter().find(|setting| setting.key == "sweep_every");
        let given = self.given.get("sweep_every").map(|given| given.text.as_str());
        setting.is_some_and(|setting| given != setting.default && given != Some("off"))
    }

    /// The settings of `sweep`: without a store it only lists, and without a queue it puts nothing there.
    ///
    /// # Errors
    /// All faults.
    pub fn sweep(mut self) -> Result<SweepCommandSettings, Vec<Fault>> {
        let common = self.read_common();
        let incidents = self.read_incidents();
        let queue_url = self.optional("queue_url", queue_url);
        let sweep = self.read_sweep();
        let state_machines = self.optional("step_function_arns", state_machines).unwrap_or_default();
        let command = (|| {
            Some(SweepCommandSettings {
                common: common?,
                store: incidents?.store,
                queue_url,
                sweep: sweep?,
                state_machines,
            })
        })();
        self.finish(command)
    }

    /// The queue and its dead-letter queue.
    fn read_queues(&mut self) -> (Option<String>, Option<String>) {
        let queue = self.required("queue_url", queue_url);
        let dlq_url = self.optional("dlq_url", queue_url);
        if dlq_url.is_some() && dlq_url == queue {
            self.faults.push(Fault::SameQueue);
        }
        (queue, dlq_url)
    }

    fn read_common(&mut self) -> Option<CommonSettings> {
        let env = self.required("env", name);
        let application = self.optional("application_name", name);
        let history_rate = self.required("history_rate", history_rate);
        let redaction = self.read_redaction();
        let log = self.required("log", log_filter);
        let log_format = self.optional("log_format", log_format);
        Some(CommonSettings {
            env: env?,
            application,
            history_rate: history_rate?,
            redaction: redaction?,
            log: log?,
            log_format: log_format.unwrap_or_else(LogFormat::fitting),
        })
    }

    /// The settings of `notify`.
    ///
    /// # Errors
    /// All faults.
    pub fn notify(mut self) -> Result<NotifySettings, Vec<Fault>> {
        let common = self.read_common();
        let incidents = self.read_incidents();
        let routes = self.read_routes(common.as_ref().map(|common| &common.redaction), incidents.as_ref());
        let notify = common.zip(routes).map(|(common, routes)| NotifySettings { common, routes });
        self.finish(notify)
    }

    /// What is removed. Every setting is read, faulty ones or not.
    fn read_redaction(&mut self) -> Option<Rules> {
        let on = self.required("redaction", switch);
        let keys = self.optional("redact_keys", names);
        let allow = self.optional("redact_allow", names);
        let emails = self.required("redact_emails", switch);
        Some(Rules {
            on: on?,
            keys: keys.unwrap_or_default(),
            allow: allow.unwrap_or_default(),
            emails: emails?,
        })
    }

    /// The routes of the file, and the two that the notification API's settings make. Those are needed
    /// where the file has none.
    fn read_routes(
        &mut self,
        rules: Option<&Rules>,
        incidents: Option<&IncidentSettings>,
    ) -> Option<Vec<RouteSettings>> {
        // Where the store's own setting is faulty, that is said once.
        let has_incidents = incidents.is_none_or(|incidents| incidents.store != StoreLocation::Off);
        let document = self.document.take();
        let table = document.as_ref().and_then(|document| document.table().ok());
        let needs_api =
            self.given.contains_key("notification_api") || !table.as_ref().is_some_and(has_routes);
        let api = if needs_api { self.required("notification_api", api_url) } else { None };
        let mut email = |key| if needs_api { self.required(key, email) } else { self.optional(key, email) };
        let internal_email = email("internal_group_email");
        let external_email = email("external_group_email");
        let timeout = self.required("notify_timeout_secs", |text| seconds(text, 1, 300));
        let max_bytes = self.required("max_notification_bytes", |text| number(text, 4_096, 1 << 30));
        let defaults = Defaults {
            api,
            internal_email,
            external_email,
            // Where these are faulty, the faults of the routes are found all the same.
            timeout: timeout.unwrap_or(Duration::from_secs(10)),
            max_bytes: max_bytes.unwrap_or(1 << 18),
            redaction: rules.cloned().unwrap_or_default(),
            has_incidents,
        };
        let tables = match (&document, &table) {
            (Some(document), Some(table)) => document.routes(table, &self.variable),
            _ => Ok(Vec::new()),
        };
        match tables.and_then(|tables| RouteSettings::all(tables, &defaults)) {
            Ok(routes) => Some(routes),
            Err(found) => {
                self.faults.extend(found);
                None
            }
        }
    }

    fn finish<T>(self, value: Option<T>) -> Result<T, Vec<Fault>> {
        match value {
            Some(value) if self.faults.is_empty() => Ok(value),
            _ => Err(self.faults),
        }
    }

    fn required<T>(&mut self, key: &str, read: impl Fn(&str) -> Result<T, InvalidValue>) -> Option<T> {
        // What the file would have given is not missing too.
        if !self.given.contains_key(key) && !self.file_is_unread {
            let variable = format!("MISSTEP_{}", key.to_ascii_uppercase());
            self.faults.push(Fault::Missing { variable, flag: key.replace('_', "-") });
        }
        self.optional(key, read)
    }

    fn optional<T>(&mut self, key: &str, read: impl Fn(&str) -> Result<T, InvalidValue>) -> Option<T> {
        let LayeredValue { text, place } = self.given.get(key)?;
        let checked = if text.contains(char::REPLACEMENT_CHARACTER) {
            Err(InvalidValue::malformed("UTF-8"))
        } else {
            read(text.trim())
        };
        match checked {
            Ok(value) => Some(value),
            Err(why) => {
                self.faults.push(Fault::Value { origin: place.clone(), why });
                None
            }
        }
    }
}

#[cfg(test)]
mod route_tests;
#[cfg(test)]
mod tests;
