//! The contract of [`TokenVault`] and [`RowAuthenticator`], for one type that implements both.
//! [`vault_contract!`](crate::vault_contract) expands to its rules.

use grantry_domain::authorization::{AuthorizationKey, Envelope};
use grantry_domain::connector::{Connector, ConnectorName};
use grantry_domain::ports::{AssociatedData, AuthenticatedRow, RowAuthenticator, SessionHash, TokenVault, VaultError};
use grantry_domain::provider::BindingDigest;
use grantry_domain::secret::Secret;
use grantry_domain::time::Timestamp;

use crate::doubles::fixtures;

/// Vaults of one deployment with different keys.
pub struct Vaults<V> {
    /// Writes with the first key, its only one.
    pub first: V,
    /// Writes with a second key and reads with the first one.
    pub rotated: V,
    /// Writes with the second key, its only one.
    pub second: V,
}

/// Expands to one test for each rule. The factory is a `fn() -> Vaults<V>`.
#[macro_export]
macro_rules! vault_contract {
    ($factory:path) => {
        $crate::vault_contract! { @rules [$crate::port_rules] @sync vault $factory; }
    };
    // Expands the macro in brackets to the given tokens and the names of all rules.
    (@rules [$($expanded:tt)*] $($tokens:tt)*) => {
        $($expanded)*! {
            $($tokens)*
            what_was_sealed_is_opened,
            two_envelopes_of_one_payload_differ,
            an_envelope_opens_only_in_its_record,
            an_envelope_opens_only_with_its_key,
            an_altered_envelope_is_refused,
            what_is_no_envelope_has_an_unknown_format,
            a_tag_verifies_its_row_only,
            a_tag_verifies_only_with_its_key,
        }
    };
}

fn owner() -> AuthorizationKey {
    fixtures::authorization_key("u_alice")
}

fn grant() -> AssociatedData {
    AssociatedData::Grant { owner: owner(), grant: fixtures::authorization_id(1) }
}

/// A record of every type.
fn records() -> [AssociatedData; 4] {
    let id = fixtures::authorization_id(1);
    let AuthorizationKey { space, connector, incarnation, digest, .. } = owner();
    [
        AssociatedData::Flow {
            owner: owner(),
            state: fixtures::state_hash(id),
            flow_cookie_hash: fixtures::flow_cookie_hash(id),
        },
        grant(),
        AssociatedData::ClientSecret { space, connector, incarnation, digest },
        AssociatedData::UnclaimedTokens { owner: owner(), id },
    ]
}

/// The same key with one field changed, for each field that associated data contains.
fn other_owners() -> Vec<AuthorizationKey> {
    let owner = owner();
    vec![
        AuthorizationKey { space: fixtures::space("marketing"), ..owner.clone() },
        AuthorizationKey { connector: fixtures::connector_id("other"), ..owner.clone() },
        AuthorizationKey { incarnation: fixtures::incarnation(99), ..owner.clone() },
        AuthorizationKey { digest: BindingDigest([0x99; 32]), ..owner.clone() },
        AuthorizationKey { user: fixtures::user("u_bob"), ..owner.clone() },
        AuthorizationKey { connection: fixtures::connection("work"), ..owner },
    ]
}

fn sealed<V: TokenVault>(vault: &V, record: &AssociatedData, payload: &str) -> Envelope {
    vault.seal(record, 1, &Secret::from_text(payload)).expect("the vault seals")
}

fn error_of<V: TokenVault>(vault: &V, record: &AssociatedData, envelope: &Envelope) -> Option<VaultError> {
    vault.open(record, envelope).err()
}

/// Opening returns payload and version, for every type of record, and also for an empty payload.
pub fn what_was_sealed_is_opened<V: TokenVault>(vaults: &Vaults<V>) {
    for record in records() {
        for (version, payload) in [(1, ""), (1, "payload"), (7, "a longer payload \u{e4}\u{0}")] {
            let envelope = vaults.first.seal(&record, version, &Secret::from_text(payload)).expect("the vault seals");
            let opened = vaults.first.open(&record, &envelope).expect("the vault opens");
            assert_eq!((opened.version, opened.payload.expose()), (version, payload.as_bytes()), "{record:?}");
        }
    }
}

