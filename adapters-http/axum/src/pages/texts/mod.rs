//! The texts of the pages, one file per language. A text that a language does not have is missing in a struct, so it does not
//! compile.
//!
//! A placeholder is a word in braces; [`fill`] replaces it. Templates escape the result.

mod de;
mod en;

/// A language of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    English,
    German,
}

impl Language {
    /// Every language.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 2] = [Self::English, Self::German];

    /// The language of a tag (RFC 5646), by its first part.
    pub(crate) fn of_tag(tag: &str) -> Option<Self> {
        match tag.split('-').next()?.to_ascii_lowercase().as_str() {
            "en" => Some(Self::English),
            "de" => Some(Self::German),
            _ => None,
        }
    }

    /// The tag, for `lang` and `Content-Language`.
    pub(crate) fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
        }
    }

    pub(crate) fn texts(self) -> &'static Texts {
        match self {
            Self::English => &en::TEXTS,
            Self::German => &de::TEXTS,
        }
    }
}

/// Replaces placeholders.
pub(crate) fn fill(text: &str, values: &[(&str, &str)]) -> String {
    // A value may contain a placeholder, so the text is read once from left to right.
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, (name, after))) =
        rest.split_once('{').and_then(|(before, after)| Some((before, after.split_once('}')?)))
    {
        filled.push_str(before);
        filled.push_str(values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value));
        rest = after;
    }
    filled.push_str(rest);
    filled
}

/// Heading and text of a message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Words {
    pub(crate) heading: &'static str,
    pub(crate) text: &'static str,
}

macro_rules! texts {
    (plain { $($plain:ident,)* } words { $($words:ident,)* }) => {
        /// All texts of the pages in one language.
        pub(crate) struct Texts {
            $(pub(crate) $plain: &'static str,)*
            $(pub(crate) $words: Words,)*
        }

        impl Texts {
            /// Every text with its name.
            #[cfg(test)]
            fn all(&self) -> Vec<(&'static str, &'static str)> {
                vec![
                    $((stringify!($plain), self.$plain),)*
                    $((concat!(stringify!($words), ".heading"), self.$words.heading),
                        (concat!(stringify!($words), ".text"), self.$words.text),)*
                ]
            }
        }
    };
}

texts! {
    plain {
        connect_title,
        connect_text,
        continue_to,
        fact_connector,
        fact_connection,
        fact_space,
        fact_user,
        fact_provider,
        fact_permissions,
        default_permissions,
        fact_receivers,
        receives_log_in,
        receives_metadata,
        receives_code_and_tokens,
        receives_refresh,
        receives_userinfo,
        receives_revocation,
        receives_api,
        other_sites_heading,
        other_sites_text,
        unapproved_heading,
        unapproved_text,
        other_account,
        needs_javascript,
        sign_in,
        user_name,
        password,
        wrong_credentials,
        connectors,
        sign_out,
        spaces,
        no_connectors,
        shared_connector,
        tampered_connector,
        not_connected,
        connecting,
        is_connected,
        must_connect_again,
        with_account,
        connect,
        reconnect,
        disconnect,
        connector_label,
        not_granted,
        try_again,
        go_on,
        show_connectors,
        use_account,
        replace_account,
        add_account,
        mismatch_of_accounts,
        already_connected_account,
        close_tab,
        closes_in_one,
        closes_in,
        may_close,
        opening_provider,
        no_response,
        request_failed,
    }
    words {
        connected,
        one_moment,
        awaiting,
        cancelled,
        access_denied,
        flow_expired,
        flow_already_used,
        user_mismatch,
        browser_mismatch,
        url_too_long,
        headers_too_large,
        rate_limited,
        not_signed_in,
        not_found,
        unavailable,
        account_already_connected,
        insufficient_scope,
        account_mismatch,
        connector_changed,
        not_allowed,
        user_deprovisioned,
        misconfigured,
        provider_error,
        exchange_failed,
        unexpected_response,
        failed,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn placeholders(text: &str) -> BTreeSet<&str> {
        text.split('{').skip(1).map(|rest| rest.split('}').next().unwrap()).collect()
    }

    #[test]
    fn every_language_has_every_text_with_the_same_placeholders() {
        let english = Language::English.texts().all();
        for language in Language::ALL {
            let texts = language.texts().all();
            assert_eq!(texts.len(), english.len());
            for ((name, text), (_, reference)) in texts.iter().zip(&english) {
                assert!(!text.trim().is_empty(), "{name} in {language:?}");
                assert_eq!(placeholders(text), placeholders(reference), "{name} in {language:?}");
                assert!(!text.contains('<'), "{name} in {language:?} contains markup");
            }
            assert_eq!(Language::of_tag(language.tag()), Some(language));
        }
        let translated = Language::German.texts().all();
        let same = translated.iter().zip(&english).filter(|((_, german), (_, english))| german == english);
        let same: Vec<_> = same.map(|((name, _), _)| *name).collect();
        assert_eq!(same, ["with_account"], "texts that are not translated");
    }

    #[test]
    fn placeholders_are_filled_once() {
        assert_eq!(fill("{a} and {b}", &[("a", "{b}"), ("b", "2")]), "{b} and 2");
        assert_eq!(fill("{unknown}x", &[]), "x");
        assert_eq!(fill("no end {a", &[("a", "1")]), "no end {a");
    }
}
