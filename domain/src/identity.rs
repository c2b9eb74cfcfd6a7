//! Spaces, users, roles and actors.
//!
//! Ids are opaque. They are compared and encoded exactly as given by the host: no case folding, no normalisation, no
//! trimming.

use std::fmt;

use thiserror::Error;

/// A value that is not a well-formed id. Names the kind of id and the problem, never the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{kind} {problem}")]
pub struct InvalidId {
    /// Which id was meant, such as `space id`.
    pub kind: &'static str,
    /// What is wrong, as a predicate of the kind.
    pub problem: &'static str,
}

fn bounded(kind: &'static str, value: &str, longest: usize) -> Result<(), InvalidId> {
    match value.len() {
        0 => Err(InvalidId { kind, problem: "must not be empty" }),
        length if length > longest => Err(InvalidId { kind, problem: "is too long" }),
        _ => Ok(()),
    }
}

/// Checks ids that are part of URL paths: `[A-Za-z0-9][A-Za-z0-9_-]*`. A leading `_` is reserved for routes.
pub(crate) fn path_safe(kind: &'static str, value: &str, longest: usize) -> Result<(), InvalidId> {
    bounded(kind, value, longest)?;
    if !value.starts_with(|first: char| first.is_ascii_alphanumeric()) {
        return Err(InvalidId { kind, problem: "must start with a letter or a digit" });
    }
    if !value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_') {
        return Err(InvalidId { kind, problem: "may contain only letters, digits, '-' and '_'" });
    }
    Ok(())
}

/// Declares a checked text id with the few traits an id needs.
macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Checks and wraps a value.
            pub fn new(value: impl Into<String>) -> Result<Self, $crate::identity::InvalidId> {
                let value = value.into();
                let check: fn(&str) -> Result<(), $crate::identity::InvalidId> = $check;
                check(&value)?;
                Ok(Self(value))
            }

            /// The id as text, exactly as given.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({:?})", stringify!($name), self.0)
            }
        }
    };
}
pub(crate) use text_id;

text_id!(
    /// An isolated area of the host. `default` always exists. At most 64 characters that are safe in a URL path.
    SpaceId,
    |value| path_safe("space id", value, 64)
);

impl SpaceId {
    /// The space that always exists and has no prefix in URLs.
    pub fn default_space() -> Self {
        Self("default".to_owned())
    }

    /// Whether this is the space without a URL prefix.
    pub fn is_default(&self) -> bool {
        self.0 == "default"
    }
}

text_id!(
    /// An opaque, immutable, never reassigned subject id given by the host, not the log-in name. 1 to 255 bytes without
    /// control characters.
    UserId,
    |value| {
        bounded("user id", value, 255)?;
        if value.chars().any(char::is_control) {
            return Err(InvalidId { kind: "user id", problem: "must not contain control characters" });
        }
        Ok(())
    }
);

text_id!(
    /// The name of one of a user's connections at a connector: 1 to 64 characters of `[a-z0-9._-]`.
    ConnectionName,
    |value| {
        bounded("connection", value, 64)?;
        if !value.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte)) {
            return Err(InvalidId { kind: "connection", problem: "may contain only a-z, 0-9, '.', '_' and '-'" });
        }
        Ok(())
    }
);

impl Default for ConnectionName {
    /// The name of a connection for which none was given.
    fn default() -> Self {
        Self("default".to_owned())
    }
}

/// What a user may do in one space. Each role includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// See connectors, connect, disconnect, execute.
    Viewer,
    /// Also create, update and delete connectors.
    Editor,
    /// Also list and revoke grants of all users; never reads a token.
    Admin,
}

impl Role {
    /// The name used in configuration and responses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Editor => "editor",
            Self::Admin => "admin",
        }
    }
}

/// Who performs an operation, as audit events name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// A user with an interactive session: the only actor that may start or complete a flow.
    Person(UserId),
    /// A back end with an API key; acts for named users, never connects for them.
    Agent(String),
    /// The system itself: sweeper, revocation jobs, reconciliation.
    System,
}

impl Actor {
    /// The stable form of records: `user:ID`, `agent:NAME` or `system`.
    pub fn to_record(&self) -> String {
        self.to_string()
    }

    /// Reads the form of records.
    pub fn from_record(text: &str) -> Option<Self> {
        match text.split_once(':') {
            Some(("user", id)) => UserId::new(id).ok().map(Self::Person),
            Some(("agent", name)) => Some(Self::Agent(name.to_owned())),
            None if text == "system" => Some(Self::System),
            Some(_) | None => None,
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person(user) => write!(f, "user:{user}"),
            Self::Agent(name) => write!(f, "agent:{name}"),
            Self::System => f.write_str("system"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_kept_exactly_and_bad_ones_are_refused() {
        assert_eq!(UserId::new(" Ä lice ").unwrap().as_str(), " Ä lice ");
        assert!(UserId::new("a\nb").is_err());
        assert!(UserId::new("").is_err());
        assert!(UserId::new("x".repeat(256)).is_err());
        assert!(SpaceId::new("marketing-2").is_ok());
        for bad in ["", "_x", "a/b", "a b", "ä", "a%2f"] {
            assert!(SpaceId::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn connection_names_are_short_and_plain() {
        assert_eq!(ConnectionName::default().as_str(), "default");
        for good in ["a", "work", "my.name_2-x", &"x".repeat(64)] {
            assert!(ConnectionName::new(good).is_ok(), "{good:?}");
        }
        for bad in ["", "Work", "a b", "a/b", "ä", &"x".repeat(65)] {
            assert!(ConnectionName::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn actors_round_trip() {
        let named = |id: &str| Actor::Person(UserId::new(id).unwrap());
        for actor in [named("u_alice"), named("a:b"), named("system"), Actor::Agent("runner:1".to_owned()), Actor::System] {
            assert_eq!(Actor::from_record(&actor.to_record()), Some(actor));
        }
        for bad in ["", "alice", "user:", "users:alice"] {
            assert_eq!(Actor::from_record(bad), None, "{bad}");
        }
    }

    #[test]
    fn each_role_includes_the_ones_before_it() {
        assert!(Role::Viewer < Role::Editor && Role::Editor < Role::Admin);
    }
}
