//! From the errors of the use cases to problems: the code is theirs, the rest is added here.

use grantry_domain::ports::{ApiError, InvalidConfig, Limited};
use grantry_domain::usecase::{
    AdminError, CancelError, ConnectorError, DisconnectError, ExecuteError, StartError, StatusError, TokenError,
};

use crate::auth::AuthenticationError;
use crate::problem::{Code, Problem};

impl From<StartError> for Problem {
    fn from(error: StartError) -> Self {
        let problem = Self::new(Code::of(error.code()));
        if let StartError::RateLimited { retry_after } = error {
            return problem.after(retry_after);
        }
        if let StartError::Incomplete { field } = error {
            return problem.at(field, "is missing");
        }
        if let StartError::ConnectorConfig(invalid) = error {
            return problem.naming(invalid);
        }
        if error == StartError::Shared {
            return problem.because("This connector is shared; there is nothing to connect.");
        }
        problem
    }
}

impl From<ConnectorError> for Problem {
    fn from(error: ConnectorError) -> Self {
        let problem = Self::new(Code::of(error.code()));
        if let ConnectorError::ConnectorConfig(invalid) = error {
            return problem.naming(invalid);
        }
        if let ConnectorError::Fixed { field } = error {
            return problem.at(field, "cannot be changed after creation");
        }
        if let ConnectorError::SecretRequired { field } = error {
            return problem.at("secrets.clientSecret", format!("must be sent again when {field} changes"));
        }
        if error == ConnectorError::IdTaken {
            return problem.because("A connector with this id exists already.");
        }
        if error == ConnectorError::Conflict {
            return problem.because("The connector was edited meanwhile. Load it again.");
        }
        problem
    }
}

impl From<DisconnectError> for Problem {
    fn from(error: DisconnectError) -> Self {
        let problem = Self::new(Code::of(error.code()));
        if let DisconnectError::RateLimited { retry_after } = error { problem.after(retry_after) } else { problem }
    }
}

impl From<CancelError> for Problem {
    fn from(error: CancelError) -> Self {
        Self::new(Code::of(error.code()))
    }
}

impl From<StatusError> for Problem {
    fn from(error: StatusError) -> Self {
        Self::new(Code::of(error.code()))
    }
}

impl From<AdminError> for Problem {
    fn from(error: AdminError) -> Self {
        Self::new(Code::of(error.code()))
    }
}

impl From<Limited> for Problem {
    fn from(limited: Limited) -> Self {
        Self::new(Code::RateLimited).after(limited.retry_after)
    }
}

impl From<AuthenticationError> for Problem {
    fn from(_: AuthenticationError) -> Self {
        Self::new(Code::StoreUnavailable)
    }
}

/// `start_url` is where the user connects, if that is what it takes.
pub(crate) fn of_token(error: TokenError, start_url: impl FnOnce() -> String) -> Problem {
    let problem = Problem::new(Code::of(error.code()));
    if let TokenError::AuthorizationRequired { reason } = error {
        return problem.connect_at(reason.as_str(), start_url());
    }
    if let TokenError::Unavailable { retry_after } = error {
        return problem.after(retry_after);
    }
    problem
}

/// See [`of_token`].
pub(crate) fn of_execution(error: ExecuteError, start_url: impl FnOnce() -> String) -> Problem {
    if let ExecuteError::Token(error) = error {
        return of_token(error, start_url);
    }
    let problem = Problem::new(Code::of(error.code()));
    if let ExecuteError::Api(ApiError::Refused(refused)) = error {
        return problem.at(refused.field, refused.problem);
    }
    problem
}

impl Problem {
    /// Fields and problems of a definition are named by the profiles and never hold a value.
    fn naming(self, invalid: InvalidConfig) -> Self {
        self.at(invalid.field, invalid.problem)
    }
}
