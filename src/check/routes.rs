//! Whether each route's other end is there, without sending anything.

use super::Finding;
use crate::notify::Route;

/// Looks at each route.
pub async fn check(routes: &[Route]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for route in routes {
        let check = format!("route {}", route.name);
        findings.push(match route.notifier.check().await {
            Ok(Some(found)) => Finding::ok(check, found),
            Ok(None) => Finding::ok(check, "not tried, since only sending would show; try `misstep notify --test`"),
            Err(error) if route.required => {
                Finding::fail(check, error.what(), "check the route's address, its secrets and the network")
            }
            Err(error) => Finding::warn(
                check,
                error.what(),
                "check the route's address, its secrets and the network; it is not required, so messages pass without it",
            ),
        });
    }
    if !routes.iter().any(|route| route.required) {
        findings.push(Finding::warn(
            "routes",
            "none is required: messages are deleted whether anybody was told or not",
            "leave `required` out for the routes that matter",
        ));
    }
    findings
}
