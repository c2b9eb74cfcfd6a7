//! A server that sends exactly the given bytes and records the requests.

use std::future::Future;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A running server. It stops when dropped.
pub(super) struct RawServer {
    port: u16,
    received: Arc<Mutex<Vec<String>>>,
    accepting: JoinHandle<()>,
}

impl RawServer {
    /// Sends these bytes in response to every request and closes the connection.
    pub(super) async fn responding(response: impl Into<Vec<u8>>) -> Self {
        let response: Arc<Vec<u8>> = Arc::new(response.into());
        Self::with_handler(move |mut stream| {
            let response = Arc::clone(&response);
            async move {
                drop(stream.write_all(&response).await);
                drop(stream.shutdown().await);
            }
        })
        .await
    }

    /// Passes every connection to a handler after the request's head and body have been read.
    pub(super) async fn with_handler<F, W>(handler: F) -> Self
    where
        F: Fn(TcpStream) -> W + Send + Sync + 'static,
        W: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let received = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&received);
        let handler = Arc::new(handler);
        let accepting = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (record, handler) = (Arc::clone(&record), Arc::clone(&handler));
                tokio::spawn(async move {
                    let number = {
                        let mut received = record.lock().unwrap();
                        received.push(String::new());
                        received.len() - 1
                    };
                    let request = read_request(&mut stream).await;
                    record.lock().unwrap()[number] = request;
                    handler(stream).await;
                });
            }
        });
        Self { port, received, accepting }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The request of each connection in lower case; empty for a connection without a request.
    pub(super) fn requests(&self) -> Vec<String> {
        self.received.lock().unwrap().clone()
    }
}

impl Drop for RawServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
            if body.len() >= length {
                return text;
            }
        }
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return String::new(),
            Ok(count) => bytes.extend_from_slice(&chunk[..count]),
        }
    }
}
