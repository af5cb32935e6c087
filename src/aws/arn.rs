//! The ARNs of Step Functions: executions, state machines and what can be derived from them.
//!
//! An execution ARN is `arn:PARTITION:states:REGION:ACCOUNT:execution:STATE_MACHINE:NAME`. A child
//! of a Distributed Map's Map run carries the Map's label in the state machine's place:
//! `execution:STATE_MACHINE/LABEL:NAME`. An execution of an Express workflow is
//! `express:STATE_MACHINE:NAME:ID`. Nothing here asks AWS whether what is named exists.

mod console;

use std::fmt;

use serde::{Serialize, Serializer};

pub use console::{UrlError, execution_of_url, is_url};

/// Why a text is not the ARN that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an ARN of {expected}: {found:?} ({why})")]
pub struct ArnError {
    expected: &'static str,
    found: String,
    why: &'static str,
}

impl ArnError {
    /// What is wrong with it, without the text itself.
    pub fn why(&self) -> &'static str {
        self.why
    }
}

/// The longest ARN, in bytes; a longer one is not AWS's.
const LONGEST: usize = 2_048;

/// What kind of workflow an execution belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workflow {
    /// Keeps a history that can be read for 90 days.
    Standard,
    /// Keeps no history that the API could read.
    Express,
}

/// An account in a region: what the quotas of Step Functions hold for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AccountRegion {
    /// The account's number.
    pub account: String,
    /// The region's name: `eu-west-1`.
    pub region: String,
}

impl AccountRegion {
    /// Where the resource of this ARN is, as far as the ARN tells.
    pub fn of(arn: &str) -> Self {
        let mut parts = arn.split(':').skip(3).map(str::to_owned);
        let region = parts.next().unwrap_or_default();
        Self { region, account: parts.next().unwrap_or_default() }
    }
}

impl fmt::Display for AccountRegion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "account {} in {}", self.account, self.region)
    }
}

/// The ARN of one execution. Its parts were checked, so that none of them can lead a client to
/// another host than AWS's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ExecutionArn {
    text: String,
    partition: String,
    region: String,
    account: String,
    state_machine: String,
    name: String,
    express: bool,
}

impl ExecutionArn {
    /// Takes an execution ARN apart.
    ///
    /// # Errors
    /// When the text is not the ARN of an execution, or its region is not shaped like one.
    pub fn parse(text: &str) -> Result<Self, ArnError> {
        let fail = |why| ArnError { expected: "an execution", found: text.chars().take(300).collect(), why };
        if text.len() > LONGEST {
            return Err(fail("it is too long"));
        }
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let &["arn", partition, "states", region, account, resource] = parts.as_slice() else {
            return Err(fail("expected arn:PARTITION:states:REGION:ACCOUNT:execution:…"));
        };
        if !is_partition(partition) {
            return Err(fail("the partition is not one of AWS's"));
        }
        if !is_region(region) {
            return Err(fail("the region is not shaped like one"));
        }
        if account.is_empty() || !account.bytes().all(|b| b.is_ascii_digit()) {
            return Err(fail("the account is not a number"));
        }
        let (kind, rest) = resource.split_once(':').unwrap_or((resource, ""));
        let (state_machine, name) = rest.split_once(':').unwrap_or((rest, ""));
        let express = match kind {
            "execution" => false,
            "express" => true,
            _ => return Err(fail("the resource is not an execution")),
        };
        if state_machine.is_empty() || name.is_empty() {
            return Err(fail("the state machine's or the execution's name is missing"));
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(fail("it holds white space or control characters"));
        }
        Ok(Self {
            text: text.to_owned(),
            partition: partition.to_owned(),
            region: region.to_owned(),
            account: account.to_owned(),
            state_machine: state_machine.to_owned(),
            name: name.to_owned(),
            express,
        })
    }

    /// The whole ARN.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The region that the execution ran in, where alone its history can be read.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The account and region that the execution ran in.
    pub fn account_region(&self) -> AccountRegion {
        AccountRegion { account: self.account.clone(), region: self.region.clone() }
    }

    /// `aws`, `aws-cn`, `aws-us-gov` and the like.
    pub fn partition(&self) -> &str {
        &self.partition
    }

    /// The execution's own name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The state machine's name, with `/LABEL` for a child of a Map run.
    pub fn state_machine(&self) -> &str {
        &self.state_machine
    }

    /// Standard or Express.
    pub fn workflow(&self) -> Workflow {
        if self.express { Workflow::Express } else { Workflow::Standard }
    }

    /// The ARN of the state machine, derived from the execution's.
    pub fn state_machine_arn(&self) -> String {
        let Self { partition, region, account, state_machine, .. } = self;
        format!("arn:{partition}:states:{region}:{account}:stateMachine:{state_machine}")
    }

