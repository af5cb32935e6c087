//! Whether failures whose events never arrived can be looked for.

use super::CheckResult;
use crate::history::{ReadError, Status};
use crate::sweep::search::Search;
use crate::telemetry::chain;

/// What the line is called.
const CHECK: &str = "sweep";

/// Lists the state machines, and the failures of the first.
pub async fn check(search: &Search) -> CheckResult {
    let looked = async {
        let machines = search.state_machines().await?;
        if let Some(machine) = machines.first() {
            search.reader.executions(machine, Status::Failed, None).await?;
        }
        Ok::<usize, ReadError>(machines.len())
    };
    match looked.await {
        Ok(machines) => CheckResult::ok(
            CHECK,
            format!(
                "the failures of {machines} state machines can be listed; that missing ones may be put into the queue was not tried"
            ),
        ),
        Err(error) => CheckResult::warn(
            CHECK,
            chain(&error).to_string(),
            "attach the sweep's policy (docs/iam.md), or set MISSTEP_SWEEP_EVERY=off",
        ),
    }
}
