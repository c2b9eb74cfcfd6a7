//! Lists the profiles in `profiles/`, so that a new profile needs no change of code.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=profiles");
    let mut names = Vec::new();
    for entry in fs::read_dir("profiles")? {
        let name = entry?.file_name().into_string().map_err(|_| "a profile has a file name that is not UTF-8")?;
        if name.strip_suffix(".toml").is_some_and(|stem| !stem.ends_with(".exchange")) {
            names.push(name);
        }
    }
    names.sort();

    let mut list = String::from("&[");
    for name in names {
        write!(list, "({name:?}, include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/profiles/\", {name:?}))),")?;
    }
    list.push(']');
    let folder = env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    fs::write(Path::new(&folder).join("built_in_profiles.rs"), list)?;
    Ok(())
}
