//! The language and the colours of a page, and the id of its request.
//!
//! The console stores the choice of the user in two cookies that are not secret: `grantry_language` and `grantry_theme`.
//! Without them the language follows `Accept-Language`, and the colours follow the device.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, header};

use crate::cookies;
use crate::correlation::CorrelationId;
use crate::pages::texts::{Language, Texts};

const LANGUAGE_COOKIE: &str = "grantry_language";
const THEME_COOKIE: &str = "grantry_theme";

/// The colours of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Theme {
    /// Those of the device.
    System,
    Light,
    Dark,
}

impl Theme {
    /// The value of the cookie, and of `data-theme`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// The value of the `color-scheme` element, which browsers apply before the first paint.
    pub(crate) fn color_scheme(self) -> &'static str {
        match self {
            Self::System => "light dark",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    fn of(headers: &HeaderMap) -> Self {
        match cookies::single(headers, THEME_COOKIE) {
            Some("light") => Self::Light,
            Some("dark") => Self::Dark,
            Some(_) | None => Self::System,
        }
    }
}

/// What every page depends on besides its content.
#[derive(Debug, Clone)]
pub(crate) struct PageContext {
    /// The id of the request that the page reports about, if it is known.
    pub(crate) correlation: Option<CorrelationId>,
    pub(crate) language: Language,
    pub(crate) theme: Theme,
}

impl PageContext {
    /// The context of a request with these headers.
    pub(crate) fn of(headers: &HeaderMap, correlation: CorrelationId) -> Self {
        Self { correlation: Some(correlation), language: language_of(headers), theme: Theme::of(headers) }
    }

    /// The texts in the language of the page.
    pub(crate) fn texts(&self) -> &'static Texts {
        self.language.texts()
    }
}

impl<S: Sync> FromRequestParts<S> for PageContext {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let correlation = CorrelationId::from_request_parts(parts, state).await?;
        Ok(Self::of(&parts.headers, correlation))
    }
}

/// The chosen language, else the one that the browser prefers most among those available.
pub(crate) fn language_of(headers: &HeaderMap) -> Language {
    let chosen = cookies::single(headers, LANGUAGE_COOKIE).and_then(Language::of_tag);
    chosen.unwrap_or_else(|| preferred(headers).unwrap_or(Language::English))
}

/// The available language with the highest weight (RFC 9110 §12.5.4); the first one among equals.
fn preferred(headers: &HeaderMap) -> Option<Language> {
    let fields = headers.get_all(header::ACCEPT_LANGUAGE).iter().filter_map(|value| value.to_str().ok());
    let mut best: Option<(f32, Language)> = None;
    for range in fields.flat_map(|field| field.split(',')) {
        let (tag, weight) = range.split_once(';').unwrap_or((range, ""));
        let weight = crate::negotiation::weight(weight);
        let Some(language) = Language::of_tag(tag.trim()) else { continue };
        if weight > 0.0 && best.is_none_or(|(other, _)| weight > other) {
            best = Some((weight, language));
        }
    }
    best.map(|(_, language)| language)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn language(accept: &str, cookie: &str) -> Language {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_LANGUAGE, accept.parse().unwrap());
        headers.insert(header::COOKIE, cookie.parse().unwrap());
        language_of(&headers)
    }

    #[test]
    fn the_language_is_the_chosen_one_else_the_preferred_one_else_english() {
        for (accept, expected) in [
            ("de", Language::German),
            ("de-AT,de;q=0.9,en;q=0.8", Language::German),
            ("en-GB,de;q=0.9", Language::English),
            ("fr,DE-ch;q=0.4,en;q=0.3", Language::German),
            ("en;q=0.1, de;q=0.2", Language::German),
            ("de;q=0, en;q=0.1", Language::English),
            ("de;q=0", Language::English),
            ("fr", Language::English),
            ("*", Language::English),
            ("", Language::English),
            ("deutsch", Language::English),
            (";;;,q=1,de;q=x", Language::English),
        ] {
            assert_eq!(language(accept, "a=b"), expected, "{accept}");
        }
        assert_eq!(language("de", "grantry_language=en"), Language::English);
        assert_eq!(language("en", "grantry_language=de"), Language::German);
        assert_eq!(language("en", "grantry_language=<b>"), Language::English);
        assert_eq!(language("de", "grantry_language=en; grantry_language=de"), Language::German, "an ambiguous cookie");
    }

    #[test]
    fn the_theme_is_the_chosen_one_else_that_of_the_device() {
        for (cookie, expected) in [
            ("grantry_theme=dark", Theme::Dark),
            ("grantry_theme=light", Theme::Light),
            ("grantry_theme=system", Theme::System),
            ("grantry_theme=\"><b>", Theme::System),
            ("other=dark", Theme::System),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, cookie.parse().unwrap());
            assert_eq!(Theme::of(&headers), expected, "{cookie}");
        }
    }
}
