//! Templates that replace a notification's subject or body.
//!
//! Strict: what is not there is an error, not an empty text. Escaped for where they go: a value cannot
//! break out of JSON, HTML or Slack's markup. Checked on samples before the worker starts, and bounded
//! in what they may do.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Serde, Value as Inserted};
use minijinja::{AutoEscape, Environment, Output, State, UndefinedBehavior, context, escape_formatter};
use serde_json::Value;

use super::{Content, TemplateError};
use crate::report::phrases::brief;

/// Where a template's text goes, and so how what is put into it is escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    /// One line of plain text: line ends become spaces.
    Line,
    /// Plain text.
    Text,
    /// JSON: every value is put in as JSON, a text with its quotes. What comes out has to be JSON.
    Json,
    /// HTML.
    Html,
    /// Slack's markup: `&`, `<` and `>`.
    Slack,
}

/// How many of minijinja's instructions one rendering may take.
const FUEL: u64 = 200_000;

/// The one name within each environment.
const NAME: &str = "template";

/// A template.
#[derive(Clone)]
pub struct Template {
    environment: Arc<Environment<'static>>,
    escape: Escape,
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template({:?})", self.escape)
    }
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// What is wrong with it, and in which of its lines.
    pub fn parse(source: String, escape: Escape) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        environment.set_auto_escape_callback(move |_| match escape {
            Escape::Line | Escape::Text => AutoEscape::None,
            Escape::Json => AutoEscape::Json,
            Escape::Html => AutoEscape::Html,
            Escape::Slack => AutoEscape::Custom("slack".into()),
        });
        if escape == Escape::Slack {
            environment.set_formatter(slack);
        }
        environment.add_template_owned(NAME, source).map_err(|error| failure(&error))?;
        Ok(Self { environment: Arc::new(environment), escape })
    }

    /// What it makes of a notice: the three objects of its data by their names, and `subject`,
    /// `sentence`, `audience` and `route`.
    ///
    /// # Errors
    /// What does not fit the data, and in which line of the template.
    pub fn render(&self, content: &Content<'_>) -> Result<String, TemplateError> {
        let data = content.notice.data();
        let template = self.environment.get_template(NAME).expect("it was added above");
        let text = template
            .render(context! {
                event_info => Inserted::from(Serde(&data["event_info"])),
                event_details => Inserted::from(Serde(&data["event_details"])),
                analysis => Inserted::from(Serde(&data["analysis"])),
                subject => brief::subject(content.notice),
                sentence => brief::sentence(content.notice),
                audience => content.audience.name(),
                route => content.route,
            })
            .map_err(|error| failure(&error))?;
        match self.escape {
            Escape::Line => Ok(text.split_whitespace().collect::<Vec<_>>().join(" ")),
            Escape::Json => match serde_json::from_str::<Value>(&text) {
                Ok(_) => Ok(text),
                Err(error) => Err(TemplateError::NotJson(error)),
            },
            Escape::Text | Escape::Html | Escape::Slack => Ok(text),
        }
    }
}

/// What is wrong, without the template's text around it.
fn failure(error: &minijinja::Error) -> TemplateError {
    let detail = error.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
    TemplateError::Fails { line: error.line(), what: format!("{}{detail}", error.kind()) }
}

fn slack(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Inserted) -> Result<(), minijinja::Error> {
    if value.is_safe() || value.is_undefined() {
        return escape_formatter(out, state, &Inserted::from_safe_string(value.to_string()));
    }
    out.write_str(&escaped_for_slack(&value.to_string())).map_err(minijinja::Error::from)
}

/// A text as Slack's markup shows it unchanged.
pub(super) fn escaped_for_slack(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Status;
    use crate::notify::Audience;
    use crate::report::notice::Notice;
    use crate::report::{Report, Subject};

    fn rendered(source: &str, escape: Escape) -> Result<String, TemplateError> {
        let mut report = Report::degraded(
            &Subject { env: "prod".to_owned(), status: Some(Status::Failed), ..Subject::default() },
            "a test",
        );
        report.event_info.execution_name = Some("a\"b<c>&\n'd".to_owned());
        let notice = Notice::failure(&report);
        let audience = Audience::Developers;
        let content = Content { audience: &audience, route: "r", idempotency_key: "k", notice: &notice };
        Template::parse(source.to_owned(), escape)?.render(&content)
    }

    #[test]
    fn values_cannot_break_out_of_where_they_are_put() {
        let name = "{{ event_info.execution_name }}";
        assert_eq!(rendered(name, Escape::Json).unwrap(), r#""a\"b<c>&\n'd""#);
        assert_eq!(rendered(name, Escape::Html).unwrap(), "a&quot;b&lt;c&gt;&amp;\n&#x27;d");
        assert_eq!(rendered(name, Escape::Slack).unwrap(), "a\"b&lt;c&gt;&amp;\n'd");
        assert_eq!(rendered(name, Escape::Text).unwrap(), "a\"b<c>&\n'd");
        assert_eq!(rendered(name, Escape::Line).unwrap(), "a\"b<c>& 'd");
    }

    #[test]
    fn what_is_not_there_is_an_error_and_can_be_asked_for() {
        let error = rendered("a\n{{ analysis.failed_state.name }}", Escape::Text).unwrap_err().to_string();
        assert!(error.starts_with("the template fails: line 2: undefined value"), "{error}");
        let asked = "{% if analysis.failed_state %}{{ analysis.failed_state.name }}{% else %}?{% endif %}";
        assert_eq!(rendered(asked, Escape::Text).unwrap(), "?");
        assert!(rendered("{{ analysis.statuss }}", Escape::Slack).is_err());
    }

    #[test]
    fn what_is_no_template_or_makes_no_json_or_never_ends_is_told() {
        for (source, escape, told) in [
            ("{% if %}", Escape::Text, "the template fails: line 1"),
            ("{\"a\": {{ event_info.env }}", Escape::Json, "the template makes no JSON"),
            (
                "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}",
                Escape::Text,
                "fuel",
            ),
        ] {
            let error = rendered(source, escape).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }
}
