//! Accounts of this deployment: log-in with a password, and a session in a cookie that the store can end.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use grantry_domain::encoding::{base64url, from_base64url};
use grantry_domain::identity::UserId;
use grantry_domain::ports::{Clock, SecureRandom, Session, SessionHash, SessionStore, TokenVault};
use grantry_domain::secret::Secret;
use grantry_domain::time::Timestamp;
use grantry_domain::usecase::PublicBaseUrl;
use http::HeaderMap;
use thiserror::Error;

use crate::auth::{AuthenticationError, Authenticator, PasswordVerifier, Principal};
use crate::cookies::{self, CookieNames};

/// A session that was not seen for so long is over.
pub const SESSION_IDLE: Duration = Duration::from_hours(8);
/// A session this old is over, whatever happens.
pub const SESSION_ABSOLUTE: Duration = Duration::from_hours(24);

/// Being seen is written down at most this often.
const TOUCH_EVERY: Duration = Duration::from_mins(1);

/// Why nobody was logged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LogInError {
    /// Name or password is wrong; which of them is not told.
    #[error("user name or password is wrong")]
    Wrong,
    /// The accounts or the sessions do not answer, or there is no randomness.
    #[error(transparent)]
    Unavailable(#[from] AuthenticationError),
}

/// Log-in, log-out, and the sessions in between.
pub struct Accounts {
    passwords: Arc<dyn PasswordVerifier>,
    sessions: Arc<dyn SessionStore>,
    vault: Arc<dyn TokenVault>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn SecureRandom>,
    cookie: String,
}

impl Accounts {
    /// Accounts whose passwords and sessions are kept elsewhere. The vault is used for its hash alone.
    pub fn new(
        passwords: Arc<dyn PasswordVerifier>,
        sessions: Arc<dyn SessionStore>,
        vault: Arc<dyn TokenVault>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn SecureRandom>,
        public: &PublicBaseUrl,
    ) -> Self {
        let cookie = CookieNames::of(public).session().to_owned();
        Self { passwords, sessions, vault, clock, random, cookie }
    }

    /// Checks a password and begins a session; answers the value of its cookie.
    pub(crate) async fn log_in(&self, username: &str, password: &Secret) -> Result<(UserId, Secret), LogInError> {
        let user = self.passwords.verify(username, password).await?.ok_or(LogInError::Wrong)?;
        let mut id = [0_u8; 32];
        self.random.fill(&mut id).map_err(|_| AuthenticationError)?;
        let value = Secret::from_text(&base64url(&id));
        let now = self.clock.now();
        let session = Session { user: user.clone(), created_at: now, seen_at: now };
        self.sessions.insert(self.hash(&id), session).await.map_err(|_| AuthenticationError)?;
        Ok((user, value))
    }

    /// Ends the session a request presents, if it presents one.
    pub(crate) async fn forget(&self, headers: &HeaderMap) -> Result<(), AuthenticationError> {
        match self.presented(headers) {
            Some(session) => self.sessions.remove(session).await.map_err(|_| AuthenticationError),
            None => Ok(()),
        }
    }

    fn hash(&self, id: &[u8; 32]) -> SessionHash {
        SessionHash(self.vault.fingerprint(id))
    }

    /// The session a request presents, whether or not there is one.
    fn presented(&self, headers: &HeaderMap) -> Option<SessionHash> {
        from_base64url::<32>(cookies::single(headers, &self.cookie)?).map(|id| self.hash(&id))
    }
}

#[async_trait]
impl Authenticator for Accounts {
    async fn authenticate(&self, headers: &HeaderMap, _: Option<IpAddr>) -> Result<Option<Principal>, AuthenticationError> {
        let Some(hash) = self.presented(headers) else { return Ok(None) };
        let Some(session) = self.sessions.find(hash).await.map_err(|_| AuthenticationError)? else { return Ok(None) };
        let now = self.clock.now();
        if has_lapsed(&session, now) {
            self.sessions.remove(hash).await.map_err(|_| AuthenticationError)?;
            return Ok(None);
        }
        if now.since(session.seen_at) >= TOUCH_EVERY {
            self.sessions.touch(hash, now).await.map_err(|_| AuthenticationError)?;
        }
        Ok(Some(Principal::Person { user: session.user, session: Some(hash) }))
    }
}

fn has_lapsed(session: &Session, now: Timestamp) -> bool {
    now.since(session.seen_at) >= SESSION_IDLE || now.since(session.created_at) >= SESSION_ABSOLUTE
}
