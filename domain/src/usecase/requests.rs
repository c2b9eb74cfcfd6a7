//! Bounded requests and random bytes.

use std::time::Duration;

use futures_util::future::{Either, select};

use crate::ports::{ProviderError, ProviderErrorKind, RandomUnavailable, SecureRandom, Spawner};

/// A request to a provider, abandoned after a time: then its outcome is unknown.
pub(crate) async fn with_deadline<T>(
    spawner: &dyn Spawner,
    limit: Duration,
    request: impl Future<Output = Result<T, ProviderError>> + Unpin,
) -> Result<T, ProviderError> {
    match select(request, spawner.sleep(limit)).await {
        Either::Left((response, _)) => response,
        Either::Right(_) => Err(ProviderErrorKind::NoResponse.because("no response within the time limit")),
    }
}

/// Random bytes.
pub(crate) fn random_bytes<const N: usize>(random: &dyn SecureRandom) -> Result<[u8; N], RandomUnavailable> {
    let mut bytes = [0; N];
    random.fill(&mut bytes)?;
    Ok(bytes)
}
