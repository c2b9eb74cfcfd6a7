//! Lists the files of the built console with their hashes, and compresses them.

use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use sha2::{Digest, Sha256};

/// Smaller files gain nothing.
const SMALLEST: usize = 1024;
/// Files of other types are compressed already, or change with every response.
const COMPRESSIBLE: [&str; 4] = ["js", "css", "json", "svg"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=console/dist");
    println!("cargo::rerun-if-changed=build.rs");
    let folder = Path::new(&env::var_os("CARGO_MANIFEST_DIR").ok_or("cargo sets CARGO_MANIFEST_DIR")?).join("console/dist");
    let output = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    // The best quality takes several times as long.
    let quality = if env::var("PROFILE").is_ok_and(|profile| profile == "release") { 11 } else { 9 };

    let mut list = String::from("&[");
    for (number, file) in files(&folder)?.iter().enumerate() {
        let content = fs::read(file)?;
        let name = file.strip_prefix(&folder)?.to_str().ok_or("a file of the console has a name that is not UTF-8")?;
        let mut etag = String::new();
        for byte in &Sha256::digest(&content)[..16] {
            write!(etag, "{byte:02x}")?;
        }
        let extension = file.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let (mut brotli, mut gzip) = ("None".to_owned(), "None".to_owned());
        if content.len() >= SMALLEST && COMPRESSIBLE.contains(&extension) {
            brotli = shorter(&content, &with_brotli(&content, quality)?, &output.join(format!("{number}.br")))?;
            gzip = shorter(&content, &with_gzip(&content)?, &output.join(format!("{number}.gz")))?;
        }
        let path = name.replace('\\', "/");
        let content = included("CARGO_MANIFEST_DIR", &format!("/console/dist/{path}"));
        writeln!(list, "File {{ path: {path:?}, etag: {etag:?}, content: {content}, brotli: {brotli}, gzip: {gzip} }},")?;
    }
    list.push(']');
    fs::write(output.join("console.rs"), list)?;
    Ok(())
}

/// The files of a folder and its folders, in a stable order. None if there is no folder: the console was not built.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    Ok(found)
}

/// Writes the compressed content and returns the expression for it; `None` if it is not shorter.
fn shorter(content: &[u8], compressed: &[u8], file: &Path) -> Result<String, Box<dyn Error>> {
    if compressed.len() >= content.len() {
        return Ok("None".to_owned());
    }
    fs::write(file, compressed)?;
    let name = file.file_name().and_then(|name| name.to_str()).ok_or("the name of a compressed file is not UTF-8")?;
    Ok(format!("Some({})", included("OUT_DIR", &format!("/{name}"))))
}

/// A file below a folder that a variable of cargo names. The path itself would make the program depend on where it is built.
fn included(folder: &str, path: &str) -> String {
    format!("include_bytes!(concat!(env!({folder:?}), {path:?}))")
}

fn with_brotli(mut content: &[u8], quality: i32) -> io::Result<Vec<u8>> {
    let mut compressed = Vec::new();
    let parameters = brotli::enc::BrotliEncoderParams { quality, ..Default::default() };
    brotli::BrotliCompress(&mut content, &mut compressed, &parameters)?;
    Ok(compressed)
}

fn with_gzip(content: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(content)?;
    encoder.finish()
}
