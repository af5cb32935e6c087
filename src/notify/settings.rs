//! Routes as they are configured: the tables under `[[routes]]`, and the two that the settings of the
//! notification API make.

use std::sync::Arc;

use super::channels::http::HttpRoute;
use super::channels::{CHANNELS, ChannelConfig, ConnectError, FEATURES};
use super::filter::{Filter, Pattern};
use super::route_parser::{Defaults, RouteParser};
use super::template::Template;
use super::{Audience, Content, Form, Grouping, Route, sample};
use crate::aws::Session;
use crate::history::Status;
use crate::redact::{Redactor, Rules};
use crate::settings::document::SettingsTable;
use crate::settings::{Fault, InvalidValue, values};

/// The keys of inputs whose values the form `summary` keeps, where a route names none.
pub const INPUT_KEYS: &[&str] =
    &["id", "request_id", "requestId", "correlation_id", "correlationId", "order_id", "orderId"];

/// A route, before its channel is connected.
#[derive(Debug, Clone)]
pub struct RouteSettings {
    /// Identifies the route in logs and metrics.
    pub name: String,
    /// Who is notified.
    pub audience: Audience,
    /// Whether a message is deleted only after this route accepted its notification.
    pub required: bool,
    /// Which failures it gets.
    pub filter: Filter,
    /// How much it shows.
    pub form: Form,
    /// What it leaves out.
    pub redaction: Rules,
    /// Whether it shows the last lines of the log of what failed.
    pub logs: bool,
    /// Whether it gets each failure, or an alert and updates of each incident.
    pub grouping: Grouping,
    /// The channel's name.
    pub channel: &'static str,
    /// The channel's settings.
    pub connect: Arc<dyn ChannelConfig>,
}

impl RouteSettings {
    /// The routes of the file and the two of the notification API. A route of the file replaces
    /// one of these with the same name.
    pub(crate) fn all(tables: Vec<SettingsTable<'_>>, defaults: &Defaults) -> Result<Vec<Self>, Vec<Fault>> {
        let mut all = Self::of_the_api(defaults);
        let mut faults = Vec::new();
        let mut names: Vec<String> = Vec::new();
        for table in tables {
            match Self::read(table, defaults, &mut names) {
                Ok(route) => {
                    all.retain(|made| made.name != route.name);
                    all.push(route);
                }
                Err(found) => faults.extend(found),
            }
        }
        if faults.is_empty() { Ok(all) } else { Err(faults) }
    }

    /// The two routes that the settings of the notification API make.
    fn of_the_api(defaults: &Defaults) -> Vec<Self> {
        let Some(api) = &defaults.api else { return Vec::new() };
        let route = |audience: Audience, group_email: &Option<String>| Self {
            name: audience.name().to_owned(),
            audience,
            required: true,
            filter: Filter::default(),
            form: Form::Full,
            redaction: defaults.redaction.clone(),
            logs: false,
            grouping: Grouping::Each,
            channel: "http",
            connect: Arc::new(HttpRoute::to(
                api.clone(),
                group_email.clone(),
                defaults.timeout,
                defaults.max_bytes,
            )),
        };
        vec![
            route(Audience::Developers, &defaults.internal_email),
            route(Audience::CustomerAssist, &defaults.external_email),
        ]
    }

