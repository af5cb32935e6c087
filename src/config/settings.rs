//! The table of settings: one row each, from which the flags, the environment variables, the keys
//! of the configuration file and the help text are made.

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its name: `queue_url`. The flag (`--queue-url`), the environment variable (`MISSTEP_QUEUE_URL`) and
    /// the key in the configuration file are made from it.
    pub key: &'static str,
    /// What a value looks like, for the help text.
    pub value: &'static str,
    /// The value where none is given; `None` where there is none.
    pub default: Option<&'static str>,
    /// What it means, in one line.
    pub meaning: &'static str,
}

impl Setting {
    /// The environment variable: `MISSTEP_QUEUE_URL`.
    pub fn variable(&self) -> String {
        format!("MISSTEP_{}", self.key.to_ascii_uppercase())
    }

    /// The key in the configuration file: `queue_url`, or, of a setting that stands in a table,
    /// `incidents.store`.
    pub fn file_key(&self) -> String {
        match self.key.split_once('_') {
            Some(("incident", key)) => format!("incidents.{key}"),
            Some(("sweep", key)) => format!("sweep.{key}"),
            _ => self.key.to_owned(),
        }
    }

    /// The flag without its dashes: `queue-url`.
    pub fn flag(&self) -> String {
        self.key.replace('_', "-")
    }
}

const fn setting(
    key: &'static str,
    value: &'static str,
    default: Option<&'static str>,
    meaning: &'static str,
) -> Setting {
    Setting { key, value, default, meaning }
}

/// Every setting, in the order in which they are documented.
pub const SETTINGS: &[Setting] = &[
    setting("queue_url", "URL", None, "The queue of failure events; required by `work`"),
    setting(
        "dlq_url",
        "URL",
        None,
        "Its dead-letter queue; found through the queue's redrive policy when not given",
    ),
    setting("env", "NAME", Some("dev"), "The environment named in notifications (event_info.env)"),
    setting("application_name", "NAME", None, "The application (analysis.application)"),
    setting(
        "notification_api",
        "URL",
        None,
        "The notification API; required by `work` unless the configuration file has routes",
    ),
    setting(
        "internal_group_email",
        "ADDRESS",
        None,
        "The developers' group address; required with the notification API",
    ),
    setting(
        "external_group_email",
        "ADDRESS",
        None,
        "CustomerAssist's group address; required with the notification API",
    ),
    setting(
        "step_function_arns",
        "ARN,…",
        None,
        "The state machines to handle, a version or alias counting as its machine; all when not given",
    ),
    setting(
        "map_run_children",
        "fold|notify",
        Some("fold"),
        "Events of a Distributed Map's children: acknowledged and counted, or treated like any other",
    ),
    setting("concurrency", "COUNT", Some("32"), "Messages in hand at once (1 to 1000)"),
    setting(
        "memory_budget_mib",
        "MIB",
        Some("256"),
        "How much memory the histories that are being read may take together (64 or more)",
    ),
    setting("poll_wait_secs", "SECONDS", Some("10"), "How long one poll waits for messages (0 to 20)"),
    setting(
        "history_rate",
        "CALLS|off",
        Some("10"),
        "GetExecutionHistory calls a second for each account and region, with a burst of 20 times that; other calls in proportion",
    ),
    setting("notify_timeout_secs", "SECONDS", Some("10"), "One attempt at a notification (1 to 300)"),
    setting(
        "max_notification_bytes",
        "BYTES",
        Some("262144"),
        "The upper bound of a notification's body (4096 or more); what is cut is named in analysis.truncated",
    ),
    setting(
        "redaction",
        "on|off",
        Some("on"),
        "Whether secrets are removed from what is sent; a route may say otherwise",
    ),
    setting("redact_keys", "KEY,…", None, "Further keys whose values are secret"),
    setting("redact_allow", "KEY,…", None, "Keys whose values are not, although they look like it"),
    setting("redact_emails", "on|off", Some("off"), "Whether e-mail addresses are removed too"),
    setting(
        "incident_store",
        "STORE",
        Some("off"),
        "Where incidents are kept: off, sqlite:PATH on a disk of this machine, or dynamodb:TABLE",
    ),
    setting(
        "incident_ladder",
        "TIMES",
        Some("1m,5m,15m,1h,4h,24h"),
        "The pauses before updates of an incident that has grown; the last one repeats",
    ),
    setting("incident_quiet", "TIME", Some("1h"), "After how long without a failure an incident is resolved"),
    setting(
        "incident_reopen",
        "TIME",
        Some("30m"),
        "Within what time after its resolve an incident is opened again, in place of a new alert",
    ),
    setting("incident_keep", "TIME", Some("90d"), "How long a resolved incident is kept"),
    setting(
        "incident_infer",
        "on|off",
        Some("on"),
        "Whether, in a storm, failures that look alike are put into an incident before their histories are read",
    ),
    setting(
        "sweep_every",
        "TIME|off",
        Some("15m"),
        "With an incident store: how often failures are looked for whose events never arrived",
    ),
    setting(
        "sweep_look_back",
        "TIME",
        Some("24h"),
        "How far the very first look for such failures goes back",
    ),
    setting(
        "admin_addr",
        "ADDRESS:PORT|off",
        Some("127.0.0.1:9108"),
        "Where health and metrics are served: /livez, /readyz, /metrics; off turns it off",
    ),
    setting("log", "FILTER", Some("info"), "Which log lines appear, e.g. `debug` or `info,misstep=debug`"),
    setting("log_format", "text|json", None, "How log lines look; text on a terminal, json otherwise"),
    setting("shutdown_grace_secs", "SECONDS", Some("25"), "How long a stop may drain (0 to 900)"),
];
