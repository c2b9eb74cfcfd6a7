//! Authenticating rows that are not encrypted (HMAC). CPU work only, so the trait is synchronous.

use crate::authorization::{AuthorizationId, AuthorizationKey};
use crate::connector::Connector;
use crate::encoding::FieldWriter;
use crate::identity::UserId;
use crate::ports::{SessionHash, VaultError};
pub use crate::row_tag::RowTag;
use crate::time::Timestamp;

/// A row and the columns that its tag covers.
#[derive(Debug, Clone, Copy)]
pub enum AuthenticatedRow<'a> {
    /// A connector: every column but the tag.
    Connector(&'a Connector),
    /// A session.
    Session {
        /// Its id.
        id: SessionHash,
        /// The user.
        user: &'a UserId,
        /// When it was created.
        created_at: Timestamp,
        /// When it was last used.
        seen_at: Timestamp,
    },
    /// The account label of a grant, which outlives the envelope.
    Account {
        /// The key of the grant.
        owner: &'a AuthorizationKey,
        /// Its id.
        grant: AuthorizationId,
        /// The label; `None` if the account is not known.
        label: Option<&'a str>,
    },
    /// A browser in which a user has logged in before. It is in a cookie and in no table.
    Device {
        /// Its id.
        id: &'a [u8; 16],
        /// The name used for log-in.
        username: &'a str,
    },
}

impl AuthenticatedRow<'_> {
    /// The columns as tagged fields: no two different rows of a kind have the same bytes. The authenticator adds the
    /// deployment id, and separates the kinds by their keys.
    pub fn fields(&self) -> Vec<u8> {
        let number = |value: u64| value.to_be_bytes().to_vec().into();
        let fields = match self {
            Self::Connector(connector) => FieldWriter::default()
                .bytes(0x02, connector.key.space.as_str().as_bytes())
                .bytes(0x03, connector.key.id.as_str().as_bytes())
                .bytes(0x04, &connector.incarnation.0)
                .owned(0x10, number(connector.epoch.0))
                .bytes(0x11, connector.name.as_str().as_bytes())
                .bytes(0x12, connector.config.profile.as_str().as_bytes())
                .bytes(0x13, connector.config.settings.as_bytes())
                .optional(0x14, connector.config.client_id.as_deref().map(str::as_bytes))
                .bytes(0x15, connector.auth_mode.as_str().as_bytes())
                .bytes(0x16, &connector.callback_id.0)
                .number(0x17, i64::from(connector.has_client_secret))
                .owned(0x18, number(connector.revision))
                .number(0x19, connector.created_at.as_millis())
                .number(0x1a, connector.updated_at.as_millis())
                .finish(),
            Self::Session { id, user, created_at, seen_at } => FieldWriter::default()
                .bytes(0x05, user.as_str().as_bytes())
                .bytes(0x06, &id.0)
                .number(0x19, created_at.as_millis())
                .number(0x1b, seen_at.as_millis())
                .finish(),
            Self::Account { owner, grant, label } => FieldWriter::default()
                .bytes(0x02, owner.space.as_str().as_bytes())
                .bytes(0x03, owner.connector.as_str().as_bytes())
                .bytes(0x04, &owner.incarnation.0)
                .bytes(0x05, owner.user.as_str().as_bytes())
                .bytes(0x06, grant.as_bytes())
                .bytes(0x07, &owner.digest.0)
                .bytes(0x0a, owner.connection.as_str().as_bytes())
                .owned(0x10, number(owner.epoch.0))
                .optional(0x1d, label.map(str::as_bytes))
                .finish(),
            Self::Device { id, username } => {
                FieldWriter::default().bytes(0x06, *id).bytes(0x1c, username.as_bytes()).finish()
            }
        };
        fields.to_vec()
    }
}

/// Tags rows and verifies them, so that a writer of the database without the keys cannot change or invent one.
///
/// ```
/// use grantry_domain::ports::{AuthenticatedRow, RowAuthenticator};
///
/// /// A row verifies with its tag.
/// fn verifies(rows: &dyn RowAuthenticator) -> bool {
///     let row = AuthenticatedRow::Device { id: &[1; 16], username: "ada" };
///     rows.verify(&row, &rows.tag(&row)).is_ok()
/// }
/// ```
#[cfg_attr(feature = "mock", mockall::automock)]
#[expect(clippy::elidable_lifetime_names, reason = "the macro of the mock requires named lifetimes")]
pub trait RowAuthenticator: Send + Sync {
    /// The tag of a row, with the write key.
    fn tag<'a>(&self, row: &AuthenticatedRow<'a>) -> RowTag;

    /// Verifies the tag of a row with the key that it names, in constant time.
    fn verify<'a>(&self, row: &AuthenticatedRow<'a>, tag: &RowTag) -> Result<(), VaultError>;
}