    /// Reads one table; `names` are those that other tables have taken.
    fn read(
        mut fields: SettingsTable<'_>,
        defaults: &Defaults,
        names: &mut Vec<String>,
    ) -> Result<Self, Vec<Fault>> {
        let name = fields.text("name", route_name);
        let name = fields.needed("name", name);
        if let Some(name) = &name {
            fields.about(name);
            if names.contains(name) {
                fields.fault("name", InvalidValue::not_allowed("another route is called so too"));
            }
            names.push(name.clone());
        }
        let audience = fields.text("audience", |text| values::name(text).map(|name| Audience::named(&name)));
        let audience = fields.needed("audience", audience);
        let required = fields.flag("required").unwrap_or(true);
        let filter = fields.table("match", filter).unwrap_or_default();
        let input_keys = input_keys(&mut fields);
        let grouping = grouping(&mut fields, defaults, &input_keys.0);
        let form = form(&mut fields, &grouping, input_keys);
        let redaction = redaction(&mut fields, &defaults.redaction);
        let logs = logs(&mut fields, &form, &grouping);
        let channel = fields.text("channel", channel);
        let channel = fields.needed("channel", channel);
        let Some(channel) = channel else {
            // Which keys there are is not known without it.
            return Err(fields.faults());
        };
        let reader = audience.clone().unwrap_or(Audience::Developers);
        let mut reading =
            RouteParser { fields: &mut fields, defaults, audience: &reader, templates: Vec::new() };
        let connect = (channel.read)(&mut reading);
        let templates = reading.templates;
        try_templates(&mut fields, &templates, &form, &reader);
        let faults = fields.finish();
        let route = (|| {
            Some(Self {
                name: name?,
                audience: audience?,
                required,
                filter,
                form,
                redaction,
                logs,
                grouping,
                channel: channel.name,
                connect: connect?,
            })
        })();
        match route {
            Some(route) if faults.is_empty() => Ok(route),
            _ => Err(faults),
        }
    }
}

