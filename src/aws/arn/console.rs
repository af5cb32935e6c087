//! The URL of an execution's page in the AWS console, in each form that the console has had.
//!
//! Every form holds the execution's ARN: behind `#/executions/details/`, `#/v2/executions/details/` or
//! `#/express-executions/details/`, plain or percent-encoded, with parameters after it, and, in an access
//! portal's link, as part of the link's destination. So it is the ARN that is looked for, and nothing else of
//! the URL counts. Nothing here opens it.

use std::borrow::Cow;

use super::{ArnError, ExecutionArn};

/// Why a URL names no execution.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It is the URL of something else.
    #[error("this URL is that of {what}; pass the URL of the page of one execution, or the execution's ARN")]
    SomethingElse {
        /// What it shows.
        what: &'static str,
    },
    /// It has the ARN of an execution, which is wrong.
    #[error("this URL holds an ARN that is wrong")]
    Arn(#[from] ArnError),
}

/// Whether a text is a URL.
pub fn is_url(text: &str) -> bool {
    let scheme = |name: &str| text.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    scheme("https://") || scheme("http://")
}

/// The execution whose page in the console a URL shows.
///
/// # Errors
/// When it shows something else.
pub fn execution_of_url(url: &str) -> Result<ExecutionArn, UrlError> {
    let url = decoded(url);
    let mut what = page(&url);
    for (at, _) in url.match_indices("arn:") {
        let arn = &url[at..];
        let mut parts = arn.splitn(7, ':').skip(2);
        if parts.next() != Some("states") {
            continue;
        }
        match parts.nth(2) {
            Some("execution" | "express") => return Ok(ExecutionArn::parse(without_rest(arn))?),
            Some("stateMachine") => what = "a state machine",
            Some("mapRun") => what = "a Map run",
            Some("activity") => what = "an activity",
            _ => {}
        }
    }
    Err(UrlError::SomethingElse { what })
}

/// The most often that a link was encoded on its way through other links.
const MOST_ENCODED: usize = 3;

/// Names of executions hold no percent sign, so decoding too often changes nothing.
fn decoded(url: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(url);
    for _ in 0..MOST_ENCODED {
        if !text.contains('%') {
            break;
        }
        text = Cow::Owned(percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned());
    }
    text
}

/// The ARN without what follows it in the URL. A slash belongs to it in the name of a Map run's state
/// machine, but not in that of an execution.
fn without_rest(arn: &str) -> &str {
    let end = |char: char| char.is_whitespace() || matches!(char, '?' | '&' | '#' | '"' | '\'' | '<' | '>');
    let arn = arn.split(end).next().unwrap_or_default();
    let name = arn.match_indices(':').nth(6).map_or(arn.len(), |(at, _)| at);
    arn[name..].find('/').map_or(arn, |slash| &arn[..name + slash])
}

