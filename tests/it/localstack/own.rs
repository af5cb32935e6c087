//! A LocalStack of a test's own, which can be stopped and started while the others' goes on.

use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};

/// What a command that `localstack.py run` starts has to say before it waits for the end of its input.
const VARIABLES: [&str; 3] = ["MISSTEP_TEST_LOCALSTACK", "MISSTEP_TEST_PYTHON", "MISSTEP_TEST_MOCKS"];

/// A running LocalStack. Without its input, which ends with this, it stops and puts its things away.
pub struct Own {
    child: Child,
    input: ChildStdin,
    /// What a program needs in its environment to find it.
    pub variables: Vec<(String, String)>,
}

impl Own {
    /// Starts one on this port.
    pub async fn start(port: u16) -> Self {
        let python =
            std::env::var("MISSTEP_TEST_PYTHON").expect("`make test` names the Python of LocalStack");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("localstack/localstack.py");
        let say = VARIABLES.map(|name| format!("\"${name}\"")).join(" ");
        let mut child = Command::new(python)
            .arg(script)
            .args(["run", "--port", &port.to_string(), "--", "sh", "-c"])
            .arg(format!("printf '%s\\n' {say}; exec cat"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().expect("it is piped");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let mut variables = Vec::new();
        for name in VARIABLES {
            let value = lines.next_line().await.unwrap().expect("LocalStack starts");
            variables.push((name.to_owned(), value));
        }
        variables.push(("AWS_ENDPOINT_URL".to_owned(), variables[0].1.clone()));
        Self { child, input, variables }
    }

    /// Stops it, with all that it kept in memory.
    pub async fn stop(self) {
        let Self { mut child, input, .. } = self;
        drop(input);
        let status = child.wait().await.unwrap();
        assert!(status.success(), "localstack.py ended with {status}");
    }
}

/// A port that nobody uses at the moment.
pub fn free_port() -> u16 {
    let probe = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    probe.local_addr().expect("a bound socket has an address").port()
}
