//! Addresses of pages in the AWS console, in a region and its partition.
//!
//! CloudWatch's page takes what is behind its `#` in an encoding of its own: names are percent-encoded,
//! and then the `%` of that, and `?`, `=` and `&`, once more with `$` for `%`. What Logs Insights asks for
//! is written in JSURL: `~(key~'value~…)`, with `*` and two hexadecimal digits for other characters.

use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};

use crate::aws::arn::{console_domain, partition_of};

/// The longest address. Slack takes none longer than 3,000 characters.
const LONGEST: usize = 2_800;

/// How long before an attempt and after its end its log is looked at: clocks differ, and what was written
/// last comes late.
const BEFORE: SignedDuration = SignedDuration::from_secs(30);
const AFTER: SignedDuration = SignedDuration::from_secs(60);

/// From when to when a log is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
}

impl Window {
    /// Around an attempt.
    pub(crate) fn around(began: Timestamp, ended: Timestamp) -> Option<Self> {
        let (began, ended) = (began.min(ended), began.max(ended));
        Some(Self { from: began.checked_sub(BEFORE).ok()?, to: ended.checked_add(AFTER).ok()? })
    }
}

/// The console of one region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Console {
    region: String,
    /// `None` where the console is not public.
    domain: Option<&'static str>,
}

impl Console {
    /// The console of a region; `partition` where an ARN tells it.
    pub(super) fn of(region: &str, partition: Option<&str>) -> Self {
        let domain = console_domain(partition.unwrap_or_else(|| partition_of(region)));
        Self { region: region.to_owned(), domain }
    }

    /// A page under a path.
    pub(super) fn page(&self, path: &str) -> Option<String> {
        let (region, domain) = (&self.region, self.domain?);
        Some(format!("https://{region}.{domain}/{path}")).filter(|link| link.len() <= LONGEST)
    }

    /// A page of a service, by what is behind the `#`.
    pub(super) fn home(&self, service: &str, fragment: &str) -> Option<String> {
        self.page(&format!("{service}/home?region={}#{fragment}", self.region))
    }

    /// The region's name.
    pub(super) fn region(&self) -> &str {
        &self.region
    }

    /// A log group.
    pub(super) fn log_group(&self, group: &str) -> Option<String> {
        self.home("cloudwatch", &format!("logsV2:log-groups/log-group/{}", twice(group)))
    }

    /// The log streams whose names begin so.
    pub(super) fn log_streams(&self, group: &str, prefix: &str) -> Option<String> {
        let group = twice(group);
        let prefix = twice(prefix);
        let fragment = format!("logsV2:log-groups/log-group/{group}$3FlogStreamNameFilter$3D{prefix}");
        self.home("cloudwatch", &fragment)
    }

    /// A log stream, in a window where that is known.
    pub(super) fn log_stream(&self, group: &str, stream: &str, window: Option<Window>) -> Option<String> {
        let window = window.map(|Window { from, to }| {
            format!("$3Fstart$3D{}$26end$3D{}", from.as_millisecond(), to.as_millisecond())
        });
        let window = window.unwrap_or_default();
        let (group, stream) = (twice(group), twice(stream));
        self.home("cloudwatch", &format!("logsV2:log-groups/log-group/{group}/log-events/{stream}{window}"))
    }

    /// Logs Insights on a log group: what of a window names a request, or all of it.
    pub(super) fn insights(&self, group: &str, request: Option<&str>, window: Window) -> Option<String> {
        let filter = request.map(|id| format!("| filter @message like \"{id}\"\n")).unwrap_or_default();
        let query =
            format!("fields @timestamp, @message, @logStream\n{filter}| sort @timestamp asc\n| limit 1000");
        let time = |at: Timestamp| jsurl(&at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string());
        let fragment = format!(
            "logsV2:logs-insights$3FqueryDetail$3D~(end~'{}~start~'{}~timeType~'ABSOLUTE~tz~'UTC~editorString~'{}~source~(~'{}))",
            time(window.to),
            time(window.from),
            jsurl(&query),
            jsurl(group),
        );
        self.home("cloudwatch", &fragment)
    }
}

/// Percent-encoded, but for what needs it nowhere.
pub(super) fn encoded(text: &str) -> String {
    percent(text, "%", &[])
}

/// The same with `:` and `/` as they are, as ARNs stand in addresses.
pub(super) fn encoded_arn(text: &str) -> String {
    percent(text, "%", b":/")
}

