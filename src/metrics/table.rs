//! The table of metrics: declaring one adds its row and registers it.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

use super::label::{Label, OTHER, Values};

/// A number that goes up and down.
pub(super) type FloatGauge = Gauge<f64, std::sync::atomic::AtomicU64>;

/// A number that may be unknown, and is not there then.
#[derive(Debug, Clone, Default)]
pub(super) struct OptionalGauge(Arc<Mutex<Option<f64>>>);

/// Labels with their values.
type Labelled<const N: usize> = [(&'static str, Cow<'static, str>); N];

/// What kind of metric it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MetricKind {
    Counter,
    Gauge,
    Histogram,
}

/// One metric as it was declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MetricRow {
    pub(super) name: &'static str,
    pub(super) kind: MetricKind,
    pub(super) help: &'static str,
    pub(super) labels: Vec<Label>,
}

/// The rows so far, and where their metrics are registered.
#[derive(Default)]
pub(super) struct MetricTable {
    pub(super) rows: Vec<MetricRow>,
    pub(super) registry: Registry,
}

/// One metric for each combination of its labels' values.
pub(super) struct Labels<M, const N: usize, C = fn() -> M> {
    labels: [Label; N],
    family: Family<Labelled<N>, M, C>,
}

pub(super) type Counters<const N: usize> = Labels<Counter, N>;
pub(super) type Gauges<const N: usize> = Labels<FloatGauge, N>;
pub(super) type Histograms<const N: usize> = Labels<Histogram, N>;

impl OptionalGauge {
    pub(super) fn set(&self, number: Option<f64>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = number;
    }

    fn get(&self) -> Option<f64> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EncodeMetric for OptionalGauge {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        self.get().map_or(Ok(()), |number| encoder.encode_gauge(&number))
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }

    fn is_empty(&self) -> bool {
        self.get().is_none()
    }
}

impl MetricTable {
    pub(super) fn counter(&mut self, name: &'static str, help: &'static str) -> Counter {
        self.add(name, MetricKind::Counter, help, &[], Counter::default())
    }

    pub(super) fn gauge(&mut self, name: &'static str, help: &'static str) -> FloatGauge {
        self.add(name, MetricKind::Gauge, help, &[], FloatGauge::default())
    }

    pub(super) fn reading(&mut self, name: &'static str, help: &'static str) -> OptionalGauge {
        self.add(name, MetricKind::Gauge, help, &[], OptionalGauge::default())
    }

    pub(super) fn histogram(&mut self, name: &'static str, help: &'static str, buckets: &[f64]) -> Histogram {
        self.add(name, MetricKind::Histogram, help, &[], Histogram::new(buckets.iter().copied()))
    }

    pub(super) fn counters<const N: usize>(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: [Label; N],
    ) -> Counters<N> {
        let counters = self.labelled(name, MetricKind::Counter, help, labels, Counter::default);
        // Zeros from the start, where one label says it all: a rate needs the value before the first.
        if let [Label { values: Values::Listed(values), .. }] = labels.as_slice() {
            for value in *values {
                let _from_now_on = counters.with([value; N]).get();
            }
        }
        counters
    }

    pub(super) fn gauges<const N: usize>(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: [Label; N],
    ) -> Gauges<N> {
        self.labelled(name, MetricKind::Gauge, help, labels, FloatGauge::default)
    }

    pub(super) fn histograms<const N: usize>(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: [Label; N],
        one: fn() -> Histogram,
    ) -> Histograms<N> {
        self.labelled(name, MetricKind::Histogram, help, labels, one)
    }

    fn labelled<M, const N: usize>(
        &mut self,
        name: &'static str,
        kind: MetricKind,
        help: &'static str,
        labels: [Label; N],
        one: fn() -> M,
    ) -> Labels<M, N>
    where
        M: Clone + 'static,
        Family<Labelled<N>, M, fn() -> M>: Metric,
    {
        let family = Family::new_with_constructor(one);
        Labels { family: self.add(name, kind, help, &labels, family), labels }
    }

    fn add<M: Metric + Clone>(
        &mut self,
        name: &'static str,
        kind: MetricKind,
        help: &'static str,
        labels: &[Label],
        metric: M,
    ) -> M {
        // The exposition appends what belongs to a counter's name.
        self.registry.register(name.trim_end_matches("_total"), help, metric.clone());
        self.rows.push(MetricRow { name, kind, help, labels: labels.to_vec() });
        metric
    }
}

impl<M: Clone, C: MetricConstructor<M>, const N: usize> Labels<M, N, C> {
    /// The metric with these values of its labels, in their order.
    pub(super) fn with(&self, values: [&str; N]) -> M {
        self.family.get_or_create_owned(&self.labelled(values))
    }

    fn labelled(&self, values: [&str; N]) -> Labelled<N> {
        std::array::from_fn(|index| {
            let Label { name, values: allowed } = self.labels[index];
            let value = match allowed {
                Values::Listed(listed) => {
                    let listed = listed.iter().find(|listed| **listed == values[index]);
                    Cow::Borrowed(listed.copied().unwrap_or(OTHER))
                }
                Values::Named(_) => Cow::Owned(values[index].to_owned()),
            };
            (name, value)
        })
    }
}

impl<const N: usize> Gauges<N> {
    /// Sets the gauge with these values of its labels; `None` takes it out of what is scraped.
    pub(super) fn set(&self, values: [&str; N], number: Option<f64>) {
        match number {
            Some(number) => {
                self.with(values).set(number);
            }
            None => {
                self.family.remove(&self.labelled(values));
            }
        }
    }
}
