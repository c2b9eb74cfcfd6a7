//! Deterministic doubles of every port of the domain. They draw no randomness, read no clock and open no socket.
//!
//! | port | double |
//! |---|---|
//! | `Clock` | [`TestClock`], advanced by the test |
//! | `SecureRandom` | [`SeededRandom`], a stream that never repeats |
//! | `Spawner` | [`TokioSpawner`], whose sleeps end when the [`TestClock`] passes them |
//! | `TokenVault`, `RowAuthenticator` | [`PlainVault`], associated data without encryption, hashes without a key |
//! | `Directory` | [`TestDirectory`] |
//! | `RateLimiter` | [`UnlimitedRate`], [`ScriptedRate`] |
//! | `EventSink` | [`CollectingSink`] |
//! | `FailureLog` | [`CollectingFailureLog`] |
//! | `AuthorizationServer` | [`ScriptedAuthorizationServer`]; [`RotatingAuthorizationServer`], which detects reuse |
//! | `ResourceServer` | [`ScriptedResourceServer`] |
//! | `ProviderProfiles` | [`TestProfiles`] |
//! | `Urls` | [`TestUrls`] |
//! | the ports of a store | [`FaultyStore`] around a real one |
//!
//! A test of one collaborator needs the doubles of its ports and, for the ports of a store, the reference store, with faults
//! where required. [`fixtures`] has the records to store.

mod authorization_server;
mod clock;
mod directory;
mod event_sink;
mod failure_log;
mod faulty_store;
pub mod fixtures;
mod profiles;
mod random;
mod rate_limiter;
mod resource_server;
mod rotating_server;
mod spawner;
mod urls;
mod vault;

pub use self::authorization_server::{Call, Operation, ScriptedAuthorizationServer, tokens};
pub use self::clock::TestClock;
pub use self::directory::TestDirectory;
pub use self::event_sink::CollectingSink;
pub use self::failure_log::CollectingFailureLog;
pub use self::faulty_store::{Fault, FaultyStore, Method};
pub use self::profiles::TestProfiles;
pub use self::random::SeededRandom;
pub use self::rate_limiter::{ScriptedRate, UnlimitedRate};
pub use self::resource_server::{ScriptedResourceServer, SentRequest};
pub use self::rotating_server::{ProviderFault, Reuse, RotatingAuthorizationServer};
pub use self::spawner::TokioSpawner;
pub use self::urls::TestUrls;
pub use self::vault::PlainVault;

/// Locks a mutex, also if a thread panicked while it held the lock.
pub(crate) fn locked<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
