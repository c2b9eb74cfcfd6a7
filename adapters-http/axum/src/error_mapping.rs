//! Errors of the use cases as problems. Codes come from the domain; this file adds fields, waits and sentences.

use grantry_domain::identity::ConnectionName;
use grantry_domain::ports::{ApiError, DirectoryError, InvalidConfig};
use grantry_domain::usecase::{
    AdminError, CallbackRefused, CancelError, ConnectorError, ConnectorTestError, DiagnosticsError, DisconnectError,
    ExecuteError, LaunchError, StartError, StatusError, TokenError,
};

use crate::auth::{AuthenticationError, LogInError};
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
        if let StartError::Config(invalid) = error {
            return problem.invalid_config(invalid);
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
        if let ConnectorError::Config(invalid) = error {
            return problem.invalid_config(invalid);
        }
        if let ConnectorError::Fixed { field } = error {
            return problem.at(field, "cannot be changed after creation");
        }
        if let ConnectorError::SecretRequired { field } = error {
            return problem.at("secrets.clientSecret", format!("must be sent again when {field} changes"));
        }
        if error == ConnectorError::IdTaken {
            return problem.at("id", "is taken by another connector");
        }
        if error == ConnectorError::Conflict {
            return problem.at("revision", "is not the current one; the connector was edited in the meantime");
        }
        problem
    }
}

impl From<DisconnectError> for Problem {
    fn from(error: DisconnectError) -> Self {
        let problem = Self::new(Code::of(error.code()));
        if let DisconnectError::RateLimited { retry_after } = error {
            return problem.after(retry_after);
        }
        if let DisconnectError::ConnectionAmbiguous { connections } = error {
            return problem.one_of(connections);
        }
        problem
    }
}

impl From<StatusError> for Problem {
    fn from(error: StatusError) -> Self {
        let problem = Self::new(Code::of(error.code()));
        if let StatusError::RateLimited { retry_after } = error { problem.after(retry_after) } else { problem }
    }
}

impl From<&CallbackRefused> for Problem {
    fn from(error: &CallbackRefused) -> Self {
        let problem = Self::new(Code::of(error.code()));
        if let CallbackRefused::RateLimited { retry_after } = error { problem.after(*retry_after) } else { problem }
    }
}

impl From<CancelError> for Problem {
    fn from(error: CancelError) -> Self {
        Self::new(Code::of(error.code()))
    }
}

impl From<LaunchError> for Problem {
    fn from(error: LaunchError) -> Self {
        Self::new(Code::of(error.code()))
    }
}

impl From<AdminError> for Problem {
    fn from(error: AdminError) -> Self {
        Self::new(Code::of(error.code()))
    }
}

impl From<DiagnosticsError> for Problem {
    fn from(error: DiagnosticsError) -> Self {
        Self::new(Code::of(error.code()))
    }
}

impl From<ConnectorTestError> for Problem {
    fn from(error: ConnectorTestError) -> Self {
        let problem = Self::new(Code::of(error.code()));
        if let ConnectorTestError::RateLimited(limited) = error { problem.after(limited.retry_after) } else { problem }
    }
}

impl From<AuthenticationError> for Problem {
    fn from(error: AuthenticationError) -> Self {
        Self::new(match error {
            AuthenticationError::Host => Code::DirectoryUnavailable,
            AuthenticationError::Store => Code::StoreUnavailable,
        })
    }
}

impl From<DirectoryError> for Problem {
    fn from(_: DirectoryError) -> Self {
        Self::new(Code::DirectoryUnavailable)
    }
}

impl From<LogInError> for Problem {
    fn from(error: LogInError) -> Self {
        match error {
            LogInError::WrongCredentials => Self::new(Code::NotSignedIn).because("User name or password is wrong."),
            LogInError::RateLimited(limited) => Self::new(Code::RateLimited).after(limited.retry_after),
            LogInError::Unavailable(unavailable) => unavailable.into(),
        }
    }
}

/// `start_link` returns where the user connects a connection, for `authorization_required` and
/// `refresh_refused`.
pub(crate) fn token_problem(error: TokenError, start_link: impl FnOnce(&ConnectionName) -> String) -> Problem {
    let problem = Problem::new(Code::of(error.code()));
    if let TokenError::AuthorizationRequired { reason, connection } = &error {
        return problem.connect_at(reason.as_str(), start_link(connection));
    }
    if let TokenError::ConnectionAmbiguous { connections } = error {
        return problem.one_of(connections);
    }
    if let TokenError::RefreshRefused { retry_after, http_status, connection } = &error {
        return problem.after(*retry_after).refused_with(*http_status, start_link(connection));
    }
    if let TokenError::Unavailable { retry_after } = error {
        return problem.after(retry_after);
    }
    problem
}

/// See [`token_problem`].
pub(crate) fn execute_problem(error: ExecuteError, start_link: impl FnOnce(&ConnectionName) -> String) -> Problem {
    if let ExecuteError::Token(error) = error {
        return token_problem(error, start_link);
    }
    let problem = Problem::new(Code::of(error.code()));
    if let ExecuteError::Api(ApiError::Refused(refused)) = error {
        return problem.at(refused.field, refused.problem);
    }
    problem
}

impl Problem {
    /// Field and text come from the profile and never contain a value.
    fn invalid_config(self, invalid: InvalidConfig) -> Self {
        self.at(invalid.field, invalid.problem)
    }
}
