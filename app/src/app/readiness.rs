//! Whether this process can serve, for `/readyz`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use grantry_domain::authorization::AuthorizationId;
use grantry_domain::ports::{AuthorizationStore, Store};
use grantry_http_axum::Readiness;
use tracing::{error, info};

use crate::store::AppStore;

/// A probe that takes longer than this counts as failed. A write waits five seconds for the lock of another process.
const LONGEST_PROBE: Duration = Duration::from_secs(20);
/// How often a fault that lasts is logged.
const LOG_EVERY: Duration = Duration::from_mins(1);

/// The result of the last probe of the store. A request to `/readyz` reads it and writes nothing.
#[derive(Default)]
pub(crate) struct StoreProbe(Mutex<Probed>);

#[derive(Default)]
struct Probed {
    /// When the probe that is running began.
    began: Option<Instant>,
    fault: Option<&'static str>,
    logged: Option<Instant>,
}

impl StoreProbe {
    /// Probes the store and keeps the result. Logs a fault when it begins, each minute, and when it ends.
    pub(crate) async fn run(&self, store: &AppStore) {
        self.locked().began = Some(Instant::now());
        let result = store.probe().await;
        let mut probed = self.locked();
        probed.began = None;
        let was_faulty = std::mem::replace(&mut probed.fault, result.err()).is_some();
        match result {
            Ok(()) if was_faulty => {
                probed.logged = None;
                info!("the store can be written again");
            }
            Ok(()) => {}
            Err(reason) => {
                if probed.logged.is_none_or(|logged| logged.elapsed() >= LOG_EVERY) {
                    probed.logged = Some(Instant::now());
                    error!(reason, "the store cannot be used; /readyz responds 503");
                }
            }
        }
        metrics::gauge!("grantry_store_usable").set(if result.is_ok() { 1.0 } else { 0.0 });
    }

    fn fault(&self) -> Option<&'static str> {
        let probed = self.locked();
        let hangs = probed.began.is_some_and(|began| began.elapsed() > LONGEST_PROBE);
        if hangs { Some("store does not respond") } else { probed.fault }
    }

    fn locked(&self) -> MutexGuard<'_, Probed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ready while the store responds, the last probe succeeded and no shutdown has begun.
pub(super) struct StoreReadiness {
    pub(super) store: Arc<dyn Store>,
    pub(super) probe: Arc<StoreProbe>,
    pub(super) stopping: Arc<AtomicBool>,
}

#[async_trait]
impl Readiness for StoreReadiness {
    async fn check(&self) -> Result<(), &'static str> {
        if self.stopping.load(Ordering::Relaxed) {
            return Err("shutting down");
        }
        if let Some(fault) = self.probe.fault() {
            return Err(fault);
        }
        // No authorization has this id; the look-up only proves that the store responds.
        let found = AuthorizationStore::find(&*self.store, AuthorizationId::from_bytes([0; 24])).await;
        found.map(drop).map_err(|_| "store not readable")
    }
}
