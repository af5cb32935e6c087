//! From events and what must come before what to one history: an order, ids and timestamps.
//!
//! Branches that run at once leave many orders possible. The seed picks one of them: sometimes a
//! branch runs on for a while, sometimes every event comes from another branch.

use serde_json::{Map, Value, json};

/// Stands around the number of an event in a text that speaks of its id, before ids are known.
pub(super) const MARK: char = '\u{e000}';

/// When every history starts, in milliseconds: 2026-03-01T12:00:00Z.
pub(super) const START_MS: i64 = 1_772_366_400_000;

/// An event, before it has an id.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) kind: String,
    pub(super) details: Option<Map<String, Value>>,
    pub(super) prev: Prev,
    /// What must have been written before, besides what `prev` speaks of.
    pub(super) after: Vec<usize>,
    pub(super) pace: Pace,
}

/// What `previousEventId` says.
#[derive(Debug, Clone)]
pub(super) enum Prev {
    Zero,
    Event(usize),
    /// Whichever of these was written last.
    Last(Vec<usize>),
    /// What that event says itself.
    SameAs(usize),
}

/// How long an event takes to come.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pace {
    Soon,
    /// After some work.
    Work,
    /// Not before so many milliseconds after another event.
    After(usize, i64),
    /// At a whole second after the start.
    OnTheSecond,
}

/// Splitmix64: small, and the same everywhere.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// True in `percent` of a hundred cases.
    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// The events in their order, and each node's id.
pub(super) struct Line {
    pub(super) events: Vec<Value>,
    pub(super) ids: Vec<u64>,
}

/// Puts the nodes into one of their possible orders.
pub(super) fn up(nodes: Vec<Node>, random: &mut Random) -> Line {
    let order = order(&nodes, random);
    let mut ids = vec![0; nodes.len()];
    for (at, node) in order.iter().enumerate() {
        ids[*node] = at as u64 + 1;
    }
    let previous = previous(&nodes, &order, &ids);
    let mut times = vec![START_MS; nodes.len()];
    let mut clock = START_MS + 20;
    let mut nodes: Vec<Option<Node>> = nodes.into_iter().map(Some).collect();
    let mut events = Vec::with_capacity(order.len());
    for at in order {
        let node = nodes[at].take().expect("every node comes once");
        clock = time(node.pace, clock, &times, random);
        times[at] = clock;
        events.push(event(node, ids[at], previous[at], clock, &ids));
    }
    Line { events, ids }
}

/// Puts ids in the place of the marks in a text.
pub(super) fn with_ids(text: &str, ids: &[u64]) -> String {
    if !text.contains(MARK) {
        return text.to_owned();
    }
    let mut parts = text.split(MARK);
    let mut said = parts.next().unwrap_or_default().to_owned();
    while let (Some(node), Some(rest)) = (parts.next(), parts.next()) {
        let node: usize = node.parse().expect("a mark stands around a node's number");
        said.push_str(&ids[node].to_string());
        said.push_str(rest);
    }
    said
}

/// A topological order, one of the free nodes after the other.
fn order(nodes: &[Node], random: &mut Random) -> Vec<usize> {
    let mut waits_for = vec![0_usize; nodes.len()];
    let mut frees: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    for (at, node) in nodes.iter().enumerate() {
        let previous: &[usize] = match &node.prev {
            Prev::Zero => &[],
            Prev::Event(previous) | Prev::SameAs(previous) => std::slice::from_ref(previous),
            Prev::Last(all) => all,
        };
        for before in previous.iter().chain(&node.after) {
            waits_for[at] += 1;
            frees[*before].push(at);
        }
    }
    let mut free: Vec<usize> = (0..nodes.len()).filter(|at| waits_for[*at] == 0).collect();
    let runs_on = [0, 50, 90][random.below(3)];
    let mut order = Vec::with_capacity(nodes.len());
    while !free.is_empty() {
        let pick = if random.chance(runs_on) { free.len() - 1 } else { random.below(free.len()) };
        let node = free.swap_remove(pick);
        order.push(node);
        for next in &frees[node] {
            waits_for[*next] -= 1;
            if waits_for[*next] == 0 {
                free.push(*next);
            }
        }
    }
    assert_eq!(order.len(), nodes.len(), "events wait for each other in a circle");
    order
}

fn previous(nodes: &[Node], order: &[usize], ids: &[u64]) -> Vec<u64> {
    let mut previous = vec![0; nodes.len()];
    for at in order {
        previous[*at] = match &nodes[*at].prev {
            Prev::Zero => 0,
            Prev::Event(event) => ids[*event],
            Prev::Last(all) => all.iter().map(|event| ids[*event]).max().unwrap_or_default(),
            Prev::SameAs(event) => previous[*event],
        };
    }
    previous
}

fn time(pace: Pace, clock: i64, times: &[i64], random: &mut Random) -> i64 {
    match pace {
        Pace::Soon => clock + [0, 0, 1, 4][random.below(4)],
        Pace::Work => clock + 5 + random.below(90) as i64,
        Pace::After(event, ms) => clock.max(times[event] + ms) + random.below(3) as i64,
        Pace::OnTheSecond => clock + 1000 - (clock - START_MS) % 1000,
    }
}

fn event(node: Node, id: u64, previous: u64, time: i64, ids: &[u64]) -> Value {
    let timestamp = jiff::Timestamp::from_millisecond(time).expect("within the calendar");
    let mut event = Map::new();
    event.insert("timestamp".into(), json!(timestamp.strftime("%Y-%m-%dT%H:%M:%S%.3f+00:00").to_string()));
    event.insert("type".into(), json!(node.kind));
    event.insert("id".into(), json!(id));
    event.insert("previousEventId".into(), json!(previous));
    if let Some(mut details) = node.details {
        for value in details.values_mut() {
            if let Value::String(text) = value
                && text.contains(MARK)
            {
                *text = with_ids(text, ids);
            }
        }
        event.insert(details_key(&node.kind), Value::Object(details));
    }
    Value::Object(event)
}

/// `TaskFailed` has `taskFailedEventDetails`; all states share those of entering and leaving.
fn details_key(kind: &str) -> String {
    if kind.ends_with("StateEntered") {
        return "stateEnteredEventDetails".to_owned();
    }
    if kind.ends_with("StateExited") {
        return "stateExitedEventDetails".to_owned();
    }
    let (first, rest) = kind.split_at(1);
    format!("{}{rest}EventDetails", first.to_lowercase())
}
