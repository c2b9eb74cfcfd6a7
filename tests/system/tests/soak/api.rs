//! An API with a large response, and endpoints that never respond.

use std::net::SocketAddr;

use axum::Router;
use axum::routing::{any, get};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The size of the large response: the limit of runs.
const LARGE: usize = 1024 * 1024;

/// A running API. It ends with this value.
pub(crate) struct Api {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Api {
    pub(crate) async fn start() -> Self {
        let router = Router::new()
            .route("/me", get(async || axum::Json(serde_json::json!({ "account": "alice" }))))
            .route("/large", get(async || vec![b'x'; LARGE]))
            .fallback(any(async || std::future::pending::<()>().await));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, task }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// The URL of a path. Every path but `/me` and `/large` hangs.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.task.abort();
    }
}