/// Each envelope has a fresh salt and nonce.
pub fn two_envelopes_of_one_payload_differ<V: TokenVault>(vaults: &Vaults<V>) {
    let [one, two] = [sealed(&vaults.first, &grant(), "payload"), sealed(&vaults.first, &grant(), "payload")];
    assert_ne!(one, two);
    assert_eq!(one.key_id(), two.key_id());
}

/// In another record it is [`VaultError::Tampered`], whichever field or type is another one.
pub fn an_envelope_opens_only_in_its_record<V: TokenVault>(vaults: &Vaults<V>) {
    let records = records();
    for record in &records {
        let envelope = sealed(&vaults.first, record, "payload");
        for other in records.iter().filter(|other| *other != record) {
            assert_eq!(error_of(&vaults.first, other, &envelope), Some(VaultError::Tampered), "{record:?} as {other:?}");
        }
    }
    let id = fixtures::authorization_id(1);
    let envelope = sealed(&vaults.first, &grant(), "payload");
    let moved = other_owners().into_iter().map(|owner| AssociatedData::Grant { owner, grant: id });
    let other_id = AssociatedData::Grant { owner: owner(), grant: fixtures::authorization_id(2) };
    for other in moved.chain([other_id]) {
        assert_eq!(error_of(&vaults.first, &other, &envelope), Some(VaultError::Tampered), "{other:?}");
    }
}

/// A key for reading opens what it sealed; without it, the envelope has an [`VaultError::UnknownKey`].
pub fn an_envelope_opens_only_with_its_key<V: TokenVault>(vaults: &Vaults<V>) {
    let earlier = sealed(&vaults.first, &grant(), "payload");
    let later = sealed(&vaults.rotated, &grant(), "payload");
    assert_ne!(earlier.key_id(), later.key_id(), "the write key has changed");
    for envelope in [&earlier, &later] {
        assert_eq!(error_of(&vaults.rotated, &grant(), envelope), None);
    }
    assert_eq!(error_of(&vaults.second, &grant(), &later), None);
    assert_eq!(error_of(&vaults.second, &grant(), &earlier), Some(VaultError::UnknownKey));
    assert_eq!(error_of(&vaults.first, &grant(), &later), Some(VaultError::UnknownKey));
}

/// A changed byte, a missing end or a longer one is an error.
pub fn an_altered_envelope_is_refused<V: TokenVault>(vaults: &Vaults<V>) {
    let Envelope(bytes) = sealed(&vaults.first, &grant(), "payload");
    let flipped = (0..bytes.len()).map(|at| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        bytes
    });
    let cut = (0..bytes.len()).map(|length| bytes[..length].to_vec());
    let longer = [bytes.as_slice(), b"x"].concat();
    for altered in flipped.chain(cut).chain([longer]) {
        assert!(vaults.first.open(&grant(), &Envelope(altered.clone())).is_err(), "{altered:02x?}");
    }
}

/// Bytes that do not begin like an envelope are [`VaultError::UnknownFormat`].
pub fn what_is_no_envelope_has_an_unknown_format<V: TokenVault>(vaults: &Vaults<V>) {
    for bytes in [Vec::new(), vec![0; 3], vec![0; 200], b"not an envelope".repeat(20)] {
        let envelope = Envelope(bytes);
        assert_eq!(error_of(&vaults.first, &grant(), &envelope), Some(VaultError::UnknownFormat), "{envelope:?}");
    }
}

/// The connector of the rules about rows, and the same with one column changed, for each kind of column.
fn connectors() -> Vec<Connector> {
    let connector = fixtures::connector(Timestamp::from_millis(1));
    let named = ConnectorName::new("Other").expect("a name");
    vec![
        Connector { name: named, ..connector.clone() },
        Connector { epoch: connector.epoch.next(), ..connector.clone() },
        Connector { revision: connector.revision + 1, ..connector.clone() },
        Connector { has_client_secret: !connector.has_client_secret, ..connector.clone() },
        Connector { updated_at: Timestamp::from_millis(2), ..connector.clone() },
        connector,
    ]
}

