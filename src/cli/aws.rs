//! The AWS side of the settings, which follows the SDK's own chain.

use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_sdk_sqs::config::ProvideCredentials as _;

use super::error::CliError;
use crate::aws::Session;
use crate::metrics::Metrics;

/// How long finding region, credentials and the queue may take at the start.
pub(super) const START_TIMEOUT: Duration = Duration::from_secs(9);

/// Loads region, credentials and endpoints, and makes sure that there are some. Calls are counted in
/// `metrics`.
///
/// # Errors
/// Says what is missing, and how to give it.
pub(super) async fn load(metrics: Metrics) -> Result<Session, CliError> {
    let aws = aws_config::load_defaults(BehaviorVersion::latest()).await;
    if aws.region().is_none() {
        return Err(CliError::NoRegion);
    }
    let Some(provider) = aws.credentials_provider() else {
        return Err(CliError::NoCredentials);
    };
    if let Err(error) = provider.provide_credentials().await {
        return Err(CliError::Credentials(error.into()));
    }
    Ok(Session::new(aws, metrics))
}

/// The same for a command that counts nothing, or that it takes too long.
pub(super) async fn load_in_time() -> Result<Session, CliError> {
    tokio::time::timeout(START_TIMEOUT, load(Metrics::new()))
        .await
        .map_err(|_elapsed| CliError::CredentialsTimeout)?
}