/// What a URL without an ARN of Step Functions shows.
fn page(url: &str) -> &'static str {
    let is_console = ["console.aws.amazon.com", "console.amazonaws"].iter().any(|host| url.contains(host));
    if !is_console {
        "a site that is not the AWS console"
    } else if url.contains("/cloudwatch/") {
        "a page of CloudWatch"
    } else if url.contains("/lambda/") {
        "a page of Lambda"
    } else if url.contains("/states/") {
        "a page of Step Functions that is not an execution's"
    } else {
        "another page of the AWS console"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:states:eu-west-1:123456789012:execution:orders:run-7";

    #[test]
    fn each_form_of_the_url_gives_the_arn() {
        let home = "https://eu-west-1.console.aws.amazon.com/states/home?region=eu-west-1";
        let encoded = ARN.replace(':', "%3A");
        let portal = format!("{home}#/v2/executions/details/{ARN}").replace(':', "%3A").replace('/', "%2F");
        for url in [
            format!("{home}#/v2/executions/details/{ARN}"),
            format!("{home}#/executions/details/{ARN}"),
            format!("{home}#/v2/executions/details/{ARN}/"),
            format!("{home}#/v2/executions/details/{ARN}?tab=events&x=1"),
            format!("{home}#/v2/executions/details/{encoded}"),
            format!("{home}#/v2/executions/details/{encoded}?eventId=4"),
            format!("{home}#/v2/executions/details/{}", encoded.replace('%', "%25")),
            format!("HTTPS://console.aws.amazon.com/states/home?region=eu-west-1#/executions/details/{ARN}"),
            format!("https://x.awsapps.com/start/#/console?account_id=1&destination={portal}"),
        ] {
            assert!(is_url(&url), "{url}");
            assert_eq!(execution_of_url(&url).map(|arn| arn.to_string()), Ok(ARN.to_owned()), "{url}");
        }
    }

    #[test]
    fn other_partitions_express_workflows_and_map_run_children_are_read() {
        for (host, page, arn) in [
            (
                "cn-north-1.console.amazonaws.cn",
                "v2/executions",
                "arn:aws-cn:states:cn-north-1:1:execution:orders:run",
            ),
            (
                "us-gov-west-1.console.amazonaws-us-gov.com",
                "v2/executions",
                "arn:aws-us-gov:states:us-gov-west-1:1:execution:orders:run",
            ),
            (
                "eusc-de-east-1.console.amazonaws-eusc.eu",
                "v2/executions",
                "arn:aws-eusc:states:eusc-de-east-1:1:execution:orders:run",
            ),
            (
                "eu-west-1.console.aws.amazon.com",
                "express-executions",
                "arn:aws:states:eu-west-1:1:express:orders:run:6f1e",
            ),
            (
                "eu-west-1.console.aws.amazon.com",
                "v2/executions",
                "arn:aws:states:eu-west-1:1:execution:orders/Each:0a1b",
            ),
        ] {
            let url = format!("https://{host}/states/home?region=x#/{page}/details/{arn}?startDate=17");
            assert_eq!(execution_of_url(&url).map(|arn| arn.to_string()), Ok(arn.to_owned()), "{url}");
        }
    }

    #[test]
    fn the_url_of_something_else_is_an_error_that_says_of_what() {
        let home = "https://eu-west-1.console.aws.amazon.com";
        for (url, what) in [
            (
                format!(
                    "{home}/states/home#/v2/statemachines/view/arn%3Aaws%3Astates%3Aeu-west-1%3A1%3AstateMachine%3Aorders"
                ),
                "a state machine",
            ),
            (
                format!("{home}/states/home#/v2/map-runs/arn:aws:states:eu-west-1:1:mapRun:orders/Each:0a1b"),
                "a Map run",
            ),
            (format!("{home}/states/home?region=eu-west-1#/statemachines"), "Step Functions"),
            (format!("{home}/cloudwatch/home?region=eu-west-1#logsV2:log-groups"), "CloudWatch"),
            (
                format!("{home}/lambda/home#/functions/arn:aws:lambda:eu-west-1:1:function:f"),
                "a page of Lambda",
            ),
            ("https://example.com/x".to_owned(), "not the AWS console"),
        ] {
            let error = execution_of_url(&url).unwrap_err().to_string();
            assert!(error.contains(what) && error.contains("the page of one execution"), "{url}: {error}");
        }
        let evil =
            format!("{home}/states/home#/executions/details/arn:aws:states:evil.example:1:execution:a:b");
        assert!(matches!(execution_of_url(&evil), Err(UrlError::Arn(_))));
    }

    #[test]
    fn only_urls_are_taken_for_urls() {
        for text in [
            "history.json",
            "https",
            "arn:aws:states:eu-west-1:1:execution:a:b",
            "-",
            "\u{e9}\u{e9}\u{e9}\u{e9}",
        ] {
            assert!(!is_url(text), "{text}");
        }
    }
}