fn with_rows<T>(look: impl FnOnce(&[AuthenticatedRow<'_>]) -> T) -> T {
    let (connectors, alice, bob) = (connectors(), fixtures::user("u_alice"), fixtures::user("u_bob"));
    let (owner, others) = (owner(), other_owners());
    let [now, later] = [1, 2].map(Timestamp::from_millis);
    let (id, grant) = (SessionHash([1; 32]), fixtures::authorization_id(1));
    let mut rows: Vec<AuthenticatedRow<'_>> = connectors.iter().map(AuthenticatedRow::Connector).collect();
    rows.extend([
        AuthenticatedRow::Session { id, user: &alice, created_at: now, seen_at: now },
        AuthenticatedRow::Session { id: SessionHash([2; 32]), user: &alice, created_at: now, seen_at: now },
        AuthenticatedRow::Session { id, user: &bob, created_at: now, seen_at: now },
        AuthenticatedRow::Session { id, user: &alice, created_at: now, seen_at: later },
        AuthenticatedRow::Account { owner: &owner, grant, label: None },
        AuthenticatedRow::Account { owner: &owner, grant, label: Some("") },
        AuthenticatedRow::Account { owner: &owner, grant, label: Some("alice@example.test") },
        AuthenticatedRow::Account { owner: &owner, grant: fixtures::authorization_id(2), label: None },
        AuthenticatedRow::Device { id: &[1; 16], username: "alice" },
        AuthenticatedRow::Device { id: &[2; 16], username: "alice" },
        AuthenticatedRow::Device { id: &[1; 16], username: "bob" },
    ]);
    rows.extend(others.iter().map(|owner| AuthenticatedRow::Account { owner, grant, label: None }));
    look(&rows)
}

/// A tag verifies the row it was made for, and is [`VaultError::Tampered`] for every other one.
pub fn a_tag_verifies_its_row_only<V: RowAuthenticator>(vaults: &Vaults<V>) {
    with_rows(|rows| {
        for (at, row) in rows.iter().enumerate() {
            let tag = vaults.first.tag(row);
            for (other_at, other) in rows.iter().enumerate() {
                let expected = if other_at == at { Ok(()) } else { Err(VaultError::Tampered) };
                assert_eq!(vaults.first.verify(other, &tag), expected, "{row:?} as {other:?}");
            }
        }
    });
}

/// A tag names its key. Without the key it is an [`VaultError::UnknownKey`]; with the id of another key it is not authentic.
pub fn a_tag_verifies_only_with_its_key<V: RowAuthenticator>(vaults: &Vaults<V>) {
    with_rows(|rows| {
        for row in rows {
            let [earlier, later] = [vaults.first.tag(row), vaults.rotated.tag(row)];
            assert_ne!(earlier.key_id(), later.key_id());
            assert_eq!(vaults.rotated.verify(row, &earlier), Ok(()));
            assert_eq!(vaults.second.verify(row, &later), Ok(()));
            assert_eq!(vaults.second.verify(row, &earlier), Err(VaultError::UnknownKey));
            let mut renamed = earlier;
            renamed.0[..8].copy_from_slice(&later.key_id());
            assert_eq!(vaults.rotated.verify(row, &renamed), Err(VaultError::Tampered));
        }
    });
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use grantry_domain::ports::{Decrypted, KeyId, RowTag};

    use super::*;
    use crate::doubles::PlainVault;

    const SECOND_KEY: KeyId = KeyId(*b"key-0002");

    /// What is wrong with a vault.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Flaw {
        None,
        LosesTheVersion,
        LosesThePayload,
        RepeatsEnvelopes,
        IgnoresTheRecord,
        IgnoresTheType,
        IgnoresTheConnection,
        ForgetsEarlierKeys,
        OpensWithEveryKey,
        ReportsUnknownKeysAsTampered,
        IgnoresTheLastByte,
        ReportsOtherFormatsAsTampered,
        IgnoresAColumn,
        ReportsOtherRowsAsUnknownKeys,
        VerifiesWithEveryKey,
        VerifiesRenamedTags,
    }

    /// Each flaw with the one rule that it breaks.
    const BROKEN: [(Flaw, &str); 15] = [
        (Flaw::LosesTheVersion, "what_was_sealed_is_opened"),
        (Flaw::LosesThePayload, "what_was_sealed_is_opened"),
        (Flaw::RepeatsEnvelopes, "two_envelopes_of_one_payload_differ"),
        (Flaw::IgnoresTheRecord, "an_envelope_opens_only_in_its_record"),
        (Flaw::IgnoresTheType, "an_envelope_opens_only_in_its_record"),
        (Flaw::IgnoresTheConnection, "an_envelope_opens_only_in_its_record"),
        (Flaw::ForgetsEarlierKeys, "an_envelope_opens_only_with_its_key"),
        (Flaw::OpensWithEveryKey, "an_envelope_opens_only_with_its_key"),
        (Flaw::ReportsUnknownKeysAsTampered, "an_envelope_opens_only_with_its_key"),
        (Flaw::IgnoresTheLastByte, "an_altered_envelope_is_refused"),
        (Flaw::ReportsOtherFormatsAsTampered, "what_is_no_envelope_has_an_unknown_format"),
        (Flaw::IgnoresAColumn, "a_tag_verifies_its_row_only"),
        (Flaw::ReportsOtherRowsAsUnknownKeys, "a_tag_verifies_its_row_only"),
        (Flaw::VerifiesWithEveryKey, "a_tag_verifies_only_with_its_key"),
        (Flaw::VerifiesRenamedTags, "a_tag_verifies_only_with_its_key"),
    ];

    /// Forwards to the double, except where its flaw is.
    struct Flawed {
        flaw: Flaw,
        inner: PlainVault,
        write: KeyId,
    }

    impl Flawed {
        fn is(&self, flaw: Flaw) -> bool {
            self.flaw == flaw
        }

        /// What an envelope is bound to.
        fn bound(&self, associated: &AssociatedData) -> AssociatedData {
            match (self.flaw, associated.clone()) {
                (Flaw::IgnoresTheRecord, _) => grant(),
                (Flaw::IgnoresTheType, AssociatedData::UnclaimedTokens { owner, id }) => {
                    AssociatedData::Grant { owner, grant: id }
                }
                (Flaw::IgnoresTheConnection, AssociatedData::Grant { owner, grant }) => {
                    let owner = AuthorizationKey { connection: fixtures::connection("default"), ..owner };
                    AssociatedData::Grant { owner, grant }
                }
                (_, associated) => associated,
            }
        }
    }

    impl TokenVault for Flawed {
        fn seal(&self, associated: &AssociatedData, version: u16, payload: &Secret) -> Result<Envelope, VaultError> {
            let associated = &self.bound(associated);
            if self.is(Flaw::RepeatsEnvelopes) {
                // The double counts envelopes.
                return PlainVault::with_key(self.write).seal(associated, version, payload);
            }
            let Envelope(mut bytes) = self.inner.seal(associated, version, payload)?;
            bytes.extend(self.is(Flaw::IgnoresTheLastByte).then_some(0));
            Ok(Envelope(bytes))
        }

        fn open(&self, associated: &AssociatedData, envelope: &Envelope) -> Result<Decrypted, VaultError> {
            let mut envelope = envelope.clone();
            if self.is(Flaw::IgnoresTheLastByte) {
                envelope.0.pop();
            }
            let key = envelope.key_id().map(KeyId);
            if let (Flaw::OpensWithEveryKey, Some(key)) = (self.flaw, key) {
                self.inner.restore(key);
            }
            let mut opened =
                self.inner.open(&self.bound(associated), &envelope).map_err(|error| match (self.flaw, error) {
                    (Flaw::ReportsUnknownKeysAsTampered, VaultError::UnknownKey)
                    | (Flaw::ReportsOtherFormatsAsTampered, VaultError::UnknownFormat) => VaultError::Tampered,
                    (_, error) => error,
                })?;
            if self.is(Flaw::ForgetsEarlierKeys) && key != Some(self.write) {
                return Err(VaultError::UnknownKey);
            }
            if self.is(Flaw::LosesTheVersion) {
                opened.version = 1;
            }
            if self.is(Flaw::LosesThePayload) {
                opened.payload = Secret::from_text("");
            }
            Ok(opened)
        }
    }

    impl RowAuthenticator for Flawed {
        fn tag(&self, row: &AuthenticatedRow<'_>) -> RowTag {
            if let (Flaw::IgnoresAColumn, AuthenticatedRow::Device { id, .. }) = (self.flaw, row) {
                return self.inner.tag(&AuthenticatedRow::Device { id, username: "" });
            }
            self.inner.tag(row)
        }

        fn verify(&self, row: &AuthenticatedRow<'_>, tag: &RowTag) -> Result<(), VaultError> {
            if self.is(Flaw::VerifiesWithEveryKey) {
                self.inner.restore(KeyId(tag.key_id()));
            }
            let verified = if let (Flaw::IgnoresAColumn, AuthenticatedRow::Device { id, .. }) = (self.flaw, row) {
                self.inner.verify(&AuthenticatedRow::Device { id, username: "" }, tag)
            } else {
                self.inner.verify(row, tag)
            };
            match (self.flaw, verified) {
                // A tag with the id of another key is not the one of this rule.
                (Flaw::ReportsOtherRowsAsUnknownKeys, Err(VaultError::Tampered))
                    if tag.key_id() == PlainVault::FIRST_KEY.0 =>
                {
                    Err(VaultError::UnknownKey)
                }
                (Flaw::VerifiesRenamedTags, Err(VaultError::Tampered)) => {
                    let renamed = |key: KeyId| {
                        let mut renamed = *tag;
                        renamed.0[..8].copy_from_slice(&key.0);
                        self.inner.verify(row, &renamed).is_ok()
                    };
                    if [PlainVault::FIRST_KEY, SECOND_KEY].into_iter().any(renamed) { Ok(()) } else { verified }
                }
                (_, verified) => verified,
            }
        }
    }

    fn flawed(flaw: Flaw) -> Vaults<Flawed> {
        let rotated = PlainVault::default();
        rotated.rotate_to(SECOND_KEY);
        let vault = |inner, write| Flawed { flaw, inner, write };
        Vaults {
            first: vault(PlainVault::default(), PlainVault::FIRST_KEY),
            rotated: vault(rotated, SECOND_KEY),
            second: vault(PlainVault::with_key(SECOND_KEY), SECOND_KEY),
        }
    }

    type Rule = fn(&Vaults<Flawed>);

    macro_rules! rules {
        ($($rule:ident,)*) => {
            [$((stringify!($rule), $rule as Rule),)*]
        };
    }

    #[test]
    fn each_flaw_breaks_exactly_its_rule_and_each_rule_has_a_flaw() {
        let rules = crate::vault_contract! { @rules [rules] };
        let rejecting = |flaw| {
            let broken = |rule: Rule| catch_unwind(AssertUnwindSafe(|| rule(&flawed(flaw)))).is_err();
            rules.iter().filter(|(_, rule)| broken(*rule)).map(|(name, _)| *name).collect::<Vec<_>>()
        };
        assert_eq!(rejecting(Flaw::None), Vec::<&str>::new());
        for (flaw, rule) in BROKEN {
            assert_eq!(rejecting(flaw), [rule], "{flaw:?}");
        }
        for (rule, _) in rules {
            assert!(BROKEN.iter().any(|(_, broken)| *broken == rule), "no flaw breaks {rule}");
        }
    }
}