/// Tests templates on samples, so that one that does not fit is found before a failure needs it.
fn try_templates(
    fields: &mut SettingsTable<'_>,
    templates: &[(&'static str, Template)],
    form: &Form,
    audience: &Audience,
) {
    for (key, template) in templates {
        for (what, report) in sample::all() {
            let notice = &form.of(&report);
            let content = Content { audience, route: "sample", idempotency_key: "sample", notice };
            if let Err(error) = template.render(&content) {
                fields.fault(key, InvalidValue::Refused(format!("for {what}, {error}").into()));
            }
        }
    }
}

/// Connects the routes, or returns why one of them cannot be connected; nothing is sent.
pub fn connect(settings: &[RouteSettings], aws: Option<&Session>) -> Vec<Result<Route, ConnectError>> {
    let mut redactors: Vec<(&Rules, Arc<Redactor>)> = Vec::new();
    let connected = settings.iter().map(|route| {
        let known = redactors.iter().find(|(rules, _)| **rules == route.redaction);
        let redactor = known.map(|(_, redactor)| redactor.clone()).unwrap_or_else(|| {
            let redactor = Arc::new(Redactor::new(&route.redaction));
            redactors.push((&route.redaction, redactor.clone()));
            redactor
        });
        Ok(Route {
            name: route.name.as_str().into(),
            audience: route.audience.clone(),
            required: route.required,
            filter: route.filter.clone(),
            form: route.form.clone(),
            redactor,
            logs: route.logs,
            grouping: route.grouping.clone(),
            notifier: route.connect.connect(aws)?,
        })
    });
    connected.collect()
}

fn route_name(text: &str) -> Result<String, InvalidValue> {
    if text == "step-functions" {
        let why = "step-functions is what the breaker of Step Functions is called";
        return Err(InvalidValue::not_allowed(why));
    }
    let fits = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.');
    if text.is_empty() || text.len() > 64 || !text.chars().all(fits) {
        return Err(InvalidValue::found("up to 64 letters, digits, -, _ and .", text));
    }
    Ok(text.to_owned())
}

fn channel(text: &str) -> Result<&'static super::channels::Channel, InvalidValue> {
    if let Some(channel) = CHANNELS.iter().find(|channel| channel.name == text) {
        return Ok(channel);
    }
    if let Some((_, feature)) = FEATURES.iter().find(|(name, _)| *name == text) {
        let why = format!("this build has no channel {text}: build it with the cargo feature {feature}");
        return Err(InvalidValue::not_allowed(why));
    }
    let known: Vec<&str> = CHANNELS.iter().map(|channel| channel.name).collect();
    Err(InvalidValue::found(format!("one of {}", known.join(", ")), text))
}

fn filter(fields: &mut SettingsTable<'_>) -> Filter {
    let status = |text: &str| match Status::parse(text) {
        Some(status @ (Status::Failed | Status::TimedOut | Status::Aborted)) => Ok(status),
        _ => Err(InvalidValue::found("FAILED, TIMED_OUT or ABORTED", text)),
    };
    Filter {
        state_machines: fields.some_texts("state_machines", Pattern::parse),
        status: fields.some_texts("status", status),
        errors: fields.some_texts("errors", Pattern::parse),
        envs: fields.some_texts("envs", Pattern::parse),
    }
}

/// The keys of inputs that are shown, and whether the route names them itself.
fn input_keys(fields: &mut SettingsTable<'_>) -> (Vec<String>, bool) {
    let keys = fields.texts("input_keys", values::name);
    match fields.has("input_keys") {
        true => (keys, true),
        false => (INPUT_KEYS.iter().map(|key| (*key).to_owned()).collect(), false),
    }
}

/// Whether a route gets each failure, or incidents.
fn grouping(fields: &mut SettingsTable<'_>, defaults: &Defaults, input_keys: &[String]) -> Grouping {
    let incident = fields.text("grouping", |text| match text {
        "each" => Ok(false),
        "incident" => Ok(true),
        _ => Err(InvalidValue::found("each or incident", text)),
    });
    if incident != Some(true) {
        return Grouping::Each;
    }
    if !defaults.has_incidents {
        let why = "incident needs a store of incidents: set MISSTEP_INCIDENT_STORE";
        fields.fault("grouping", InvalidValue::not_allowed(why));
    }
    Grouping::Incident { input_keys: input_keys.to_vec() }
}

/// How much a route shows.
fn form(
    fields: &mut SettingsTable<'_>,
    grouping: &Grouping,
    (input_keys, named): (Vec<String>, bool),
) -> Form {
    let summary = fields.text("form", |text| match text {
        "full" => Ok(false),
        "summary" => Ok(true),
        _ => Err(InvalidValue::found("full or summary", text)),
    });
    if summary == Some(true) {
        return Form::Summary { input_keys };
    }
    // Where the form is faulty, nothing is known of the rest.
    let is_full = summary.is_some() || !fields.has("form");
    if named && is_full && *grouping == Grouping::Each {
        let why = "only the form summary, and incidents, show some keys of inputs alone";
        fields.fault("input_keys", InvalidValue::not_allowed(why));
    }
    Form::Full
}

/// Whether a route shows the last lines of a log.
fn logs(fields: &mut SettingsTable<'_>, form: &Form, grouping: &Grouping) -> bool {
    let wanted = fields.flag("logs").unwrap_or(false);
    if wanted && *grouping != Grouping::Each {
        fields.fault("logs", InvalidValue::not_allowed("only routes that get each failure show logs"));
        return false;
    }
    if wanted && *form != Form::Full {
        fields.fault("logs", InvalidValue::not_allowed("only the form full shows logs"));
    } else if wanted && !crate::logs::AVAILABLE {
        fields.fault("logs", InvalidValue::not_allowed(crate::logs::UNAVAILABLE));
    }
    wanted
}

/// A route's redaction keys, added to those of the settings.
fn redaction(fields: &mut SettingsTable<'_>, defaults: &Rules) -> Rules {
    let mut rules = defaults.clone();
    rules.on = fields.text("redaction", values::switch).unwrap_or(rules.on);
    rules.keys.extend(fields.texts("redact_keys", values::name));
    rules.allow.extend(fields.texts("redact_allow", values::name));
    rules.emails = fields.text("redact_emails", values::switch).unwrap_or(rules.emails);
    rules
}
