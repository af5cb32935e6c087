//! A notification API for tests: it keeps every request and answers as the test says.
//!
//! A request is kept once its body has arrived whole, before it is answered. Answers are taken in
//! the order in which they were given, one a request; without one left, the answer is 204.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use tokio::sync::{oneshot, watch};

use crate::support::loopback::{Line, Loopback, endless, half};

/// How long anything is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// The API.
#[derive(Debug)]
pub(crate) struct Receiver {
    /// Where notifications go.
    pub(crate) url: String,
    shared: Arc<Shared>,
    _server: Loopback,
}

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Received {
    /// A header's text, if it came.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }
}

/// How one request is answered.
#[derive(Debug)]
pub(crate) enum Answer {
    /// With a status, headers and a body.
    Status(u16, Vec<(&'static str, String)>, &'static str),
    /// Like another one, but not before its gate opens. A gate that is dropped opens too.
    Held(oneshot::Receiver<()>, Box<Self>),
    /// The connection is reset.
    Reset,
    /// The answer breaks off in its body.
    Half(u16),
    /// The answer's body never ends.
    Endless(u16),
    /// Nothing, ever.
    Silence,
}

impl Answer {
    pub(crate) fn status(status: u16) -> Self {
        Self::Status(status, Vec::new(), "")
    }

    /// With a header more.
    pub(crate) fn header(mut self, name: &'static str, value: impl ToString) -> Self {
        match &mut self {
            Self::Status(_, headers, _) => headers.push((name, value.to_string())),
            other => panic!("{other:?} has no headers"),
        }
        self
    }

    /// With a body.
    pub(crate) fn body(mut self, text: &'static str) -> Self {
        match &mut self {
            Self::Status(_, _, body) => *body = text,
            other => panic!("{other:?} has no body of the test's"),
        }
        self
    }

    /// The same, when the returned gate opens.
    pub(crate) fn held(self) -> (oneshot::Sender<()>, Self) {
        let (gate, opened) = oneshot::channel();
        (gate, Self::Held(opened, Box::new(self)))
    }
}

type Answering = dyn FnMut(&Received) -> Option<Answer> + Send;

/// What a test says of some requests.
struct Rule {
    applies: Box<dyn Fn(&Received) -> bool + Send>,
    answers: Box<Answering>,
    /// What comes when the answers are used up; `None` passes on to the next rule.
    then: Option<u16>,
}

struct Shared {
    rules: Mutex<Vec<Rule>>,
    received: watch::Sender<Vec<Received>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("received", &self.received.borrow().len()).finish_non_exhaustive()
    }
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let shared = Arc::new(Shared { rules: Mutex::default(), received: watch::Sender::new(Vec::new()) });
        let router = Router::new().fallback(answer).with_state(shared.clone());
        // What a test sends may be as large as it likes.
        let router = router.layer(axum::extract::DefaultBodyLimit::disable());
        let server = Loopback::serve(router).await;
        Self { url: format!("{}/notify", server.url), shared, _server: server }
    }

    /// The next requests are answered so.
    pub(crate) fn answer(&self, answers: impl IntoIterator<Item = Answer>) {
        self.rule(|_| true, answers, None);
    }

    /// All requests from now on are answered with a status, as far as no other answer is left.
    pub(crate) fn always(&self, status: u16) {
        self.rule(|_| true, [], Some(status));
    }

    /// The next requests of a kind are answered so. Of several kinds that a request is of, the one
    /// named first counts.
    pub(crate) fn answer_when(
        &self,
        applies: impl Fn(&Received) -> bool + Send + 'static,
        answers: impl IntoIterator<Item = Answer>,
    ) {
        self.rule(applies, answers, None);
    }

    /// All requests of a kind are answered with a status.
    pub(crate) fn always_when(&self, applies: impl Fn(&Received) -> bool + Send + 'static, status: u16) {
        self.rule(applies, [], Some(status));
    }

    /// Whatever comes is answered as this says, as far as it says anything.
    pub(crate) fn answer_by(&self, answers: impl FnMut(&Received) -> Option<Answer> + Send + 'static) {
        self.push(Rule { applies: Box::new(|_| true), answers: Box::new(answers), then: None });
    }

    /// Takes back every answer that was not given yet.
    pub(crate) fn recover(&self) {
        self.shared.rules.lock().expect("no test panics with the rules in hand").clear();
    }

    /// Everything that came so far, in the order of arrival.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.received.borrow().clone()
    }

    /// Waits until so many requests have come, and returns all that came. Panics after 20 seconds.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Received> {
        match self.wait_until(PATIENCE, |received| received.len() >= count).await {
            Some(received) => received,
            None => panic!("only {} of {count} requests came", self.received().len()),
        }
    }

    /// Waits until what came is enough, and returns all that came; `None` if it is not in time.
    pub(crate) async fn wait_until(
        &self,
        patience: Duration,
        mut enough: impl FnMut(&[Received]) -> bool,
    ) -> Option<Vec<Received>> {
        let mut received = self.shared.received.subscribe();
        let enough = received.wait_for(|received| enough(received));
        let received = tokio::time::timeout(patience, enough).await.ok()?;
        Some(received.expect("the receiver is alive").clone())
    }

    fn rule(
        &self,
        applies: impl Fn(&Received) -> bool + Send + 'static,
        answers: impl IntoIterator<Item = Answer>,
        then: Option<u16>,
    ) {
        let mut answers: VecDeque<Answer> = answers.into_iter().collect();
        self.push(Rule { applies: Box::new(applies), answers: Box::new(move |_| answers.pop_front()), then });
    }

    fn push(&self, rule: Rule) {
        self.shared.rules.lock().expect("no test panics with the rules in hand").push(rule);
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(line): ConnectInfo<Line>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let received = Received { method, path: uri.path().to_owned(), headers, body };
    let answer = {
        let mut rules = shared.rules.lock().expect("no test panics with the rules in hand");
        // The answer belongs to the request before another can come.
        let answer = next(&mut rules, &received);
        shared.received.send_modify(|all| all.push(received));
        answer
    };
    give(answer, &line).await
}

