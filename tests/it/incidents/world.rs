//! Workers that crash, pause and race at every step, against the model of a store, a queue that redelivers,
//! and channels that lose answers. A seeded scheduler chooses who takes the next step; time is its own.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::task::noop_waker;
use jiff::Timestamp;
use misstep::incidents::schedule::Schedule;
use misstep::incidents::store::{
    EpisodeId, EpisodeState, FailureRow, IncidentTitle, InferredFailure, RecordedFailure, StoreError,
};
use misstep::incidents::{
    Announced, Announcement, Announcer, Claim, Incidents, LEASE, NewFailure, Standing, Verified,
};
use misstep::report::incident::{ExecutionRole, IncidentKind};

use crate::support::incident_store::{Mistake, ModelStore, Steps, step};

const ROUTES: [&str; 2] = ["developers", "assist"];
const VISIBILITY_TIMEOUT: u64 = 120;
const QUIET: u64 = 600;

/// A mistake of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slip {
    /// The message is deleted before anything is recorded.
    EarlyDelete,
    /// The message is deleted as soon as the failure is recorded.
    NoAlert,
    /// The state of the episode is not read again once the failure is recorded.
    NoReread,
    /// An inferred failure is settled although its history was not read.
    NoVerify,
    /// A withdrawn failure is settled before it is recorded in its own incident.
    EarlySettle,
    /// A failure is withdrawn from an episode although that is being notified of.
    WithdrawWhileSending,
}

/// What goes wrong in a world.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    pub crashes: bool,
    pub mistake: Option<Mistake>,
    pub slip: Option<Slip>,
    /// All failures look alike, whatever their bug.
    pub alike: bool,
}

/// What a run has shown.
#[derive(Debug, Default, Clone)]
pub struct Seen {
    pub broken: Vec<String>,
    pub failures: usize,
    pub notifications: usize,
    pub duplicates: usize,
    pub crashes: usize,
    pub pauses: usize,
    pub inferred: usize,
    pub moved: usize,
}

/// A failure, with what its history would say.
#[derive(Debug, Clone)]
struct Truth {
    failure: String,
    bug: String,
    routes: Vec<String>,
    /// What its event looks like; several bugs may look alike.
    pre_key: Option<String>,
}

struct Message {
    truth: Truth,
    visible_at: u64,
}

/// One notification that a route accepted, whether or not its answer arrived.
#[derive(Debug, Clone)]
struct Sent {
    episode: EpisodeId,
    number: u32,
    part: u32,
    route: String,
    kind: IncidentKind,
    count: u64,
    failures: Vec<String>,
}

struct State {
    random: fastrand::Rng,
    now: u64,
    crash: bool,
    calm: bool,
    arrivals: Vec<(u64, Truth)>,
    truths: BTreeMap<String, Truth>,
    inferred: usize,
    moved: usize,
    queue: BTreeMap<u64, Message>,
    next_message: u64,
    sent: Vec<Sent>,
    lost_answers: usize,
    store_faults: usize,
    broken: Vec<String>,
    idle: bool,
    muted: BTreeSet<String>,
}

/// The state of the world, shared by all workers of it.
#[derive(Clone)]
struct Shared(Arc<Mutex<State>>);

impl Shared {
    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }

    /// True with this probability, while things may go wrong.
    fn goes_wrong(&self, probability: f64) -> bool {
        self.with(|state| state.crash && !state.calm && state.random.f64() < probability)
    }
}

impl Steps for Shared {
    fn fails(&self) -> Option<bool> {
        if !self.goes_wrong(0.01) {
            return None;
        }
        self.with(|state| {
            state.store_faults += 1;
            Some(state.random.bool())
        })
    }
}

