//! A gate on 127.0.0.1 before another server there: while it is shut, nobody gets through.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// Leads every connection on to another port, until it is shut.
pub(crate) struct Gate {
    address: SocketAddr,
    leads_to: SocketAddr,
    passing: Option<JoinHandle<()>>,
}

impl Gate {
    /// An open gate before `http://HOST:PORT`.
    pub(crate) async fn before(endpoint: &str) -> Self {
        let leads_to = endpoint.trim_start_matches("http://").parse().expect("an endpoint with its port");
        let listener = listen("127.0.0.1:0".parse().expect("an address"));
        let address = listener.local_addr().expect("a bound socket has an address");
        Self { address, leads_to, passing: Some(tokio::spawn(pass(listener, leads_to))) }
    }

    /// What to call in place of the endpoint.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Cuts what is open and refuses what comes.
    pub(crate) async fn shut(&mut self) {
        if let Some(passing) = self.passing.take() {
            passing.abort();
            // Once it is over, the port is closed, and so is every connection.
            let _cancelled = passing.await;
        }
    }

    /// Lets everybody through again, on the same port.
    pub(crate) fn open(&mut self) {
        self.passing = Some(tokio::spawn(pass(listen(self.address), self.leads_to)));
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if let Some(passing) = &self.passing {
            passing.abort();
        }
    }
}

/// Also on a port whose connections were cut a moment ago.
fn listen(address: SocketAddr) -> TcpListener {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("an option that every system has");
    socket.bind(address).expect("nobody else takes the port");
    socket.listen(1024).expect("a bound socket")
}

async fn pass(listener: TcpListener, leads_to: SocketAddr) {
    // Dropped with this task, and every connection with it.
    let mut connections = JoinSet::new();
    loop {
        let (mut inner, _) = listener.accept().await.expect("the listener goes on");
        connections.spawn(async move {
            if let Ok(mut outer) = TcpStream::connect(leads_to).await {
                // Either side may break off at any time.
                let _ended = tokio::io::copy_bidirectional(&mut inner, &mut outer).await;
            }
        });
        while connections.try_join_next().is_some() {}
    }
}
