//! Request parameters, none of which may be repeated (RFC 6749 §3.1, §3.2) except `resource`.

use url::form_urlencoded;

/// Decoded parameters.
#[derive(Debug)]
pub(super) struct Params(Vec<(String, String)>);

/// A parameter was repeated.
#[derive(Debug)]
pub(super) struct Repeated;

impl Params {
    /// Decodes a query or a form; refuses repeated parameters. Empty values count as absent.
    pub(super) fn parse(encoded: &[u8]) -> Result<Self, Repeated> {
        let pairs: Vec<(String, String)> = form_urlencoded::parse(encoded).into_owned().collect();
        for (index, (name, _)) in pairs.iter().enumerate() {
            // Resource indicators may occur several times (RFC 8707 §2).
            if name != "resource" && pairs[..index].iter().any(|(earlier, _)| earlier == name) {
                return Err(Repeated);
            }
        }
        Ok(Self(pairs.into_iter().filter(|(_, value)| !value.is_empty()).collect()))
    }

    /// The value of a parameter.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A space-separated list without duplicates.
    pub(super) fn words(&self, name: &str) -> Option<Vec<String>> {
        self.get(name).map(words)
    }
}

/// Splits at spaces and removes duplicates.
fn words(list: &str) -> Vec<String> {
    let mut seen = Vec::new();
    for word in list.split_ascii_whitespace() {
        if !seen.iter().any(|known| known == word) {
            seen.push(word.to_owned());
        }
    }
    seen
}