fn next(rules: &mut [Rule], received: &Received) -> Answer {
    let scripted = rules.iter_mut().filter(|rule| (rule.applies)(received));
    let mut then = None;
    for rule in scripted {
        if let Some(answer) = (rule.answers)(received) {
            return answer;
        }
        then = then.or(rule.then);
    }
    Answer::status(then.unwrap_or(204))
}

async fn give(answer: Answer, line: &Line) -> Response {
    let mut answer = answer;
    while let Answer::Held(gate, then) = answer {
        // A dropped gate opens as well: the test is over.
        let _ = gate.await;
        answer = *then;
    }
    let code = |status: u16| StatusCode::from_u16(status).expect("a status code");
    match answer {
        Answer::Status(status, headers, body) => {
            let mut response = (code(status), body).into_response();
            for (name, value) in headers {
                response.headers_mut().insert(name, value.parse().expect("a header's value"));
            }
            response
        }
        Answer::Reset => line.reset(),
        Answer::Half(status) => half(code(status), "{\"half\":"),
        Answer::Endless(status) => endless(code(status)),
        Answer::Silence => std::future::pending().await,
        Answer::Held(..) => unreachable!("the loop above opened it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> reqwest::Client {
        reqwest::Client::builder().no_proxy().build().unwrap()
    }

    #[tokio::test]
    async fn requests_are_kept_as_they_came() {
        let receiver = Receiver::start().await;
        let sent = client().post(&receiver.url).header("Idempotency-Key", "k-1").body(r#"{"a": 1}"#);
        assert_eq!(sent.send().await.unwrap().status(), 204);
        let received = receiver.wait_for(1).await;
        assert_eq!((received[0].method.as_str(), received[0].path.as_str()), ("POST", "/notify"));
        assert_eq!(received[0].header("idempotency-key"), Some("k-1"));
        assert_eq!(received[0].body, r#"{"a": 1}"#);
        assert_eq!(received[0].json()["a"], 1);
        assert_eq!(received[0].header("x-other"), None);
    }

    #[tokio::test]
    async fn a_large_body_arrives_whole() {
        let receiver = Receiver::start().await;
        client().post(&receiver.url).body(vec![b'x'; 5 << 20]).send().await.unwrap();
        assert_eq!(receiver.received()[0].body.len(), 5 << 20);
    }

    #[tokio::test]
    async fn answers_come_in_the_order_given() {
        let receiver = Receiver::start().await;
        receiver.answer([Answer::status(503).header("retry-after", 2), Answer::status(400).body("no")]);
        let post = || client().post(&receiver.url).send();
        let busy = post().await.unwrap();
        assert_eq!((busy.status().as_u16(), &busy.headers()["retry-after"]), (503, &"2".parse().unwrap()));
        assert_eq!(post().await.unwrap().text().await.unwrap(), "no");
        assert_eq!(post().await.unwrap().status(), 204);
        receiver.always(500);
        assert_eq!(post().await.unwrap().status(), 500);
        receiver.recover();
        assert_eq!(post().await.unwrap().status(), 204);
    }

    #[tokio::test]
    async fn kinds_of_requests_have_answers_of_their_own() {
        let receiver = Receiver::start().await;
        let is = |kind: &'static str| move |received: &Received| received.json()["emailType"] == kind;
        receiver.answer_when(is("A"), [Answer::status(429)]);
        receiver.always_when(is("B"), 401);
        let post = |kind| client().post(&receiver.url).body(format!(r#"{{"emailType": "{kind}"}}"#)).send();
        let mut statuses = Vec::new();
        for kind in ["B", "A", "A", "B", "C"] {
            statuses.push(post(kind).await.unwrap().status().as_u16());
        }
        assert_eq!(statuses, [401, 429, 204, 401, 204]);
    }

    #[tokio::test]
    async fn a_held_answer_comes_when_its_gate_opens() {
        let receiver = Receiver::start().await;
        let (gate, answer) = Answer::status(201).held();
        receiver.answer([answer]);
        let sent = tokio::spawn(client().post(&receiver.url).send());
        receiver.wait_for(1).await;
        assert!(!sent.is_finished());
        gate.send(()).unwrap();
        assert_eq!(sent.await.unwrap().unwrap().status(), 201);
    }

    #[tokio::test]
    async fn connections_break_in_every_way() {
        let receiver = Receiver::start().await;
        receiver.answer([Answer::Reset, Answer::Half(200), Answer::Endless(200), Answer::Silence]);
        let post = || client().post(&receiver.url).timeout(Duration::from_millis(300)).send();
        let reset = post().await.unwrap_err();
        assert!(!reset.is_timeout(), "{reset:?}");
        assert!(format!("{reset:?}").contains("ConnectionReset"), "{reset:?}");
        let half = post().await.unwrap();
        assert_eq!(half.status(), 200);
        assert!(!half.text().await.unwrap_err().is_timeout());
        let mut endless = post().await.unwrap();
        let mut read = 0;
        while read < 1 << 20 {
            read += endless.chunk().await.unwrap().unwrap().len();
        }
        drop(endless);
        assert!(post().await.unwrap_err().is_timeout());
        // After all of that it still works.
        assert_eq!(post().await.unwrap().status(), 204);
        assert_eq!(receiver.received().len(), 5);
    }
}