#[async_trait]
impl Announcer for Shared {
    /// In parts of three executions, each noted by itself.
    async fn announce(&self, announcement: &Announcement<'_>, claim: &mut Claim<'_>) -> Announced {
        step().await;
        if self.goes_wrong(0.03) {
            return Announced::Later(None);
        }
        if announcement.kind == IncidentKind::Update && self.goes_wrong(0.05) {
            return Announced::Rejected;
        }
        let failures: Vec<String> = announcement.failures.iter().map(|row| row.failure.clone()).collect();
        let mut named = announcement.executions as usize;
        let mut parts: Vec<&[String]> = failures[named..].chunks(3).collect();
        if parts.is_empty() && announcement.parts == 0 {
            parts.push(&[]);
        }
        for (part, executions) in (announcement.parts + 1..).zip(parts) {
            let sent = Sent {
                episode: announcement.episode.id.clone(),
                number: announcement.pending.number,
                part,
                route: announcement.route.to_owned(),
                kind: announcement.kind,
                count: announcement.pending.count,
                failures: executions.to_vec(),
            };
            self.with(|state| state.sent.push(sent));
            step().await;
            if self.goes_wrong(0.08) {
                self.with(|state| state.lost_answers += 1);
                return Announced::Later(None);
            }
            named += executions.len();
            if !claim.accepted(announcement.route, part, named as u32).await.unwrap_or(false) {
                return Announced::Later(None);
            }
        }
        Announced::Accepted
    }
}

async fn work(world: Shared, incidents: Incidents, slip: Option<Slip>) {
    loop {
        step().await;
        let received = world.with(|state| state.random.f64() < 0.6).then(|| receive(&world)).flatten();
        match received {
            Some((id, truth)) => {
                // A message whose handling failed comes back.
                let _comes_back = handle(&world, &incidents, slip, id, &truth).await;
            }
            None => {
                let due = incidents.due(10).await.unwrap_or_default();
                let some = due.into_iter().filter(|_| world.with(|state| state.random.f64() < 0.8));
                for episode in some.collect::<Vec<_>>() {
                    let _tried_again = incidents.advance(&episode, &world).await;
                }
                let _read_later = read_inferred(&world, &incidents, slip).await;
                world.with(|state| state.idle = true);
            }
        }
    }
}

/// Reads the histories of some failures that were inferred.
async fn read_inferred(world: &Shared, incidents: &Incidents, slip: Option<Slip>) -> Result<(), StoreError> {
    for inferred in incidents.inferred(5).await? {
        if world.with(|state| state.random.f64() < 0.3) {
            continue;
        }
        step().await;
        if slip == Some(Slip::NoVerify) {
            incidents.store().settle_inferred(&inferred, true).await?;
            continue;
        }
        let truth = world.with(|state| state.truths[&inferred.row.failure].clone());
        let actual = new_failure(&truth);
        let differs = inferred.episode.as_ref().is_some_and(|id| id.incident != truth.bug);
        if let Some(slip @ (Slip::EarlySettle | Slip::WithdrawWhileSending)) = slip.filter(|_| differs) {
            let id = inferred.episode.as_ref().unwrap();
            let Some(episode) = incidents.store().episode(id).await? else { continue };
            let waits = slip == Slip::EarlySettle && episode.pending.is_some();
            if waits || !incidents.store().withdraw(&inferred, episode.version).await? {
                continue;
            }
            let withdrawn = InferredFailure { episode: None, ..inferred };
            if slip == Slip::EarlySettle {
                incidents.store().settle_inferred(&withdrawn, true).await?;
                incidents.record(&actual).await?;
            } else {
                incidents.verify(&withdrawn, &actual).await?;
            }
            continue;
        }
        if let Verified::Moved(_) = incidents.verify(&inferred, &actual).await? {
            world.with(|state| state.moved += 1);
        }
    }
    Ok(())
}

fn receive(world: &Shared) -> Option<(u64, Truth)> {
    world.with(|state| {
        let now = state.now;
        let visible: Vec<u64> =
            state.queue.iter().filter(|(_, message)| message.visible_at <= now).map(|(id, _)| *id).collect();
        let id = *state.random.choice(&visible)?;
        let message = state.queue.get_mut(&id).unwrap();
        message.visible_at = now + VISIBILITY_TIMEOUT;
        Some((id, message.truth.clone()))
    })
}