/// Percent-encoded, with the `%` encoded as CloudWatch does it.
fn twice(text: &str) -> String {
    percent(text, "$25", &[])
}

fn percent(text: &str, mark: &str, spared: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') || spared.contains(&byte)
        {
            out.push(char::from(byte));
        } else {
            let _infallible = write!(out, "{mark}{byte:02X}");
        }
    }
    out
}

/// A text in JSURL.
fn jsurl(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut units = [0; 2];
    for char in text.chars() {
        match char {
            _ if char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.') => out.push(char),
            '$' => out.push('!'),
            _ => {
                for unit in char.encode_utf16(&mut units) {
                    let _infallible = match unit {
                        0..0x100 => write!(out, "*{unit:02x}"),
                        _ => write!(out, "**{unit:04x}"),
                    };
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn console() -> Console {
        Console::of("us-east-1", None)
    }

    fn window() -> Window {
        let at = |text: &str| text.parse().unwrap();
        Window { from: at("2026-03-01T12:00:00Z"), to: at("2026-03-01T12:05:00.250Z") }
    }

    #[test]
    fn a_log_stream_opens_as_the_console_writes_it() {
        assert_eq!(
            console().log_stream("/aws/lambda/charge", "2026/03/01/[$LATEST]ab12", Some(window())).unwrap(),
            "https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1#logsV2:log-groups/log-group/$252Faws$252Flambda$252Fcharge/log-events/2026$252F03$252F01$252F$255B$2524LATEST$255Dab12$3Fstart$3D1772366400000$26end$3D1772366700250"
        );
        assert_eq!(
            console().log_stream("/ecs/a b", "x", None).unwrap(),
            "https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1#logsV2:log-groups/log-group/$252Fecs$252Fa$2520b/log-events/x"
        );
    }

    #[test]
    fn log_streams_are_listed_by_how_they_begin() {
        assert_eq!(
            console().log_streams("/aws/sagemaker/TrainingJobs", "job-7/").unwrap(),
            "https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1#logsV2:log-groups/log-group/$252Faws$252Fsagemaker$252FTrainingJobs$3FlogStreamNameFilter$3Djob-7$252F"
        );
        assert_eq!(
            console().log_group("/aws/batch/job").unwrap(),
            "https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1#logsV2:log-groups/log-group/$252Faws$252Fbatch$252Fjob"
        );
    }

    #[test]
    fn logs_insights_asks_for_the_request_in_the_window() {
        assert_eq!(
            console().insights("/aws/lambda/charge", Some("8d2ae1d0-0ad1"), window()).unwrap(),
            "https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1#logsV2:logs-insights$3FqueryDetail$3D~(end~'2026-03-01T12*3a05*3a00.250Z~start~'2026-03-01T12*3a00*3a00.000Z~timeType~'ABSOLUTE~tz~'UTC~editorString~'fields*20*40timestamp*2c*20*40message*2c*20*40logStream*0a*7c*20filter*20*40message*20like*20*228d2ae1d0-0ad1*22*0a*7c*20sort*20*40timestamp*20asc*0a*7c*20limit*201000~source~(~'*2faws*2flambda*2fcharge))"
        );
        assert!(!console().insights("/g", None, window()).unwrap().contains("filter"));
    }

    #[test]
    fn other_characters_are_encoded_as_jsurl_has_them() {
        assert_eq!(jsurl("a$b/é支😀"), "a!b*2f*e9**652f**d83d**de00");
    }

    #[test]
    fn each_partition_has_its_own_console() {
        for (region, domain) in [
            ("eu-west-1", "console.aws.amazon.com"),
            ("cn-north-1", "console.amazonaws.cn"),
            ("us-gov-west-1", "console.amazonaws-us-gov.com"),
            ("eusc-de-east-1", "console.amazonaws-eusc.eu"),
        ] {
            let link = Console::of(region, None).home("glue", "/x").unwrap();
            assert_eq!(link, format!("https://{region}.{domain}/glue/home?region={region}#/x"));
        }
        assert_eq!(Console::of("us-iso-east-1", None).home("glue", "/x"), None);
    }

    #[test]
    fn an_address_that_is_too_long_is_left_out() {
        assert_eq!(console().log_group(&"/".repeat(1_000)), None);
    }
}
