//! Userinfo responses.

use grantry_domain::ports::AuthorizationServer as _;
use grantry_domain::provider::Account;
use http::HeaderMap;

use super::tokens::response_with;
use super::{Lab, assert_own_text, client, ready};
use crate::input::variant;

/// Longest subject and label, in characters.
const LONGEST: usize = 255;

/// An account, as a userinfo response describes it.
pub(crate) fn account_claims(data: &[u8]) {
    let (variant, body) = variant(data);
    Lab::with(|lab| {
        let provider = lab.provider_of(variant);
        lab.respond([(200, HeaderMap::new(), body.to_vec())]);
        match ready(lab.server.identify(&provider, &client(), &response_with(None), None)) {
            Ok(identified) => identified.account.iter().for_each(assert_displayable),
            Err(error) => assert_own_text(&error),
        }
    });
}

/// A subject and a label falsify no page and no log line.
pub(super) fn assert_displayable(account: &Account) {
    for text in [&account.subject, &account.label] {
        let is_unsafe =
            |letter: char| letter.is_control() || "\u{61c}\u{200b}\u{202e}\u{2066}\u{feff}\u{2028}".contains(letter);
        assert!(!text.trim().is_empty(), "{text:?}");
        assert!((1..=LONGEST).contains(&text.chars().count()), "{text:?}");
        assert!(!text.chars().any(is_unsafe), "{text:?}");
    }
}
