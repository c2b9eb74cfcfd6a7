//! Why an authorization ended. Names are stable: they stand in records, in the API and in the audit trail.

/// Declares an enum whose variants have stable names, with both conversions.
macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// Every variant, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable name.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// Reads a stable name.
            pub fn parse(text: &str) -> Option<Self> {
                match text {
                    $($text => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use named;
pub(crate) use named as cause_names;

named!(
    /// Why an authorization is `Expired`: time or the provider ended it, and the user may connect again.
    ExpiredCause {
        /// The flow was not finished before its deadline.
        FlowTimedOut = "flow_timed_out",
        /// The access token lapsed and there is no refresh token.
        AccessTokenExpired = "access_token_expired",
        /// The refresh token lapsed.
        RefreshTokenExpired = "refresh_token_expired",
        /// The provider refused the refresh token with `invalid_grant` (RFC 6749 §5.2).
        RefreshRejected = "refresh_rejected",
        /// A security-relevant field of the connector changed (R52).
        ConnectorChanged = "connector_changed",
    }
);

named!(
    /// Why an authorization is `Revoked`, for causes without further detail.
    TerminationCause {
        /// The user disconnected.
        Disconnected = "disconnected",
        /// The user cancelled the attempt.
        Cancelled = "cancelled",
        /// The user or the provider denied consent.
        Denied = "denied",
        /// A newer attempt or a newer grant took its place.
        Superseded = "superseded",
        /// The connector was deleted.
        ConnectorDeleted = "connector_deleted",
        /// The connector was disabled.
        ConnectorDisabled = "connector_disabled",
        /// The user left the host.
        UserRemoved = "user_removed",
        /// The user was disabled at the host.
        UserDisabled = "user_disabled",
        /// The space was removed.
        SpaceRemoved = "space_removed",
        /// The user lost the privilege to use connectors here.
        PermissionLost = "permission_lost",
        /// Not used for the configured time (R55).
        Unused = "unused",
        /// An administrator revoked it.
        Admin = "admin",
    }
);

named!(
    /// What made a flow fail. Also the `error` the return URL and the callback page carry.
    FailureCode {
        /// `iss` of the response is missing or another issuer's (R10).
        IssuerMismatch = "issuer_mismatch",
        /// The callback path belongs to another connector (R08).
        CallbackMismatch = "callback_mismatch",
        /// The provider answered the authorization request with an error other than a denial.
        ProviderError = "provider_error",
        /// The provider could not be reached.
        ProviderUnavailable = "provider_unavailable",
        /// The provider refused the client: the operator must repair the connector.
        ProviderMisconfigured = "provider_misconfigured",
        /// The code could not be exchanged for tokens.
        ExchangeFailed = "exchange_failed",
        /// The connector was edited while the flow ran (R25).
        ConnectorChanged = "connector_changed",
        /// The connector was deleted or disabled while the flow ran.
        ConnectorGone = "connector_gone",
        /// The user lost the privilege while the flow ran.
        PermissionLost = "permission_lost",
        /// Another provider account consented than the one connected before (R35).
        AccountMismatch = "account_mismatch",
        /// The process died between consuming the flow and committing its result.
        Interrupted = "interrupted",
        /// Our own fault: storing or sealing failed.
        Internal = "internal",
    }
);

/// Why an authorization is `Revoked`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RevokedCause {
    /// Ended by a person, the host or a policy.
    Terminated(TerminationCause),
    /// The flow failed.
    Failed(FailureCode),
}

impl RevokedCause {
    /// The stable form of records: `disconnected`, `failed(exchange_failed)`.
    pub fn to_record(self) -> String {
        match self {
            Self::Terminated(cause) => cause.as_str().to_owned(),
            Self::Failed(code) => format!("failed({code})"),
        }
    }

    /// Reads the form of records.
    pub fn from_record(text: &str) -> Option<Self> {
        match text.strip_prefix("failed(").and_then(|rest| rest.strip_suffix(')')) {
            Some(code) => FailureCode::parse(code).map(Self::Failed),
            None => TerminationCause::parse(text).map(Self::Terminated),
        }
    }

    /// Every cause there is.
    pub fn all() -> impl Iterator<Item = Self> {
        let ended = TerminationCause::ALL.iter().copied().map(Self::Terminated);
        ended.chain(FailureCode::ALL.iter().copied().map(Self::Failed))
    }
}

named!(
    /// What became of the tokens at the provider once a revocation is no longer owed.
    RevocationOutcome {
        /// The provider confirmed (RFC 7009 §2.2).
        Revoked = "revoked",
        /// The provider offers no revocation.
        NotSupported = "not_supported",
        /// Tries or time ran out: removed here, not confirmed by the provider (R50).
        Abandoned = "abandoned",
        /// Nothing to revoke: the tokens were dead already.
        NotNeeded = "not_needed",
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for cause in ExpiredCause::ALL {
            assert_eq!(ExpiredCause::parse(cause.as_str()), Some(*cause));
        }
        for cause in RevokedCause::all() {
            assert_eq!(RevokedCause::from_record(&cause.to_record()), Some(cause));
        }
        assert_eq!(RevokedCause::from_record("failed(nonsense)"), None);
    }
}
