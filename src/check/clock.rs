//! This machine's clock against AWS's, by the `Date` of an answer.

use std::time::{Duration, SystemTime};

use reqwest::header::DATE;
use url::Url;

use super::CheckResult;
use crate::telemetry::chain;

/// AWS refuses requests that were signed further away than this from its own time.
const REFUSED: Duration = Duration::from_secs(300);

/// Worth looking at.
const ODD: Duration = Duration::from_secs(30);

/// How long the answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks the server of this URL what time it is.
pub async fn check(endpoint: &str) -> CheckResult {
    let unknown = |why: String| {
        CheckResult::warn(
            "clock",
            format!("not known: {why}"),
            "check that this machine's clock is kept by NTP",
        )
    };
    let Ok(mut url) = Url::parse(endpoint) else { return unknown("there is no endpoint to ask".to_owned()) };
    url.set_path("/");
    url.set_query(None);
    let asked = reqwest::Client::new().head(url).timeout(PATIENCE).send().await;
    let answer = match asked {
        Ok(answer) => answer,
        Err(error) => return unknown(chain(&error.without_url())),
    };
    let date =
        answer.headers().get(DATE).and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
    match date {
        Some(theirs) => judge(SystemTime::now(), theirs),
        None => unknown("the answer says no time".to_owned()),
    }
}

fn judge(ours: SystemTime, theirs: SystemTime) -> CheckResult {
    let off = ours.duration_since(theirs).unwrap_or_else(|behind| behind.duration());
    let found = format!("{} s off AWS's", off.as_secs());
    let advice = "set this machine's clock, and keep it by NTP";
    match off {
        off if off >= REFUSED => {
            CheckResult::fail("clock", format!("{found}: signed requests are refused"), advice)
        }
        off if off >= ODD => CheckResult::warn("clock", found, advice),
        _ => CheckResult::ok("clock", found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Verdict;

    #[test]
    fn a_clock_that_is_minutes_off_fails_in_both_directions() {
        let now = SystemTime::now();
        let verdict = |secs| judge(now, now + Duration::from_secs(secs)).verdict;
        assert_eq!([0, 29, 31, 301].map(verdict), [Verdict::Ok, Verdict::Ok, Verdict::Warn, Verdict::Fail]);
        assert_eq!(judge(now + Duration::from_secs(400), now).verdict, Verdict::Fail);
    }
}
