//! The console, embedded in the binary. Its files are compressed when the binary is built.

use axum::body::Bytes;
use grantry_http_axum::{ConsoleAsset, ConsoleAssets};

/// A file of the console.
struct File {
    path: &'static str,
    /// Hash of the content.
    etag: &'static str,
    content: &'static [u8],
    brotli: Option<&'static [u8]>,
    gzip: Option<&'static [u8]>,
}

/// All files; empty if the console was not built.
static FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/console.rs"));

/// The embedded console.
pub struct EmbeddedConsole;

impl EmbeddedConsole {
    /// The console, if this binary was built with one.
    pub fn found() -> Option<Self> {
        FILES.iter().any(|file| file.path == "index.html").then_some(Self)
    }
}

impl ConsoleAssets for EmbeddedConsole {
    fn get(&self, path: &str) -> Option<ConsoleAsset> {
        let file = FILES.iter().find(|file| file.path == path)?;
        Some(ConsoleAsset {
            content: Bytes::from_static(file.content),
            brotli: file.brotli.map(Bytes::from_static),
            gzip: file.gzip.map(Bytes::from_static),
            content_type: content_type(path)?,
            etag: file.etag.to_owned(),
            // The bundler puts a hash of the content into these names.
            immutable: path.starts_with("assets/"),
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
    use std::io::Read as _;

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
            assert!(!page.immutable && page.etag.len() == 32 && !page.content.is_empty());
        }
    }

    #[test]
    fn compressed_files_have_the_content_of_the_plain_one() {
        let mut scripts = 0;
        for file in FILES {
            let mut plain = Vec::new();
            if let Some(mut compressed) = file.brotli {
                brotli::BrotliDecompress(&mut compressed, &mut plain).unwrap();
                assert!(plain == file.content && compressed.len() < file.content.len(), "{}", file.path);
            }
            plain.clear();
            if let Some(compressed) = file.gzip {
                flate2::read::GzDecoder::new(compressed).read_to_end(&mut plain).unwrap();
                assert!(plain == file.content && compressed.len() < file.content.len(), "{}", file.path);
            }
            let is_script = content_type(file.path).is_some_and(|kind| kind.starts_with("text/javascript"));
            if is_script && file.content.len() >= 1024 {
                assert!(file.brotli.is_some() && file.gzip.is_some(), "{}", file.path);
                scripts += 1;
            }
        }
        assert!(scripts > 0 || EmbeddedConsole::found().is_none());
    }
}
