//! Log-in passwords: hashed with Argon2id, and verified in the same time whether or not the user name exists.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::{Arc, Mutex, PoisonError};

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Block, Params, PasswordHasher, Version};
use async_trait::async_trait;
use grantry_domain::identity::UserId;
use grantry_domain::ports::{RandomUnavailable, SecureRandom};
use grantry_domain::secret::{Secret, equal_in_constant_time};
use grantry_http_axum::{AuthenticationError, PasswordVerifier};
use tokio::sync::Semaphore;

use crate::config::Account;

/// Verifies passwords against the accounts of the configuration.
pub struct AccountPasswords {
    by_name: HashMap<String, (UserId, Arc<str>)>,
    /// One of them is verified when the user name does not exist; the result is ignored. It is always the same one for a
    /// name, as hashes of other parameters take another time.
    decoys: Vec<Arc<str>>,
    choice: RandomState,
    /// A hash takes 19 MiB and a core for about 20 ms, so the number of concurrent hashes is bounded.
    running: Arc<Semaphore>,
    memory: Arc<HashMemory>,
}

/// The memory of hashes that are not running. It is kept, because allocators keep freed blocks of this size per thread.
#[derive(Default)]
struct HashMemory(Mutex<Vec<Vec<Block>>>);

impl AccountPasswords {
    /// The passwords of these accounts.
    pub fn new(accounts: &[Account]) -> Self {
        let hash = |account: &Account| Arc::from(account.password_hash.as_str());
        let entry = |account: &Account| (account.username.clone(), (account.id.clone(), hash(account)));
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            by_name: accounts.iter().map(entry).collect(),
            decoys: accounts.iter().map(hash).collect(),
            choice: RandomState::new(),
            // The queue of log-ins has one place more than the machine has cores.
            running: Arc::new(Semaphore::new(cores + 1)),
            memory: Arc::default(),
        }
    }

    fn decoy(&self, username: &str) -> Option<&Arc<str>> {
        let count = u64::try_from(self.decoys.len()).unwrap_or(u64::MAX);
        let number = self.choice.hash_one(username).checked_rem(count)?;
        self.decoys.get(usize::try_from(number).ok()?)
    }
}

#[async_trait]
impl PasswordVerifier for AccountPasswords {
    async fn verify(&self, username: &str, password: &Secret) -> Result<Option<UserId>, AuthenticationError> {
        let account = self.by_name.get(username);
        let Some(hash) = account.map(|(_, hash)| hash).or_else(|| self.decoy(username)).cloned() else {
            return Ok(None);
        };
        let slot = self.running.clone().acquire_owned().await.map_err(|_| AuthenticationError::Host)?;
        let (password, memory) = (password.clone_secret(), self.memory.clone());
        let verification = tokio::task::spawn_blocking(move || {
            // A hash runs to its end after the request was cancelled, and takes its memory until then.
            let _slot = slot;
            memory.matches(&password, &hash)
        });
        let matches = verification.await.map_err(|_| AuthenticationError::Host)?;
        Ok(account.filter(|_| matches).map(|(user, _)| user.clone()))
    }
}

impl HashMemory {
    fn matches(&self, password: &Secret, hash: &str) -> bool {
        let blocks = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut memory = blocks().pop().unwrap_or_default();
        let matches = matches_in(&mut memory, password, hash);
        blocks().push(memory);
        matches
    }
}

/// Compares a password with a hash of any parameters. `memory` grows to what they need; a malformed hash matches nothing.
fn matches_in(memory: &mut Vec<Block>, password: &Secret, hash: &str) -> bool {
    let Ok(hash) = PasswordHash::new(hash) else { return false };
    let algorithm = Algorithm::try_from(hash.algorithm.as_str()).ok();
    let version = hash.version.and_then(|version| Version::try_from(version).ok());
    let (Some(algorithm), Some(version), Ok(params)) = (algorithm, version, Params::try_from(&hash)) else { return false };
    let (Some(salt), Some(expected)) = (hash.salt, hash.hash) else { return false };
    memory.resize(memory.len().max(params.block_count()), Block::default());
    let (mut found, argon2) = (vec![0; expected.len()], Argon2::new(algorithm, version, params));
    let hashed = argon2.hash_password_into_with_memory(password.expose(), salt.as_ref(), &mut found, memory);
    hashed.is_ok() && equal_in_constant_time(&found, expected.as_bytes())
}

/// Hashes a password for the configuration, as a PHC string.
pub fn hash(password: &Secret, random: &dyn SecureRandom) -> Result<String, RandomUnavailable> {
    let mut salt = [0; 16];
    random.fill(&mut salt)?;
    // The only other error is a password longer than 4 GiB.
    let hash = Argon2::default().hash_password_with_salt(password.expose(), &salt).map_err(|_| RandomUnavailable)?;
    Ok(hash.to_string())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use futures_util::FutureExt as _;
    use grantry_runtime::SystemRandom;

    use super::*;

    fn alice(password: &str) -> Account {
        Account {
            id: UserId::new("u_alice").unwrap(),
            name: String::new(),
            username: "alice".to_owned(),
            password_hash: hash(&Secret::from_text(password), &SystemRandom).unwrap(),
            roles: BTreeMap::new(),
        }
    }

    #[tokio::test]
    async fn a_cancelled_verification_counts_until_its_hash_ends() {
        let passwords = AccountPasswords::new(&[alice("correct horse")]);
        let slots = passwords.running.available_permits();
        {
            let _held = passwords.memory.0.lock().unwrap();
            let cancelled = passwords.verify("alice", &Secret::from_text("x")).now_or_never();
            assert!(cancelled.is_none(), "the hash waits for its memory");
            assert_eq!(passwords.running.available_permits(), slots - 1);
        }
        let _all = passwords.running.acquire_many(u32::try_from(slots).unwrap()).await.unwrap();
        assert!(passwords.memory.0.lock().unwrap().len() <= 1);
    }

    #[test]
    fn names_without_an_account_take_the_time_of_any_account_and_always_of_the_same() {
        let accounts = ["a", "b"].map(|hash| Account { password_hash: hash.to_owned(), ..alice("x") });
        let passwords = AccountPasswords::new(&accounts);
        let decoys: Vec<_> = (0..100).map(|number| passwords.decoy(&number.to_string()).unwrap().clone()).collect();
        assert!(["a", "b"].iter().all(|hash| decoys.iter().any(|decoy| **decoy == **hash)));
        assert!((0..100).all(|number: usize| passwords.decoy(&number.to_string()) == Some(&decoys[number])));
    }

    #[tokio::test]
    async fn only_the_right_password_of_an_existing_name_is_accepted() {
        let account = alice("correct horse");
        assert!(account.password_hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", account.password_hash);
        let id = account.id.clone();
        let passwords = AccountPasswords::new(&[account]);
        for (username, password, expected) in [
            ("alice", "correct horse", Some(id)),
            ("alice", "wrong", None),
            ("bob", "correct horse", None),
            ("alice", "", None),
        ] {
            let found = passwords.verify(username, &Secret::from_text(password)).await.unwrap();
            assert_eq!(found, expected, "{username}");
        }
        let empty = AccountPasswords::new(&[]).verify("alice", &Secret::from_text("x")).await.unwrap();
        assert_eq!(empty, None);
    }
}
