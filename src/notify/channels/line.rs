//! A notification as one line of JSON, for the channels that write lines.

use serde_json::json;

use crate::notify::{Material, Notification};

/// The line, with its end.
pub(super) fn compose(material: &Material<'_>) -> Notification {
    let line = json!({
        "route": material.route,
        "audience": material.audience.name(),
        "idempotency_key": material.idempotency_key,
        "data": material.data,
    });
    Notification::of(material, format!("{line}\n"))
}
