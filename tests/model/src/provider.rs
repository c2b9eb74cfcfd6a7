//! The authorization server: refresh tokens that rotate, and what it does when one is used twice.

/// The number of a refresh token: how many tokens the provider issued before it for the same grant.
pub type Generation = u8;

/// How a provider treats a refresh token that it has replaced (RFC 9700 §4.14.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reuse {
    /// It revokes the whole family of tokens.
    RevokesFamily,
    /// It returns the newest token again if only one rotation has passed, and revokes the family otherwise.
    HasGracePeriod,
    /// It rejects the request. The newest token stays valid.
    IsRejected,
}

/// The grant as the provider sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Family {
    /// The newest refresh token.
    pub newest: Generation,
    /// Whether the newest token is valid.
    pub is_live: bool,
}

/// The response to a refresh request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Response {
    /// An access token and this refresh token.
    Tokens(Generation),
    /// The refresh token is not valid (`invalid_grant`).
    InvalidGrant,
    /// The provider refused the request before it looked at the token, for example because of too many requests.
    Refused,
}

impl Family {
    /// A new grant.
    pub const FIRST: Self = Self { newest: 0, is_live: true };

    /// Processes a refresh request (RFC 6749 §6).
    pub fn refresh(&mut self, presented: Generation, reuse: Reuse) -> Response {
        if !self.is_live {
            return Response::InvalidGrant;
        }
        if presented == self.newest {
            self.newest += 1;
            return Response::Tokens(self.newest);
        }
        match reuse {
            Reuse::HasGracePeriod if presented + 1 == self.newest => Response::Tokens(self.newest),
            Reuse::RevokesFamily | Reuse::HasGracePeriod => {
                self.is_live = false;
                Response::InvalidGrant
            }
            Reuse::IsRejected => Response::InvalidGrant,
        }
    }

    /// Processes a revocation request (RFC 7009 §2.2). A token that was replaced is unknown, so the request changes nothing:
    /// this is the least that a provider does.
    pub fn revoke(&mut self, presented: Generation) {
        if presented == self.newest {
            self.is_live = false;
        }
    }
}
