//! Accounts of this deployment: log-in with a password, and a session cookie that the store can revoke.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use grantry_domain::encoding::{base64url, from_base64url, hex};
use grantry_domain::identity::UserId;
use grantry_domain::ports::{
    AuthenticatedRow, Clock, Limited, Operation, RateLimiter, RowAuthenticator, RowTag, SecureRandom, Session, SessionHash,
    SessionStore, StoreError,
};
use grantry_domain::secret::Secret;
use grantry_domain::time::Timestamp;
use http::HeaderMap;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::auth::authenticator::{AuthenticationError, Authenticator, PasswordVerifier, Principal};
use crate::auth::queue::{LogInQueue, Share};
use crate::cookies::{self, CookieNames, DEVICE};
use crate::public_url::PublicBaseUrl;

/// A session expires after this time without a request.
pub const SESSION_IDLE: Duration = Duration::from_hours(8);
/// A session expires at this age in any case.
pub const SESSION_ABSOLUTE: Duration = Duration::from_hours(24);
/// A session whose times are further in the future than this has expired: the clock was set back, and the session would last
/// longer by the difference.
pub const SESSION_AHEAD: Duration = Duration::from_mins(5);

/// The most sessions of one user. A further log-in ends the one that was created first.
const SESSIONS_OF_USER: u32 = 64;

/// The time of the last request is written at most this often.
const TOUCH_EVERY: Duration = Duration::from_mins(1);
/// How long a request waits until the use of its session is stored.
const WRITE_WAIT: Duration = Duration::from_millis(100);
/// The precision of the age of a device cookie.
const DAY: Duration = Duration::from_hours(24);
const MILLIS_OF_DAY: i64 = 86_400_000;

