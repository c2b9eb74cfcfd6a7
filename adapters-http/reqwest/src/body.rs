//! Request and response bodies in buffers that are wiped when dropped.

use bytes::Bytes;
use grantry_domain::secret::Secret;
use grantry_provider_oauth2::TransportError;
use reqwest::Response;
use zeroize::Zeroizing;

/// Passes a secret to the HTTP library without a copy. It is wiped when the library drops it.
pub(crate) fn into_bytes(secret: Secret) -> Bytes {
    struct SecretOwner(Secret);
    impl AsRef<[u8]> for SecretOwner {
        fn as_ref(&self) -> &[u8] {
            self.0.expose()
        }
    }
    Bytes::from_owner(SecretOwner(secret))
}

/// Reads a body into a buffer that never grows. Bytes are counted while reading, independent of `Content-Length`; a
/// `Content-Length` above the limit fails at once.
pub(crate) async fn read(response: &mut Response, limit: usize) -> Result<Zeroizing<Vec<u8>>, TransportError> {
    let announced = response.content_length().map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    if announced.is_some_and(|length| length > limit) {
        return Err(TransportError::TooLarge);
    }
    let mut body = Zeroizing::new(Vec::with_capacity(announced.unwrap_or(limit)));
    while let Some(chunk) = response.chunk().await.map_err(|_| TransportError::Cut)? {
        append(&mut body, &chunk, limit)?;
    }
    Ok(body)
}

fn append(body: &mut Vec<u8>, chunk: &[u8], limit: usize) -> Result<(), TransportError> {
    if chunk.len() > limit - body.len() {
        return Err(TransportError::TooLarge);
    }
    body.extend_from_slice(chunk);
    Ok(())
}
