//! The state that all routes share.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use super::builder::StartError;
use super::clock::Moment;
use super::config::{Client, Settings, User};
use super::fault::Faults;
use super::id_token::SigningKey;
use super::ledger::LedgerBook;
use super::state::State;
use super::state_file::StateFile;

/// The provider that the routes use.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) port: u16,
    /// Issuer identifier and base URL, without a trailing slash.
    pub(super) issuer: String,
    pub(super) settings: Settings,
    pub(super) faults: Faults,
    pub(super) ledger: LedgerBook,
    pub(super) signing_key: SigningKey,
    clients: RwLock<Vec<Client>>,
    state: Mutex<State>,
    file: StateFile,
}

impl Core {
    /// The provider that listens on this address.
    pub(super) fn new(
        address: SocketAddr,
        settings: Settings,
        clients: Vec<Client>,
        faults: Faults,
        mut state: State,
        file: StateFile,
    ) -> Result<Arc<Self>, StartError> {
        let signing_key = SigningKey::restore_or_make(&mut state.signing_key);
        file.save(&state)?;
        Ok(Arc::new(Self {
            port: address.port(),
            issuer: format!("http://{address}"),
            ledger: LedgerBook::new(settings.ledger_limit),
            settings,
            faults,
            signing_key,
            clients: RwLock::new(clients),
            state: Mutex::new(state),
            file,
        }))
    }

    /// Reads from the state.
    pub(super) fn read<T>(&self, look: impl FnOnce(&State, Moment) -> T) -> T {
        let state = self.lock();
        look(&state, now(&state))
    }

    /// Changes the state and writes the state file. A write error does not stop a running provider; only a restart
    /// would lose the change.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State, Moment) -> T) -> T {
        let mut state = self.lock();
        let now = now(&state);
        let result = change(&mut state, now);
        if self.file.is_kept() {
            state.prune(now);
            drop(self.file.save(&state));
        }
        result
    }

    /// Registers a client, in place of one with the same id.
    pub(super) fn register(&self, client: Client) {
        let mut clients = self.clients.write().unwrap_or_else(PoisonError::into_inner);
        clients.retain(|known| known.id != client.id);
        clients.push(client);
    }

    /// Removes a client.
    pub(super) fn unregister(&self, client_id: &str) {
        self.clients.write().unwrap_or_else(PoisonError::into_inner).retain(|known| known.id != client_id);
    }

    /// The client with this id.
    pub(super) fn client(&self, id: &str) -> Option<Client> {
        let clients = self.clients.read().unwrap_or_else(PoisonError::into_inner);
        clients.iter().find(|client| client.id == id).cloned()
    }

    /// The account with this log-in name.
    pub(super) fn user(&self, username: &str) -> Option<&User> {
        self.settings.user(username)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn now(state: &State) -> Moment {
    Moment::now(Duration::from_millis(state.clock_offset_ms))
}
