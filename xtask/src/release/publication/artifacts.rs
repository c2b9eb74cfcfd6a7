//! The archives of a release: sources, program, packages, documents about their parts, and checksums.
//!
//! The same commit and the same day give the same bytes in every folder.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use xshell::cmd;

use super::Copy;
use crate::release::{build, manifests};
use crate::workspace::{CONSOLE, PYTHON};
use crate::{Result, setup};

/// What an operator receives beside the program.
const BESIDE_THE_PROGRAM: [&str; 4] = ["README.md", "LICENSE", "CHANGELOG.md", "grantry.example.toml"];

/// Builds everything, and returns the written files, the list of checksums last.
pub(super) fn build(copy: &Copy) -> Result<Vec<PathBuf>> {
    sources(copy)?;
    program(copy)?;
    crates(copy)?;
    npm_packages(copy)?;
    python_packages(copy)?;
    bill_of_materials(copy)?;
    checksums(&copy.archives)
}

/// The files of the commit.
fn sources(copy: &Copy) -> Result {
    let (sh, name) = (copy.shell()?, format!("grantry-{}", copy.version));
    let tar = copy.archives.join(format!("{name}.tar"));
    cmd!(sh, "git archive --format=tar --prefix={name}/ --output={tar} HEAD").run()?;
    let mut writer = gzip(&copy.archives.join(format!("{name}.tar.gz")))?;
    std::io::copy(&mut File::open(&tar)?, &mut writer)?;
    writer.finish()?;
    fs::remove_file(tar)?;
    Ok(())
}

/// The program without the demo, for the system that builds it.
fn program(copy: &Copy) -> Result {
    let sh = copy.shell()?;
    let program = build::production(&sh, &copy.build)?;
    let name = format!("grantry-{}-{}", copy.version, build::host(&sh)?);
    let mut archive = tar::Builder::new(gzip(&copy.archives.join(format!("{name}.tar.gz")))?);
    let beside = BESIDE_THE_PROGRAM.map(|file| copy.sources.join(file));
    for path in [&program].into_iter().chain(&beside) {
        let file = path.file_name().ok_or("a path without a name")?;
        let content = fs::read(path)?;
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len().try_into()?);
        header.set_mode(if path == &program { 0o755 } else { 0o644 });
        header.set_mtime(copy.epoch.try_into()?);
        archive.append_data(&mut header, Path::new(&name).join(file), content.as_slice())?;
    }
    archive.into_inner()?.finish()?;
    Ok(())
}

/// The crates as `cargo publish` would upload them.
fn crates(copy: &Copy) -> Result {
    let (sh, target) = (copy.shell()?, &copy.build);
    let packages = manifests::crates(&crate::tidy::repository::Repository::read(&sh)?)?;
    let published: Vec<_> = packages.iter().filter(|package| package.is_published).collect();
    let names: Vec<_> = published.iter().flat_map(|package| ["--package", &package.name]).collect();
    cmd!(sh, "cargo package --quiet --locked --no-verify --target-dir {target} {names...}").run()?;
    for package in published {
        let file = format!("{}-{}.crate", package.name, copy.version);
        fs::copy(target.join("package").join(&file), copy.archives.join(&file))?;
    }
    Ok(())
}

fn npm_packages(copy: &Copy) -> Result {
    let (sh, archives) = (copy.shell()?, &copy.archives);
    let _there = sh.push_dir(CONSOLE);
    cmd!(sh, "npm ci --prefer-offline --no-audit --no-fund --loglevel=error").run()?;
    for package in ["@grantry/client", "@grantry/react"] {
        cmd!(sh, "npm run build --silent -w {package}").run()?;
        cmd!(sh, "npm pack --silent --pack-destination={archives} -w {package}").run()?;
    }
    Ok(())
}

fn python_packages(copy: &Copy) -> Result {
    let (sh, archives) = (copy.shell()?, &copy.archives);
    let workspace = copy.shell()?;
    workspace.change_dir(&copy.root);
    let interpreter = setup::python_environment(&workspace)?;
    let _there = sh.push_dir(PYTHON);
    cmd!(sh, "{interpreter} -m hatchling build --directory {archives}").quiet().ignore_stdout().run()?;
    Ok(())
}

/// The parts of the program and of the console in it, in the format CycloneDX.
fn bill_of_materials(copy: &Copy) -> Result {
    let (sh, version) = (copy.shell()?, &copy.version);
    let host = build::host(&sh)?;
    let features = build::FEATURES;
    let options = ["--format", "json", "--spec-version", "1.5", "--override-filename", "bill-of-materials", "--quiet"];
    cmd!(sh, "cargo cyclonedx --manifest-path app/Cargo.toml --target {host} {options...} {features...}")
        .run()
        .map_err(|error| format!("{error}; `cargo install --locked cargo-cyclonedx` installs the tool"))?;
    let program = copy.archives.join(format!("grantry-{version}-{host}.cdx.json"));
    fs::copy(copy.sources.join("app/bill-of-materials.json"), program)?;
    let _there = sh.push_dir(CONSOLE);
    let text = cmd!(sh, "npm sbom --sbom-format cyclonedx --package-lock-only --omit dev -w @grantry/web").quiet().read()?;
    let mut console: Value = serde_json::from_str(&text)?;
    // npm writes a random number and the time of the call.
    console.as_object_mut().ok_or("npm sbom wrote no object")?.remove("serialNumber");
    console["metadata"]["timestamp"] = jiff::Timestamp::from_second(copy.epoch)?.to_string().into();
    let path = copy.archives.join(format!("grantry-console-{version}.cdx.json"));
    fs::write(path, format!("{console:#}\n"))?;
    Ok(())
}

/// Writes `SHA256SUMS` in the format of `sha256sum --check`.
fn checksums(archives: &Path) -> Result<Vec<PathBuf>> {
    let mut files: Vec<_> = fs::read_dir(archives)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.sort();
    let mut lines = String::new();
    for file in &files {
        let name = file.file_name().and_then(|name| name.to_str()).ok_or("a name that is not UTF-8")?;
        let digest = Sha256::digest(fs::read(file)?);
        lines.extend([&hex::encode(digest), "  ", name, "\n"]);
    }
    let list = archives.join("SHA256SUMS");
    fs::write(&list, lines)?;
    files.push(list);
    Ok(files)
}

/// A file in the format gzip without a name and a time.
fn gzip(path: &Path) -> Result<GzEncoder<File>> {
    Ok(GzBuilder::new().write(File::create(path)?, Compression::best()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_in_the_order_of_names() {
        let sh = xshell::Shell::new().unwrap();
        let folder = sh.create_temp_dir().unwrap();
        for (name, text) in [("b", "abc"), ("a", "")] {
            sh.write_file(folder.path().join(name), text).unwrap();
        }
        let names: Vec<_> =
            checksums(folder.path()).unwrap().iter().map(|path| path.file_name().unwrap().to_owned()).collect();
        assert_eq!(names, ["a", "b", "SHA256SUMS"]);
        // The digests of no bytes and of "abc" (FIPS 180-2, appendix B.1).
        let expected = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  a\n\
                        ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  b\n";
        assert_eq!(sh.read_file(folder.path().join("SHA256SUMS")).unwrap(), expected);
    }
}
