//! Whether each route's other end is there, without sending anything.

use std::time::Duration;

use futures_util::future::join_all;

use super::CheckResult;
use crate::notify::channels::ConnectError;
use crate::notify::{NotifyError, Route};
use crate::telemetry::chain;

/// How long looking at one route may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Looks at each route.
pub async fn check(routes: &[Route]) -> Vec<CheckResult> {
    let mut findings = join_all(routes.iter().map(look)).await;
    if !routes.iter().any(|route| route.required) {
        findings.push(CheckResult::warn(
            "routes",
            "none is required: messages are deleted even if nobody was notified",
            "leave `required` out for the routes that matter",
        ));
    }
    findings
}

/// What there is to say of a route that could not even be connected.
pub fn unconnected(name: &str, error: &ConnectError) -> CheckResult {
    CheckResult::fail(
        format!("route {name}"),
        chain(error),
        "check the results for AWS above, and the route's settings",
    )
}

async fn look(route: &Route) -> CheckResult {
    let check = format!("route {}", route.name);
    let looked = tokio::time::timeout(PATIENCE, route.notifier.check()).await.unwrap_or_else(|_elapsed| {
        let what = format!("no answer within {} s", PATIENCE.as_secs());
        Err(NotifyError::Transient { what, retry_after: None })
    });
    match looked {
        Ok(Some(found)) => CheckResult::ok(check, found),
        Ok(None) => {
            CheckResult::ok(check, "not tried, since only sending would show; try `misstep notify --test`")
        }
        Err(error) if route.required => {
            CheckResult::fail(check, error.what(), "check the route's address, its secrets and the network")
        }
        Err(error) => CheckResult::warn(
            check,
            error.what(),
            "check the route's address, its secrets and the network; it is not required, so messages pass without it",
        ),
    }
}
