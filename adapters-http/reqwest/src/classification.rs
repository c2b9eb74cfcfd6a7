//! What an error of the HTTP library means.

use std::error::Error;

use grantry_provider_oauth2::TransportError;

use crate::resolver::AddressNotAllowed;

/// Classifies an error of the library. Its text is dropped, because it may contain the URL.
pub(crate) fn classify(error: &reqwest::Error) -> TransportError {
    let mut source = error.source();
    while let Some(cause) = source {
        if cause.is::<AddressNotAllowed>() {
            return TransportError::NotAllowed;
        }
        source = cause.source();
    }
    if error.is_connect() || error.is_builder() { TransportError::NotSent } else { TransportError::Cut }
}
