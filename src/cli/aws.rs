//! The AWS side of the settings, which follows the SDK's own chain.

use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_sqs::config::ProvideCredentials as _;

use crate::telemetry::chain;

/// How long finding region, credentials and the queue may take at the start.
pub(super) const START_TIMEOUT: Duration = Duration::from_secs(9);

/// Loads region, credentials and endpoints, and makes sure that there are some.
///
/// # Errors
/// Says what is missing, and how to give it.
pub(super) async fn load() -> Result<SdkConfig, String> {
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
    Ok(aws)
}

/// The same, or that it takes too long.
pub(super) async fn load_in_time() -> Result<SdkConfig, String> {
    tokio::time::timeout(START_TIMEOUT, load())
        .await
        .map_err(|_elapsed| "AWS credentials could not be had in time; check the network".to_owned())?
}