    /// Whether it is a child of a Distributed Map's Map run (`execution:NAME/LABEL:…`).
    pub fn is_map_run_child(&self) -> bool {
        self.state_machine.contains('/')
    }

    /// The execution's page in the AWS console; nothing for a partition whose console is not public.
    pub fn console_url(&self) -> Option<String> {
        let domain = console_domain(&self.partition)?;
        let region = &self.region;
        let arn = &self.text;
        let page = if self.express { "express-executions" } else { "executions" };
        Some(format!("https://{region}.{domain}/states/home?region={region}#/v2/{page}/details/{arn}"))
    }
}

impl fmt::Display for ExecutionArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for ExecutionArn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// The ARN of a Map run: `arn:PARTITION:states:REGION:ACCOUNT:mapRun:STATE_MACHINE/LABEL:ID`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MapRunArn {
    text: String,
    region: String,
    account: String,
}

impl MapRunArn {
    /// Takes the ARN of a Map run apart.
    ///
    /// # Errors
    /// When the text is not the ARN of a Map run, or its region is not shaped like one.
    pub fn parse(text: &str) -> Result<Self, ArnError> {
        let fail = |why| ArnError { expected: "a Map run", found: text.chars().take(300).collect(), why };
        let parts: Vec<&str> = text.splitn(7, ':').collect();
        let &["arn", partition, "states", region, account, "mapRun", name] = parts.as_slice() else {
            return Err(fail("expected arn:PARTITION:states:REGION:ACCOUNT:mapRun:…"));
        };
        if !is_partition(partition) {
            return Err(fail("the partition is not one of AWS's"));
        }
        if !is_region(region) {
            return Err(fail("the region is not shaped like one"));
        }
        if name.is_empty() || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(fail("its name is missing, or it holds white space or control characters"));
        }
        Ok(Self { text: text.to_owned(), region: region.to_owned(), account: account.to_owned() })
    }

    /// The account and region that the Map run ran in.
    pub fn account_region(&self) -> AccountRegion {
        AccountRegion { account: self.account.clone(), region: self.region.clone() }
    }

    /// The whole ARN.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The region that the Map run ran in, where alone it can be asked about.
    pub fn region(&self) -> &str {
        &self.region
    }
}

impl fmt::Display for MapRunArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The ARN of a state machine without the version or alias and without a Map run's label:
/// `…:stateMachine:NAME/LABEL:3` becomes `…:stateMachine:NAME`. Text of another shape stays as
/// it is.
pub fn base_state_machine(arn: &str) -> String {
    let parts: Vec<&str> = arn.split(':').collect();
    match parts.as_slice() {
        head if head.len() >= 7 => {
            let name = head[6].split('/').next().unwrap_or_default();
            format!("{}:{name}", head[..6].join(":"))
        }
        _ => arn.to_owned(),
    }
}

/// The name of a state machine, with `/LABEL` for children of a Map run, by its ARN.
pub fn state_machine_name(arn: &str) -> Option<&str> {
    arn.split(':').nth(6)
}

/// Whether a state machine's ARN is that of a Distributed Map's children
/// (`…:stateMachine:NAME/LABEL`).
pub fn is_map_run_child(state_machine_arn: &str) -> bool {
    state_machine_name(state_machine_arn).is_some_and(|name| name.contains('/'))
}

/// The partitions whose regions begin in a way of their own, as the AWS SDKs know them from
/// `partitions.json`; all other regions are in `aws`.
const PARTITIONS: [(&str, &str); 7] = [
    ("cn-", "aws-cn"),
    ("us-gov-", "aws-us-gov"),
    ("us-iso-", "aws-iso"),
    ("us-isob-", "aws-iso-b"),
    ("eu-isoe-", "aws-iso-e"),
    ("us-isof-", "aws-iso-f"),
    ("eusc-", "aws-eusc"),
];

/// The partition that a region is in.
pub fn partition_of(region: &str) -> &'static str {
    let known = PARTITIONS.iter().find(|(prefix, _)| region.starts_with(prefix));
    known.map_or("aws", |(_, partition)| partition)
}

/// The domain of a partition's consoles, to which a region's name is put in front; nothing for one whose
/// console is not public.
pub(crate) fn console_domain(partition: &str) -> Option<&'static str> {
    Some(match partition {
        "aws" => "console.aws.amazon.com",
        "aws-cn" => "console.amazonaws.cn",
        "aws-us-gov" => "console.amazonaws-us-gov.com",
        "aws-eusc" => "console.amazonaws-eusc.eu",
        _ => return None,
    })
}

fn is_partition(text: &str) -> bool {
    text == "aws"
        || text
            .strip_prefix("aws-")
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'))
}