async fn handle(
    world: &Shared,
    incidents: &Incidents,
    slip: Option<Slip>,
    id: u64,
    truth: &Truth,
) -> Result<(), StoreError> {
    if slip == Some(Slip::EarlyDelete) {
        delete(world, id, None);
    }
    let actual = new_failure(truth);
    let inferred = match &truth.pre_key {
        Some(pre_key) => incidents.infer(pre_key, &truth.failure, || actual.row.clone()).await?,
        None => None,
    };
    world.with(|state| state.inferred += usize::from(inferred.is_some()));
    let recorded = match incidents.find(&truth.failure).await?.or(inferred) {
        Some(recorded) => recorded,
        None => incidents.record(&actual).await?,
    };
    loop {
        if matches!(slip, Some(Slip::NoReread | Slip::NoAlert)) {
            break;
        }
        match incidents.standing(&recorded).await? {
            Standing::Settled => break,
            Standing::Rejected(route) => panic!("{route} rejects nothing"),
            Standing::Unalerted(_) => {
                incidents.advance(&recorded.episode, world).await?;
                if incidents.standing(&recorded).await? != Standing::Settled {
                    // Somebody else has it in hand, or a route did not answer: the message comes back.
                    return Ok(());
                }
            }
        }
    }
    step().await;
    // With this slip only the first failure's alert is asked for, not what the others find.
    let checked = (slip != Some(Slip::NoReread)).then_some(&recorded);
    delete(world, id, checked);
    Ok(())
}

/// Deletes a message, and looks whether it may be.
fn delete(world: &Shared, id: u64, recorded: Option<&RecordedFailure>) {
    world.with(|state| {
        state.queue.remove(&id);
        let Some(RecordedFailure { episode, routes }) = recorded else { return };
        for route in routes {
            let has_alert = state.sent.iter().any(|sent| sent.episode == *episode && sent.route == *route);
            if !has_alert && !state.muted.contains(&episode.incident) {
                state.broken.push(format!("{id} deleted, and {route} has no alert of {episode}"));
            }
        }
    });
}

fn new_failure(truth: &Truth) -> NewFailure {
    let Truth { failure, bug, routes, pre_key } = truth;
    NewFailure {
        incident: bug.clone(),
        about: IncidentTitle::default(),
        report: "{}".to_owned(),
        pre_key: pre_key.clone(),
        row: FailureRow {
            failure: failure.clone(),
            execution_arn: failure.clone(),
            ended_at: None,
            recorded_at: Timestamp::UNIX_EPOCH,
            keys: BTreeMap::new(),
            role: ExecutionRole::Cause,
            routes: routes.clone(),
            inferred_by: None,
            number: None,
        },
    }
}

fn arrivals(random: &mut fastrand::Rng, faults: Faults) -> Vec<(u64, Truth)> {
    let bugs = random.usize(1..=3);
    let mut arrivals = Vec::new();
    for failure in 0..random.usize(4..=22) {
        let spans =
            [0..51, 0..401, 500..901, 1_200..5_001, QUIET - 10..QUIET + 81, 2 * QUIET..2 * QUIET + 121];
        let span = random.choice(spans).unwrap();
        let at = random.u64(span);
        let routes = match random.u8(0..10) {
            _ if faults.alike => ROUTES.to_vec(),
            0 => vec![ROUTES[0]],
            1 => vec![ROUTES[1]],
            _ => ROUTES.to_vec(),
        };
        let routes: Vec<String> = routes.into_iter().map(str::to_owned).collect();
        let bug = random.usize(0..bugs);
        // The first two bugs look alike.
        let look = if faults.alike { 0 } else { bug / 2 };
        let pre_key = (faults.alike || random.f64() < 0.7).then(|| format!("look{look}"));
        let truth = Truth { failure: format!("x{failure}"), bug: format!("bug{bug}"), routes, pre_key };
        arrivals.push((at, truth.clone()));
        if faults.crashes && random.f64() < 0.2 {
            // EventBridge sent it twice.
            arrivals.push((at + random.u64(0..900), truth));
        }
    }
    arrivals.sort_by_key(|(at, ..)| Reverse(*at));
    arrivals
}

