//! What answers a call: state machines, addresses, tables, queues, topics and buckets.

use url::Url;

use super::{FoundResource, arn, encoded, encoded_arn, named, sdk_status};
use crate::analysis::cause::child_execution;
use crate::analysis::resources::facts::{Arn, Facts, last_part};
use crate::analysis::resources::links::Console;
use crate::aws::arn::{ExecutionArn, state_machine_name};

pub(super) fn states(facts: &Facts<'_>, _console: &Console) -> FoundResource {
    let said = facts.get(&["ExecutionArn"]).and_then(|arn| ExecutionArn::parse(&arn).ok());
    if let Some(child) = said.or_else(|| child_execution(facts.text)) {
        return execution(&child, facts.in_cause(&["Status"]));
    }
    let machine = facts.get(&["StateMachineArn", "ActivityArn", "TargetArn"]);
    let name = machine.as_deref().and_then(state_machine_name).map(str::to_owned);
    let found = named(machine, facts.request_id(), facts);
    FoundResource { name: name.or(found.name), ..found }
}

fn execution(child: &ExecutionArn, status: Option<String>) -> FoundResource {
    FoundResource {
        name: Some(child.state_machine().to_owned()),
        id: Some(child.name().to_owned()),
        arn: Some(child.to_string()),
        status,
        console: child.console_url(),
        ..FoundResource::default()
    }
}

pub(super) fn activity(facts: &Facts<'_>, _console: &Console) -> FoundResource {
    let found = named(facts.resource.map(str::to_owned), None, facts);
    FoundResource { status: None, ..found }
}

/// An endpoint by its address: what follows `?`, and who asks, may be secret.
pub(super) fn http(facts: &Facts<'_>, _console: &Console) -> FoundResource {
    let status = facts.error.and_then(|error| error.strip_prefix("States.Http.StatusCode."));
    FoundResource {
        name: facts.parameter("ApiEndpoint").and_then(|address| bare(&address)),
        status: status.map(str::to_owned).or_else(|| facts.in_cause(&["StatusCode"])),
        ..FoundResource::default()
    }
}

/// An address without query, fragment and credentials.
fn bare(address: &str) -> Option<String> {
    let mut url = Url::parse(address).ok().filter(Url::has_host)?;
    url.set_query(None);
    url.set_fragment(None);
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    Some(url.into())
}

/// `ID.execute-api.REGION.amazonaws.com`, a stage and a path.
pub(super) fn apigateway(facts: &Facts<'_>, console: &Console) -> FoundResource {
    let host = facts.parameter("ApiEndpoint");
    let part = |path: &str| {
        let part = facts.parameter(path).map(|part| part.trim_matches('/').to_owned());
        part.filter(|part| !part.is_empty()).map(|part| format!("/{part}")).unwrap_or_default()
    };
    let address = host.as_deref().and_then(|host| {
        let host = host.split_once("://").map_or(host, |(_, host)| host).trim_end_matches('/');
        bare(&format!("https://{host}{}{}", part("Stage"), part("Path")))
    });
    let api =
        host.as_deref().and_then(|host| host.split_once(".execute-api.")).map(|(api, _)| last_part(api));
    let status = facts.error.and_then(|error| error.strip_prefix("ApiGateway."));
    FoundResource {
        name: address,
        id: facts.request_id(),
        status: status.filter(|status| status.bytes().all(|digit| digit.is_ascii_digit())).map(str::to_owned),
        console: api.and_then(|api| console.home("apigateway", &format!("/apis/{}/resources", encoded(api)))),
        ..FoundResource::default()
    }
}

pub(super) fn dynamodb(facts: &Facts<'_>, console: &Console) -> FoundResource {
    let found = named(facts.get(&["TableName"]), facts.request_id(), facts);
    let page = |name: &String| console.home("dynamodbv2", &format!("table?name={}", encoded(name)));
    FoundResource { console: found.name.as_ref().and_then(page), ..found }
}

/// A queue by its URL: `https://sqs.REGION.amazonaws.com/ACCOUNT/NAME`.
pub(super) fn sqs(facts: &Facts<'_>, console: &Console) -> FoundResource {
    let id = facts.get(&["MessageId"]).or_else(|| facts.request_id());
    let Some(url) = facts.parameter("QueueUrl").and_then(|url| bare(&url)) else {
        return named(facts.get(&["QueueUrl", "QueueName"]), id, facts);
    };
    let mut parts = url.trim_end_matches('/').rsplit('/');
    let (name, account) = (parts.next().map(str::to_owned), parts.next());
    let account =
        account.filter(|account| !account.is_empty() && account.bytes().all(|digit| digit.is_ascii_digit()));
    let arn = name.as_deref().zip(account).map(|(name, account)| {
        let region = console.region();
        format!("arn:{}:sqs:{region}:{account}:{name}", crate::aws::arn::partition_of(region))
    });
    let page = console.page(&format!("sqs/v3/home?region={}#/queues/{}", console.region(), encoded(&url)));
    FoundResource { name, arn, id, status: sdk_status(facts), console: page, ..FoundResource::default() }
}

pub(super) fn sns(facts: &Facts<'_>, console: &Console) -> FoundResource {
    let id = facts.get(&["MessageId"]).or_else(|| facts.request_id());
    let found = named(facts.get(&["TopicArn", "TargetArn"]), id, facts);
    let topic = arn(facts, &["TopicArn"])
        .filter(|topic| Arn::parse(topic).is_some_and(|arn| !arn.resource.contains('/')));
    let page = |topic: &String| {
        console.page(&format!("sns/v3/home?region={}#/topic/{}", console.region(), encoded_arn(topic)))
    };
    FoundResource { console: topic.as_ref().and_then(page), ..found }
}

pub(super) fn events(facts: &Facts<'_>, console: &Console) -> FoundResource {
    let bus = facts.get(&["Entries.0.EventBusName", "EventBusName"]);
    let bus = bus.unwrap_or_else(|| "default".to_owned());
    let found = named(Some(bus), facts.request_id(), facts);
    let page = |name: &String| console.home("events", &format!("/eventbus/{}", encoded(name)));
    FoundResource { console: found.name.as_ref().and_then(page), ..found }
}

pub(super) fn s3(facts: &Facts<'_>, console: &Console) -> FoundResource {
    let found = named(facts.get(&["Bucket"]), facts.request_id(), facts);
    let page =
        |name: &String| console.page(&format!("s3/buckets/{}?region={}", encoded(name), console.region()));
    FoundResource { console: found.name.as_ref().and_then(page), ..found }
}