/// Why a log-in failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LogInError {
    /// Name or password is wrong. The error does not reveal which.
    #[error("user name or password is wrong")]
    WrongCredentials,
    /// Too many attempts with this name from this network, with any names from it, or of all users at the same time.
    #[error(transparent)]
    RateLimited(#[from] Limited),
    /// Accounts, sessions or randomness are unavailable.
    #[error(transparent)]
    Unavailable(#[from] AuthenticationError),
}

/// A log-in that succeeded.
pub(crate) struct LoggedIn {
    /// The user.
    pub(crate) user: UserId,
    /// The value of the session cookie.
    pub(crate) session: Secret,
    /// The value of the device cookie.
    pub(crate) device: Secret,
}

/// Log-in, log-out, and the sessions in between.
pub struct Accounts {
    passwords: Arc<dyn PasswordVerifier>,
    sessions: Arc<dyn SessionStore>,
    rows: Arc<dyn RowAuthenticator>,
    limiter: Arc<dyn RateLimiter>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn SecureRandom>,
    cookie: String,
    device_cookie: String,
    queue: LogInQueue,
}

impl Accounts {
    /// Accounts on the given passwords and sessions. `rows` authenticates each stored session.
    pub fn new(
        passwords: Arc<dyn PasswordVerifier>,
        sessions: Arc<dyn SessionStore>,
        rows: Arc<dyn RowAuthenticator>,
        limiter: Arc<dyn RateLimiter>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn SecureRandom>,
        public: &PublicBaseUrl,
    ) -> Self {
        let names = CookieNames::of(public);
        let (cookie, device_cookie) = (names.session().to_owned(), names.device().to_owned());
        let queue = LogInQueue::new(std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
        Self { passwords, sessions, rows, limiter, clock, random, cookie, device_cookie, queue }
    }

    /// Checks a password and creates a session. `network` is that of the client.
    ///
    /// Attempts are counted for a name and a network, so that guesses from elsewhere do not delay the user, and for all names
    /// of a network. A browser in which the user has logged in before is counted by itself instead, so that guesses behind
    /// the same address do not delay the user either. Nothing before the verification depends on whether the name exists.
    pub(crate) async fn log_in(
        &self,
        username: &str,
        password: &Secret,
        network: &str,
        headers: &HeaderMap,
    ) -> Result<LoggedIn, LogInError> {
        let device = self.device(headers, username);
        let (attempts, share) = if let Some(device) = &device {
            (vec![(format!("device:{}", hex(device)), Operation::LogIn)], Share::Known(username))
        } else {
            let of_name = (format!("name:{network} {username}"), Operation::LogIn);
            (vec![of_name, (format!("network:{network}"), Operation::LogInNetwork)], Share::Stranger(network))
        };
        // Counted before the password is checked, so that concurrent attempts count as well.
        for (who, operation) in &attempts {
            self.limiter.take(who, *operation).await?;
        }
        let user = self.verify(share, username, password).await?.ok_or(LogInError::WrongCredentials)?;
        for (who, operation) in &attempts {
            self.limiter.succeeded(who, *operation).await;
        }
        let id: [u8; 32] = self.fresh_id()?;
        let session_value = Secret::from_text(&base64url(&id));
        let device = device.map_or_else(|| self.fresh_id(), Ok)?;
        let now = self.clock.now();
        let device = device_id(now.day(), device);
        let hash = hash_of(&id);
        let mut session = Session { user: user.clone(), created_at: now, seen_at: now, tag: RowTag::NONE };
        session.tag = self.rows.tag(&row(hash, &session));
        self.sessions.insert(hash, session, SESSIONS_OF_USER).await.map_err(|_| AuthenticationError::Store)?;
        let tag = self.rows.tag(&AuthenticatedRow::Device { id: &device, username });
        let device = Secret::from_text(&format!("{}.{}", &*base64url(&device), &*base64url(&tag.0)));
        Ok(LoggedIn { user, session: session_value, device })
    }

    fn fresh_id<const N: usize>(&self) -> Result<[u8; N], AuthenticationError> {
        let mut id = [0; N];
        self.random.fill(&mut id).map_err(|_| AuthenticationError::Store)?;
        Ok(id)
    }

    /// The random part of the id of the browser, if this user has logged in there within the lifetime of the cookie.
    fn device(&self, headers: &HeaderMap, username: &str) -> Option<[u8; 12]> {
        let (id, tag) = cookies::single(headers, &self.device_cookie)?.split_once('.')?;
        let (id, tag): ([u8; 16], _) = (from_base64url(id)?, RowTag(from_base64url(tag)?));
        self.rows.verify(&AuthenticatedRow::Device { id: &id, username }, &tag).ok()?;
        let (day, random) = id.split_first_chunk()?;
        let (now, issued) = (self.clock.now(), Timestamp::from_millis(i64::from(u32::from_be_bytes(*day)) * MILLIS_OF_DAY));
        let is_recent = issued <= now.plus(DAY) && now.since(issued) < DEVICE + DAY;
        is_recent.then_some(random.try_into().ok()?)
    }

    /// Verifies a password when it is its turn.
    async fn verify(&self, share: Share<'_>, username: &str, password: &Secret) -> Result<Option<UserId>, LogInError> {
        let place = self.queue.enter(share).await?;
        let (passwords, username, password) = (self.passwords.clone(), username.to_owned(), password.clone_secret());
        // In a separate task, because a verification that has begun keeps its place when the request is cancelled.
        let verification = tokio::spawn(async move {
            let _place = place;
            passwords.verify(&username, &password).await
        });
        Ok(verification.await.map_err(|_| AuthenticationError::Store)??)
    }

    /// Removes the session that a request presents, if there is one.
    pub(crate) async fn log_out(&self, headers: &HeaderMap) -> Result<(), AuthenticationError> {
        let Some(session) = self.presented(headers) else { return Ok(()) };
        // Only a session that exists is worth a write: any client can present a cookie.
        if self.sessions.find(session).await.map_err(|_| AuthenticationError::Store)?.is_some() {
            self.sessions.remove(session).await.map_err(|_| AuthenticationError::Store)?;
        }
        Ok(())
    }

    /// The session of the cookie, which may or may not exist.
    fn presented(&self, headers: &HeaderMap) -> Option<SessionHash> {
        from_base64url::<32>(cookies::single(headers, &self.cookie)?).map(|id| hash_of(&id))
    }
}

/// The id in a device cookie: the day of the log-in, since the Unix epoch, and a random part.
fn device_id(day: i64, random: [u8; 12]) -> [u8; 16] {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&u32::try_from(day).unwrap_or(0).to_be_bytes());
    id[4..].copy_from_slice(&random);
    id
}

fn row(id: SessionHash, session: &Session) -> AuthenticatedRow<'_> {
    AuthenticatedRow::Session { id, user: &session.user, created_at: session.created_at, seen_at: session.seen_at }
}

fn hash_of(id: &[u8; 32]) -> SessionHash {
    SessionHash(Sha256::digest(id).into())
}

#[async_trait]
impl Authenticator for Accounts {
    async fn authenticate(&self, headers: &HeaderMap, _: Option<IpAddr>) -> Result<Option<Principal>, AuthenticationError> {
        let Some(hash) = self.presented(headers) else { return Ok(None) };
        let Some(session) = self.sessions.find(hash).await.map_err(|_| AuthenticationError::Store)? else { return Ok(None) };
        if let Err(error) = self.rows.verify(&row(hash, &session), &session.tag) {
            tracing::debug!(%error, "a stored session is not authentic and is ignored");
            return Ok(None);
        }
        let now = self.clock.now();
        if is_expired(&session, now) {
            briefly(self.sessions.remove(hash)).await;
            return Ok(None);
        }
        if now.since(session.seen_at) >= TOUCH_EVERY {
            let touched = Session { seen_at: now, ..session.clone() };
            let tag = self.rows.tag(&row(hash, &touched));
            briefly(self.sessions.touch(hash, now, tag)).await;
        }
        Ok(Some(Principal::User { user: session.user, session: Some(hash) }))
    }
}