/// `us-east-1`, `us-gov-west-1`, `cn-north-1`: what comes in a message becomes part of a host's
/// name, so nothing else passes.
pub fn is_region(text: &str) -> bool {
    let mut parts = text.split('-').peekable();
    let mut words = 0;
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            let number = !part.is_empty() && part.len() <= 2 && part.bytes().all(|b| b.is_ascii_digit());
            return words >= 2 && number && text.len() <= 32;
        }
        if part.len() < 2 || !part.bytes().all(|b| b.is_ascii_lowercase()) {
            return false;
        }
        words += 1;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_execution_arn_is_parsed() {
        let arn =
            ExecutionArn::parse("arn:aws:states:eu-west-1:123456789012:execution:orders:run-7").unwrap();
        assert_eq!(arn.region(), "eu-west-1");
        assert_eq!(arn.name(), "run-7");
        assert_eq!(arn.state_machine_arn(), "arn:aws:states:eu-west-1:123456789012:stateMachine:orders");
        assert_eq!(arn.workflow(), Workflow::Standard);
    }

    #[test]
    fn a_map_run_child_keeps_the_label_and_is_known_as_one() {
        let arn =
            ExecutionArn::parse("arn:aws:states:eu-west-1:123456789012:execution:orders/Each:1a2b").unwrap();
        assert!(is_map_run_child(&arn.state_machine_arn()));
        assert_eq!(
            base_state_machine(&arn.state_machine_arn()),
            "arn:aws:states:eu-west-1:123456789012:stateMachine:orders"
        );
    }

    #[test]
    fn a_console_page_is_that_of_its_partition() {
        let page = |partition: &str, region: &str| {
            let arn = format!("arn:{partition}:states:{region}:1:execution:orders:run-7");
            ExecutionArn::parse(&arn).unwrap().console_url()
        };
        for (region, partition, host) in [
            ("eu-west-1", "aws", Some("console.aws.amazon.com")),
            ("mx-central-1", "aws", Some("console.aws.amazon.com")),
            ("cn-north-1", "aws-cn", Some("console.amazonaws.cn")),
            ("us-gov-west-1", "aws-us-gov", Some("console.amazonaws-us-gov.com")),
            ("eusc-de-east-1", "aws-eusc", Some("console.amazonaws-eusc.eu")),
            ("us-iso-east-1", "aws-iso", None),
            ("us-isob-east-1", "aws-iso-b", None),
            ("eu-isoe-west-1", "aws-iso-e", None),
            ("us-isof-south-1", "aws-iso-f", None),
        ] {
            assert_eq!(partition_of(region), partition);
            let page = page(partition, region);
            let prefix = host.map(|host| format!("https://{region}.{host}/states/home?region={region}#"));
            assert_eq!(page.is_some(), prefix.is_some(), "{page:?}");
            assert!(page.unwrap_or_default().starts_with(&prefix.unwrap_or_default()), "{region}");
        }
        assert_eq!(page("aws-new", "xx-new-1"), None);
    }

    #[test]
    fn versions_and_aliases_count_as_their_state_machine() {
        for qualified in [
            "arn:aws:states:eu-west-1:1:stateMachine:orders:3",
            "arn:aws:states:eu-west-1:1:stateMachine:orders:live",
        ] {
            assert_eq!(base_state_machine(qualified), "arn:aws:states:eu-west-1:1:stateMachine:orders");
        }
    }

    #[test]
    fn an_express_execution_is_recognised() {
        let arn = ExecutionArn::parse("arn:aws:states:us-east-1:1:express:fast:name:uuid").unwrap();
        assert_eq!(arn.workflow(), Workflow::Express);
        assert_eq!(arn.name(), "name:uuid");
    }

    #[test]
    fn a_map_run_arn_is_recognised() {
        let arn = MapRunArn::parse("arn:aws:states:eu-west-1:1:mapRun:orders/Each:0a1b").unwrap();
        assert_eq!(arn.region(), "eu-west-1");
        for text in [
            "arn:aws:states:eu-west-1:1:execution:orders/Each:0a1b",
            "arn:aws:states:evil.example.com:1:mapRun:orders/Each:0a1b",
            "arn:aws:states:eu-west-1:1:mapRun:",
        ] {
            assert!(MapRunArn::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_could_lead_elsewhere_is_refused() {
        for text in [
            "",
            "arn:aws:states:us-east-1:1:stateMachine:orders",
            "arn:aws:states:evil.example.com/x:1:execution:a:b",
            "arn:aws:states:us-east-1.evil.example:1:execution:a:b",
            "arn:aws:sqs:us-east-1:1:execution:a:b",
            "arn:aws:states:us-east-1:1:execution:a:",
            "arn:aws:states:us-east-1:x:execution:a:b",
            "arn:aws:states:us-east-1:1:execution:a:b\nc",
        ] {
            assert!(ExecutionArn::parse(text).is_err(), "{text:?}");
        }
    }
}
