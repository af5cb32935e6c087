//! The AWS side of the settings, which follows the SDK's own chain.

use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_sdk_sqs::config::ProvideCredentials as _;

use crate::aws::Session;
use crate::metrics::Metrics;
use crate::telemetry::chain;

/// How long finding region, credentials and the queue may take at the start.
pub(super) const START_TIMEOUT: Duration = Duration::from_secs(9);

/// Loads region, credentials and endpoints, and makes sure that there are some. Calls are counted in
/// `metrics`.
///
/// # Errors
/// Says what is missing, and how to give it.
pub(super) async fn load(metrics: Metrics) -> Result<Session, String> {
    let aws = aws_config::load_defaults(BehaviorVersion::latest()).await;
    if aws.region().is_none() {
        return Err("no AWS region: set AWS_REGION, or a region in the AWS profile".to_owned());
    }
    let Some(provider) = aws.credentials_provider() else {
        return Err("no AWS credentials: nothing in the SDK's chain provides any".to_owned());
    };
    if let Err(error) = provider.provide_credentials().await {
        return Err(format!(
            "no AWS credentials: {}; set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run with a role",
            chain(&error)
        ));
    }
    Ok(Session::new(aws, metrics))
}

/// The same for a command that counts nothing, or that it takes too long.
pub(super) async fn load_in_time() -> Result<Session, String> {
    tokio::time::timeout(START_TIMEOUT, load(Metrics::new()))
        .await
        .map_err(|_elapsed| "AWS credentials could not be had in time; check the network".to_owned())?
}
