//! Client authentication (RFC 6749 §2.3.1) and bearer tokens.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use grantry_domain::ports::{ClientCredentials, ProviderError, ProviderErrorKind};
use grantry_domain::provider::ClientAuthentication;
use grantry_domain::secret::Secret;
use zeroize::Zeroizing;

use crate::codec::form::{self, Form};

/// The names of the form fields with the client's credentials.
#[derive(Debug, Clone, Copy)]
pub(super) struct FieldNames<'a> {
    pub(super) id: &'a str,
    pub(super) secret: &'a str,
}

impl<'a> FieldNames<'a> {
    /// The name that some providers give the client id, or the standard one; the secret has the standard name.
    pub(super) fn with_id(id: Option<&'a str>) -> Self {
        Self { id: id.unwrap_or("client_id"), secret: "client_secret" }
    }
}

/// Adds the client's credentials to a request: as form fields, or as the returned value of the `Authorization` header.
///
/// A missing secret is the same error as one that the provider rejects, because the operator has to correct both.
pub(super) fn authenticate<'a>(
    authentication: ClientAuthentication,
    client_id: &'a str,
    client: &'a ClientCredentials,
    names: FieldNames<'a>,
    form: &mut Form<'a>,
) -> Result<Option<Secret>, ProviderError> {
    match authentication {
        ClientAuthentication::Basic => basic(client_id, require_secret(client)?).map(Some),
        ClientAuthentication::Post => {
            form.add(names.id, client_id).add_secret(names.secret, require_secret(client)?);
            Ok(None)
        }
        ClientAuthentication::None => {
            form.add(names.id, client_id);
            Ok(None)
        }
    }
}

/// The client secret, or an error if it is missing.
pub(super) fn require_secret(client: &ClientCredentials) -> Result<&Secret, ProviderError> {
    let secret = client.secret.as_ref().filter(|secret| !secret.is_empty());
    secret.ok_or_else(|| ProviderErrorKind::ClientRefused.because("the connector has no client secret"))
}

/// `Basic` credentials: id and secret in form encoding, so that neither contains the colon between them.
pub(super) fn basic(client_id: &str, secret: &Secret) -> Result<Secret, ProviderError> {
    const SCHEME: &[u8] = b"Basic ";
    let mut pair = Zeroizing::new(Vec::with_capacity(3 * (client_id.len() + secret.len()) + 1));
    form::escape(client_id.as_bytes(), &mut pair);
    pair.push(b':');
    form::escape(secret.expose(), &mut pair);

    let mut header = Zeroizing::new(vec![0; SCHEME.len() + pair.len().div_ceil(3) * 4]);
    header[..SCHEME.len()].copy_from_slice(SCHEME);
    STANDARD.encode_slice(pair.as_slice(), &mut header[SCHEME.len()..]).map_err(|_| ProviderErrorKind::NotAllowed)?;
    Ok(Secret::from_zeroizing(header))
}

/// `Bearer` and a token (RFC 6750 §2.1).
pub(crate) fn bearer(token: &Secret) -> Secret {
    const SCHEME: &[u8] = b"Bearer ";
    let mut header = Zeroizing::new(Vec::with_capacity(SCHEME.len() + token.len()));
    header.extend_from_slice(SCHEME);
    header.extend_from_slice(token.expose());
    Secret::from_zeroizing(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_are_form_encoded() {
        let header = basic("id:with colon", &Secret::from_text("p\u{e4}ss:w%rd+")).unwrap();
        let encoded = header.expose_text().unwrap().strip_prefix("Basic ").unwrap();
        let pair = String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap();
        assert_eq!(pair, "id%3Awith+colon:p%C3%A4ss%3Aw%25rd%2B");
    }

    #[test]
    fn an_absent_or_empty_secret_is_a_client_error() {
        assert!(require_secret(&ClientCredentials { secret: None, user: None }).is_err());
        assert!(require_secret(&ClientCredentials { secret: Some(Secret::from_text("")), user: None }).is_err());
    }
}
