//! Deterministic stand-ins for every port of the domain. Nothing here draws randomness, reads a clock or opens a socket.
//!
//! | port | double |
//! |---|---|
//! | `Clock` | [`TestClock`], moved by hand |
//! | `SecureRandom` | [`SeededRandom`], a stream that never repeats |
//! | `Spawner` | [`TokioSpawner`], whose sleeps end when the [`TestClock`] passes them |
//! | `TokenVault` | [`PlainVault`], bindings without cryptography |
//! | `Directory` | [`TestDirectory`] |
//! | `RateLimiter` | [`UnlimitedRate`], [`ScriptedRate`] |
//! | `EventSink` | [`CollectingSink`] |
//! | `AuthorizationServer` | [`ScriptedAuthorizationServer`] |
//! | `ResourceServer` | [`ScriptedResourceServer`] |
//! | `ProviderProfiles` | [`TestProfiles`] |
//!
//! Records to put into a store come from [`fixtures`].

mod authorization_server;
mod clock;
mod directory;
pub mod fixtures;
mod profiles;
mod random;
mod rate;
mod resource_server;
mod sink;
mod tasks;
mod urls;
mod vault;

pub use self::authorization_server::{Call, Operation, ScriptedAuthorizationServer, tokens};
pub use self::clock::TestClock;
pub use self::directory::TestDirectory;
pub use self::profiles::TestProfiles;
pub use self::random::SeededRandom;
pub use self::rate::{ScriptedRate, UnlimitedRate};
pub use self::resource_server::{ScriptedResourceServer, SentRequest};
pub use self::sink::CollectingSink;
pub use self::tasks::TokioSpawner;
pub use self::urls::TestUrls;
pub use self::vault::PlainVault;

/// Locks, also after another test thread has panicked with the lock held.
fn locked<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
