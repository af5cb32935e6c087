//! The trace that a message belongs to, as AWS passes it on: the `AWSTraceHeader`
//! (<https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader>).

/// A message's trace header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceHeader {
    /// The header as it came, to be passed on.
    pub text: String,
    /// The trace's id, as W3C and OpenTelemetry count it.
    pub trace: u128,
    /// The span that sent the message, where it is named.
    pub parent: Option<u64>,
    /// Whether the trace is kept.
    pub sampled: bool,
}

impl TraceHeader {
    /// Reads `Root=1-58406520-a006649127e371903a2de979;Parent=4c721bf33e3caf8f;Sampled=1`. Other
    /// parts are passed over; without a root there is no trace.
    pub fn parse(text: &str) -> Option<Self> {
        let part = |wanted: &str| {
            text.split(';')
                .filter_map(|part| part.trim().split_once('='))
                .find_map(|(name, value)| name.eq_ignore_ascii_case(wanted).then_some(value))
        };
        let hex = |text: &str, digits: usize| {
            let is_hex = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            is_hex.then(|| u128::from_str_radix(text, 16).ok()).flatten().filter(|number| *number != 0)
        };
        let (version, rest) = part("Root")?.split_once('-')?;
        let (time, unique) = rest.split_once('-')?;
        if version != "1" {
            return None;
        }
        let parent = part("Parent").and_then(|parent| hex(parent, 16));
        Some(Self {
            text: text.to_owned(),
            trace: hex(&format!("{time}{unique}"), 32).filter(|_| time.len() == 8)?,
            parent: parent.and_then(|parent| u64::try_from(parent).ok()),
            sampled: part("Sampled") == Some("1"),
        })
    }

    /// The trace's id in 32 hexadecimal digits.
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_names_trace_parent_and_sampling() {
        let header =
            TraceHeader::parse("Root=1-58406520-a006649127e371903a2de979;Parent=4c721bf33e3caf8f;Sampled=1");
        let header = header.unwrap();
        assert_eq!(header.trace_id(), "58406520a006649127e371903a2de979");
        assert_eq!(header.parent, Some(0x4c72_1bf3_3e3c_af8f));
        assert!(header.sampled);
    }

    #[test]
    fn the_order_does_not_matter_and_only_the_root_must_be_there() {
        let header = TraceHeader::parse(
            "Self=1-00000001-000000000000000000000001; sampled=0;Lineage=1:a:0;root=1-58406520-a006649127e371903a2de979",
        );
        let header = header.unwrap();
        assert_eq!((header.parent, header.sampled), (None, false));
    }

    #[test]
    fn what_is_no_header_names_no_trace() {
        for text in [
            "",
            "Root",
            "Root=1-58406520",
            "Root=2-58406520-a006649127e371903a2de979",
            "Root=1-58406520-a006649127e371903a2de97",
            "Root=1-5840652-0a006649127e371903a2de979",
            "Root=1-00000000-000000000000000000000000",
            "Root=1-58406520-a006649127e371903a2de97é",
            "Parent=4c721bf33e3caf8f;Sampled=1",
        ] {
            assert_eq!(TraceHeader::parse(text), None, "{text}");
        }
    }
}