/// A write that a request does not depend on: it goes on without it if the store is busy or fails. A later request repeats it.
async fn briefly(write: impl Future<Output = Result<(), StoreError>>) {
    match tokio::time::timeout(WRITE_WAIT, write).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "the use of a session was not stored"),
        Err(_) => tracing::debug!("the use of a session was not stored in time"),
    }
}

fn is_expired(session: &Session, now: Timestamp) -> bool {
    let is_ahead = session.created_at.max(session.seen_at) > now.plus(SESSION_AHEAD);
    is_ahead || now.since(session.seen_at) >= SESSION_IDLE || now.since(session.created_at) >= SESSION_ABSOLUTE
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::FutureExt as _;
    use grantry_testkit::doubles::{PlainVault, SeededRandom, TestClock, UnlimitedRate};
    use tokio::sync::Semaphore;

    use super::*;

    /// Counts the verifications that began, and holds each until the test lets it end.
    struct Held {
        began: AtomicUsize,
        may_end: Semaphore,
    }

    #[async_trait]
    impl PasswordVerifier for Held {
        async fn verify(&self, _: &str, _: &Secret) -> Result<Option<UserId>, AuthenticationError> {
            self.began.fetch_add(1, Ordering::Relaxed);
            self.may_end.acquire().await.unwrap().forget();
            Ok(None)
        }
    }

    fn accounts(passwords: Arc<Held>, sessions: Arc<OneSession>) -> Accounts {
        Accounts::new(
            passwords,
            sessions,
            Arc::<PlainVault>::default(),
            Arc::new(UnlimitedRate),
            Arc::new(TestClock::default()),
            Arc::<SeededRandom>::default(),
            &PublicBaseUrl::new("http://localhost:8080").unwrap(),
        )
    }

    /// Has one session, and counts the writes.
    #[derive(Default)]
    struct OneSession {
        hash: Option<SessionHash>,
        writes: AtomicUsize,
    }

    #[async_trait]
    impl SessionStore for OneSession {
        async fn insert(&self, _: SessionHash, _: Session, _: u32) -> Result<(), StoreError> {
            self.count_write();
            Ok(())
        }

        async fn find(&self, id: SessionHash) -> Result<Option<Session>, StoreError> {
            let now = Timestamp::from_millis(0);
            let session = Session { user: UserId::new("u").unwrap(), created_at: now, seen_at: now, tag: RowTag::NONE };
            Ok((self.hash == Some(id)).then_some(session))
        }

        async fn touch(&self, _: SessionHash, _: Timestamp, _: RowTag) -> Result<(), StoreError> {
            self.count_write();
            Ok(())
        }

        async fn remove(&self, _: SessionHash) -> Result<(), StoreError> {
            self.count_write();
            Ok(())
        }

        async fn purge(&self, _: Timestamp, _: Timestamp, _: Timestamp) -> Result<u64, StoreError> {
            self.count_write();
            Ok(0)
        }
    }

    impl OneSession {
        fn count_write(&self) {
            self.writes.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn a_log_out_without_a_session_writes_nothing() {
        let sessions = Arc::new(OneSession { hash: Some(hash_of(&[1; 32])), ..OneSession::default() });
        let held = Held { began: AtomicUsize::new(0), may_end: Semaphore::new(0) };
        let accounts = accounts(Arc::new(held), sessions.clone());
        for (id, writes) in [([2; 32], 0), ([3; 32], 0), ([1; 32], 1)] {
            let mut headers = HeaderMap::new();
            let cookie = format!("{}={}", accounts.cookie, &*base64url(&id));
            headers.insert(http::header::COOKIE, cookie.parse().unwrap());
            accounts.log_out(&headers).await.unwrap();
            assert_eq!(sessions.writes.load(Ordering::Relaxed), writes);
        }
    }

    #[tokio::test]
    async fn r59_a_cancelled_log_in_keeps_its_place_until_the_verification_ends() {
        let held = Arc::new(Held { began: AtomicUsize::new(0), may_end: Semaphore::new(0) });
        let accounts = accounts(held.clone(), Arc::<OneSession>::default());
        let (password, headers) = (Secret::from_text("x"), HeaderMap::new());
        let log_in = || accounts.log_in("alice", &password, "a", &headers);
        for _ in 0..20 {
            assert!(log_in().now_or_never().is_none(), "cancelled while it runs or waits");
            tokio::task::yield_now().await;
        }
        let began = held.began.load(Ordering::Relaxed);
        assert!((1..=2).contains(&began), "{began} verifications run for one network");
        held.may_end.add_permits(began + 1);
        assert!(matches!(log_in().await, Err(LogInError::WrongCredentials)), "the places are free again");
    }
}
