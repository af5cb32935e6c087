//! A strict reader of what `/metrics` says in Prometheus's text format.

use std::collections::{BTreeMap, BTreeSet};

/// One scrape: each series by its name with its labels, as in `up{job="a"}`.
#[derive(Debug, Clone)]
pub struct Scrape {
    series: BTreeMap<String, f64>,
    /// Names as they were declared, with their kinds.
    pub declared: BTreeMap<String, String>,
}

impl Scrape {
    /// Reads a scrape; panics where it breaks a rule of the format.
    pub fn parse(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line does not end");
        let (mut series, mut declared) = (BTreeMap::new(), BTreeMap::new());
        let mut helped: Option<&str> = None;
        let mut current = "";
        let mut over = BTreeSet::new();
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, text) = help.split_once(' ').unwrap_or_else(|| panic!("{line}: no text"));
                assert!(!text.trim().is_empty(), "{line}");
                helped = Some(name);
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap_or_else(|| panic!("{line}: no kind"));
                assert_eq!(helped, Some(name), "{line}: its help does not stand before it");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert!(over.insert(name), "{line}: declared twice");
                declared.insert(name.to_owned(), kind.to_owned());
                current = name;
            } else {
                let (id, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}: no value"));
                let value: f64 = value.parse().unwrap_or_else(|error| panic!("{line}: {error}"));
                let (name, labels) = id.split_once('{').map_or((id, None), |(name, labels)| {
                    (name, Some(labels.strip_suffix('}').unwrap_or_else(|| panic!("{line}: no end"))))
                });
                let family = match declared[current].as_str() {
                    "histogram" => ["_bucket", "_sum", "_count"]
                        .iter()
                        .find_map(|suffix| name.strip_suffix(suffix))
                        .unwrap_or_else(|| panic!("{line}: not a histogram's")),
                    _ => name,
                };
                assert_eq!(family, current, "{line}: under the wrong declaration");
                if declared[current] == "counter" {
                    assert!(name.ends_with("_total") && value >= 0.0, "{line}");
                }
                for label in labels.into_iter().flat_map(|labels| labels.split("\",")) {
                    let (name, value) = label.split_once("=\"").unwrap_or_else(|| panic!("{line}: {label}"));
                    assert!(!name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_'));
                    assert!(!value.trim_end_matches('"').is_empty(), "{line}: an empty label");
                }
                assert!(series.insert(id.to_owned(), value).is_none(), "{line}: twice");
            }
        }
        let scrape = Self { series, declared };
        scrape.check_histograms();
        scrape
    }

    /// Buckets only grow, and the last holds everything.
    fn check_histograms(&self) {
        let mut buckets: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
        for (id, value) in &self.series {
            let Some((name, labels)) = id.split_once("_bucket{") else { continue };
            let (before, bound) = labels.trim_end_matches('}').split_once("le=\"").unwrap();
            let (bound, after) = bound.split_once('"').unwrap();
            let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().unwrap() };
            let labels = format!("{before}{after}");
            let labels = labels.trim_matches(',');
            let count =
                if labels.is_empty() { format!("{name}_count") } else { format!("{name}_count{{{labels}}}") };
            buckets.entry(count).or_default().push((bound, *value));
        }
        assert!(!buckets.is_empty());
        for (count, mut buckets) in buckets {
            buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
            assert!(buckets.is_sorted_by(|a, b| a.1 <= b.1), "{count}: {buckets:?}");
            assert_eq!(buckets.last().unwrap(), &(f64::INFINITY, self.value(&count)), "{count}");
        }
    }

    /// A series, `None` where it is absent.
    pub fn get(&self, series: &str) -> Option<f64> {
        self.series.get(series).copied()
    }

    /// A series that is there.
    pub fn value(&self, series: &str) -> f64 {
        self.get(series).unwrap_or_else(|| panic!("there is no {series} in {:#?}", self.series))
    }
}
