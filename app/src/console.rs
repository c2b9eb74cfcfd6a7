//! The console, embedded in the binary.

use grantry_domain::encoding::hex;
use grantry_http_axum::{ConsoleAsset, ConsoleAssets};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "console/dist"]
#[allow_missing = true]
struct Files;

/// The embedded console.
pub struct EmbeddedConsole;

impl EmbeddedConsole {
    /// The console, if this binary was built with one.
    pub fn found() -> Option<Self> {
        Files::get("index.html").map(|_| Self)
    }
}

impl ConsoleAssets for EmbeddedConsole {
    fn get(&self, path: &str) -> Option<ConsoleAsset> {
        let file = Files::get(path)?;
        Some(ConsoleAsset {
            content_type: content_type(path)?,
            etag: hex(&file.metadata.sha256_hash()[..16]),
            // The bundler puts a hash of the content into these names.
            immutable: path.starts_with("assets/"),
            bytes: file.data,
        })
    }
}

/// The content type of a file by its extension. Files of other types are not part of the console and not served.
fn content_type(path: &str) -> Option<&'static str> {
    Some(match path.rsplit_once('.')?.1 {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_a_known_type_are_served() {
        assert_eq!(content_type("index.html"), Some("text/html; charset=utf-8"));
        assert_eq!(content_type("assets/index-Dx3.js"), Some("text/javascript; charset=utf-8"));
        for unknown in ["index.html.bak", "index", "assets/index.js.map"] {
            assert_eq!(content_type(unknown), None, "{unknown}");
        }
        assert!(EmbeddedConsole.get("../Cargo.toml").is_none());
        if let Some(console) = EmbeddedConsole::found() {
            let page = console.get("index.html").unwrap();
            assert!(!page.immutable && page.etag.len() == 32 && !page.bytes.is_empty());
        }
    }
}
