//! `misstep health`: asks the worker beside it how it is, for a supervisor that can run a program but
//! ask nothing over HTTP, as that of a container.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::error::CliError;
use super::{Exit, print, run_async, sources};

/// How long the worker may take to answer.
const PATIENCE: Duration = Duration::from_secs(4);

pub(super) fn command() -> Command {
    Command::new("health")
        .about("Asks the worker on MISSTEP_ADMIN_ADDR whether it is alive; exits with 1 where it is not")
        .arg(
            Arg::new("ready")
                .long("ready")
                .action(ArgAction::SetTrue)
                .help("Ask whether it takes messages in"),
        )
}

pub(super) fn run(matches: &ArgMatches) -> Result<Exit, CliError> {
    let address = sources(matches).admin_addr().map_err(CliError::Settings)?;
    let address =
        address.ok_or_else(|| CliError::failed("MISSTEP_ADMIN_ADDR is off: the worker cannot be asked"))?;
    let address = reachable(address);
    let path = if matches.get_flag("ready") { "readyz" } else { "livez" };
    print(&run_async(ask(&format!("http://{address}/{path}")))??)?;
    Ok(Exit::Done)
}

/// An address that stands for all of a machine's is asked on its own.
fn reachable(address: SocketAddr) -> SocketAddr {
    let host = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        host => host,
    };
    SocketAddr::new(host, address.port())
}

/// What the worker says, where it is well.
async fn ask(url: &str) -> Result<String, CliError> {
    let unanswered =
        |error: reqwest::Error| CliError::Unanswered { url: url.to_owned(), error: error.without_url() };
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().map_err(unanswered)?;
    let answer = client.get(url).send().await.map_err(unanswered)?;
    let status = answer.status();
    let said = answer.text().await.map_err(unanswered)?;
    if status.is_success() {
        Ok(said)
    } else {
        Err(CliError::Failed(format!("{url} answers {status}: {}", said.trim_end())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_all_interfaces_is_asked_on_loopback() {
        for (bound, asked) in
            [("0.0.0.0:9108", "127.0.0.1:9108"), ("[::]:9108", "[::1]:9108"), ("10.0.0.7:80", "10.0.0.7:80")]
        {
            assert_eq!(reachable(bound.parse().unwrap()).to_string(), asked);
        }
    }
}
