//! Users: how they sign in, what they may do, and how they are displayed.

use std::sync::Arc;

use grantry_domain::ports::{Clock, Directory, RateLimiter, RowAuthenticator, SecureRandom, SessionStore};
use grantry_http_axum::PublicBaseUrl;
use grantry_http_axum::{Accounts, Authenticator, IdentityMode, PasswordVerifier, ProxyHeaderAuthenticator, UserDirectory};

use crate::config::{self, Config};
use crate::directory::{AccountDirectory, DisplayNames, ProxyDirectory};
use crate::passwords::AccountPasswords;

/// The users of an application.
pub struct Identity {
    pub(crate) directory: Arc<dyn Directory>,
    pub(crate) users: Arc<dyn UserDirectory>,
    sign_in: SignIn,
}

enum SignIn {
    /// A log-in page with sessions in the store.
    Passwords(Arc<dyn PasswordVerifier>),
    /// A proxy has signed the user in before the request arrives.
    Proxy(Arc<dyn Authenticator>),
    /// The host has signed the user in.
    Host(Arc<dyn Authenticator>),
}

/// The parts that sessions are made of.
pub(crate) struct SessionParts<'a> {
    pub(crate) sessions: Arc<dyn SessionStore>,
    pub(crate) rows: Arc<dyn RowAuthenticator>,
    pub(crate) limiter: Arc<dyn RateLimiter>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn SecureRandom>,
    pub(crate) public_base_url: &'a PublicBaseUrl,
}

impl Identity {
    /// Users that log in on a page of this application with a password.
    pub fn with_passwords(
        directory: Arc<dyn Directory>,
        users: Arc<dyn UserDirectory>,
        passwords: Arc<dyn PasswordVerifier>,
    ) -> Self {
        Self { directory, users, sign_in: SignIn::Passwords(passwords) }
    }

    /// Users that the host has signed in. `authenticator` reads the user from the headers of each request.
    pub fn with_authenticator(
        directory: Arc<dyn Directory>,
        users: Arc<dyn UserDirectory>,
        authenticator: Arc<dyn Authenticator>,
    ) -> Self {
        Self { directory, users, sign_in: SignIn::Host(authenticator) }
    }

    /// The users of a configuration.
    pub(crate) fn of(config: &Config) -> Self {
        let (spaces, identity) = (config.spaces.clone(), &config.settings.identity);
        let names = DisplayNames::new(&identity.accounts, config.space_names.clone());
        match identity.mode {
            config::IdentityMode::Accounts => {
                let directory = Arc::new(AccountDirectory::new(spaces, &identity.accounts).with_names(names));
                let passwords = Arc::new(AccountPasswords::new(&identity.accounts));
                Self::with_passwords(directory.clone(), directory, passwords)
            }
            config::IdentityMode::ProxyHeader => {
                let proxy = &identity.proxy;
                let headers = ProxyHeaderAuthenticator::new(proxy.user_header.clone(), config.trusted_proxies.clone());
                let (directory, headers) = if let Some(header) = &proxy.roles_header {
                    let directory = Arc::new(ProxyDirectory::from_header(spaces).with_names(names));
                    (directory.clone(), headers.with_roles(header.clone(), directory))
                } else {
                    let directory = ProxyDirectory::from_accounts(spaces, &identity.accounts).with_names(names);
                    (Arc::new(directory), headers)
                };
                Self { directory: directory.clone(), users: directory, sign_in: SignIn::Proxy(Arc::new(headers)) }
            }
        }
    }

    pub(crate) fn authenticator(&self, parts: SessionParts<'_>) -> (IdentityMode, Arc<dyn Authenticator>) {
        match &self.sign_in {
            SignIn::Passwords(passwords) => {
                let SessionParts { sessions, rows, limiter, clock, random, public_base_url } = parts;
                let accounts = Accounts::new(passwords.clone(), sessions, rows, limiter, clock, random, public_base_url);
                let accounts = Arc::new(accounts);
                (IdentityMode::Accounts(accounts.clone()), accounts)
            }
            SignIn::Proxy(authenticator) => (IdentityMode::ProxyHeader, authenticator.clone()),
            SignIn::Host(authenticator) => (IdentityMode::Host, authenticator.clone()),
        }
    }
}