/// One world from its first failure until everything has come to rest.
pub fn run(seed: u64, faults: Faults) -> Seen {
    let mut random = fastrand::Rng::with_seed(seed);
    let arrivals = arrivals(&mut random, faults);
    let truths: BTreeMap<String, Truth> =
        arrivals.iter().map(|(_, truth)| (truth.failure.clone(), truth.clone())).collect();
    let workers = random.usize(1..=4);
    let storm = random.bool();
    let mute_at = (random.f64() < 0.2).then(|| random.u64(0..2_000));
    let world = Shared(Arc::new(Mutex::new(State {
        random,
        now: 0,
        crash: faults.crashes,
        calm: false,
        arrivals,
        truths: truths.clone(),
        inferred: 0,
        moved: 0,
        queue: BTreeMap::new(),
        next_message: 0,
        sent: Vec::new(),
        lost_answers: 0,
        store_faults: 0,
        broken: Vec::new(),
        idle: false,
        muted: BTreeSet::new(),
    })));
    let store = ModelStore::new(Arc::new(world.clone()), faults.mistake);
    let seconds = Duration::from_secs;
    let schedule = Schedule {
        ladder: [60, 300, 900, 3_600].map(seconds).to_vec(),
        quiet: seconds(QUIET),
        reopen: seconds(100),
        keep: seconds(90 * 86_400),
        agreeing: Some(1),
    };
    let clocked = world.clone();
    let clock = Arc::new(move || Timestamp::from_second(clocked.with(|state| state.now) as i64).unwrap());
    let incidents = Incidents::with_clock(Arc::new(store.clone()), schedule, clock);
    let worker = || -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(work(world.clone(), incidents.clone(), faults.slip))
    };
    let mut futures: Vec<_> = (0..workers).map(|_| worker()).collect();
    let mut muting: Option<Pin<Box<dyn Future<Output = ()>>>> = mute_at.map(|_| {
        let (world, incidents) = (world.clone(), incidents.clone());
        let muting: Pin<Box<dyn Future<Output = ()>>> = Box::pin(async move {
            world.with(|state| state.muted.insert("bug0".to_owned()));
            drop(incidents.mute("bug0", Duration::from_secs(900), "a test", "why").await);
        });
        muting
    });
    let (mut asleep, mut idle) = (vec![0; workers], vec![false; workers]);
    let mut seen = Seen { failures: truths.len(), ..Seen::default() };
    let context_waker = noop_waker();
    for steps in 0.. {
        if steps > 600_000 {
            seen.broken.push(format!("does not come to rest: {:?}", store.episodes()));
            return seen;
        }
        let (who, now) = world.with(|state| {
            while state.arrivals.last().is_some_and(|(at, ..)| *at <= state.now) {
                let (at, truth) = state.arrivals.pop().unwrap();
                let message = Message { truth, visible_at: at };
                state.queue.insert(state.next_message, message);
                state.next_message += 1;
            }
            state.calm = state.now > 6_000;
            (state.random.usize(0..workers), state.now)
        });
        let context = &mut Context::from_waker(&context_waker);
        let is_due = mute_at.is_some_and(|at| now >= at);
        if let Some(mute) = muting.as_mut().filter(|_| is_due)
            && mute.as_mut().poll(context).is_ready()
        {
            muting = None;
        }
        if asleep[who] <= now {
            world.with(|state| state.idle = false);
            assert!(matches!(futures[who].as_mut().poll(context), Poll::Pending), "a worker never ends");
            idle[who] = world.with(|state| state.idle);
            if world.goes_wrong(0.02) {
                futures[who] = worker();
                seen.crashes += 1;
                asleep[who] = now + world.with(|state| state.random.u64(1..=90));
            } else if world.goes_wrong(0.01) {
                seen.pauses += 1;
                asleep[who] = now + world.with(|state| state.random.u64(1..=3 * LEASE.as_secs()));
            }
            world.with(|state| {
                // Without faults nobody is kept waiting so long that another takes over.
                let may_pass = faults.crashes || idle.iter().all(|idle| *idle);
                let probability = match (idle[who], faults.crashes, storm) {
                    (true, ..) => 0.25,
                    (_, false, _) => 0.0,
                    (_, _, true) => 0.1,
                    _ => 0.03,
                };
                if may_pass && state.random.f64() < probability {
                    let pauses: [u64; 4] = if idle[who] { [1, 5, 20, 60] } else { [1, 1, 2, 5] };
                    state.now += state.random.choice(pauses).unwrap();
                }
            });
        } else {
            world.with(|state| state.now += 1);
        }
        let done = world.with(|state| state.calm && state.arrivals.is_empty() && state.queue.is_empty());
        let is_read = store.inferred_failures() == 0;
        if done && is_read && store.episodes().iter().all(|episode| episode.state == EpisodeState::Resolved) {
            break;
        }
    }
    world.with(|state| check(state, &store, &truths, &mut seen));
    seen
}

fn check(state: &State, store: &ModelStore, truths: &BTreeMap<String, Truth>, seen: &mut Seen) {
    let mut broken = state.broken.clone();
    (seen.inferred, seen.moved) = (state.inferred, state.moved);
    let rows = store.rows();
    for failure in truths.keys().filter(|failure| !rows.iter().any(|(_, row)| row.failure == **failure)) {
        broken.push(format!("{failure} was never recorded"));
    }
    for (episode, row) in &rows {
        let bug = &truths[&row.failure].bug;
        if episode.incident != *bug {
            broken.push(format!("{} is of {bug}, and stays in {episode}", row.failure));
        }
        for route in &row.routes {
            let of = |sent: &&Sent| sent.episode == *episode && sent.route == *route;
            let names = state.sent.iter().filter(of).any(|sent| sent.failures.contains(&row.failure));
            if !names {
                broken.push(format!("{} of {episode} was never named to {route}", row.failure));
            }
            if !state.sent.iter().filter(of).any(|sent| sent.kind == IncidentKind::Resolved) {
                broken.push(format!("{route} has no resolve of {episode}"));
            }
        }
    }
    let mut notifications: BTreeMap<(EpisodeId, String, u32, u32), Vec<&Sent>> = BTreeMap::new();
    for sent in &state.sent {
        let key = (sent.episode.clone(), sent.route.clone(), sent.number, sent.part);
        notifications.entry(key).or_default().push(sent);
    }
    let excused = seen.crashes + seen.pauses + state.lost_answers + state.store_faults > 0;
    let mut last: Option<(&EpisodeId, &str, u64)> = None;
    for ((episode, route, number, _), sent) in &notifications {
        let content = |sent: &Sent| (sent.kind, sent.count, sent.failures.clone());
        if sent.iter().any(|other| content(other) != content(sent[0])) {
            broken.push(format!("{episode} {route} {number}: one key, several contents: {sent:?}"));
        }
        if sent.len() > 1 && !excused {
            broken.push(format!("{episode} {route} {number}: sent {} times without a reason", sent.len()));
        }
        let withdrawn = store.withdrawn(episode);
        let size = rows.iter().filter(|(its, _)| its == episode).count() as u64 + withdrawn;
        if sent[0].count > size {
            broken.push(format!("{episode} {route} {number}: {} counted of {size}", sent[0].count));
        }
        let before = last.filter(|(its, at, _)| *its == episode && at == route);
        let is_first = before.is_none();
        if before.is_some_and(|(_, _, count)| sent[0].count + withdrawn < count) {
            broken.push(format!("{episode} {route} {number}: the count goes back"));
        }
        if is_first && sent[0].kind == IncidentKind::Update {
            broken.push(format!("{episode} {route} {number}: begins with an update"));
        }
        last = Some((episode, route, sent[0].count));
    }
    seen.duplicates = notifications.values().map(|sent| sent.len() - 1).sum();
    seen.notifications = notifications.len();
    seen.broken = broken;
}
