//! The archives of a release: sources, program, packages, lists of their parts, and checksums.
//!
//! For the same commit, author, day and tools, the bytes do not depend on the folder.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use sha2::{Digest as _, Sha256};
use xshell::cmd;

use super::Copy;
use super::parts;
use crate::release::program;
use crate::tidy::repository::Repository;
use crate::workspace::{self, CONSOLE, PYTHON};
use crate::{Result, manifests, setup};

/// The list of checksums.
const CHECKSUMS: &str = "SHA256SUMS";

/// What an operator receives beside the program.
const BESIDE_THE_PROGRAM: [&str; 4] = ["README.md", "LICENSE", "CHANGELOG.md", "grantry.example.toml"];

/// Builds everything, and returns the written files, the list of checksums last.
///
/// Every archive is written twice and compared, so that a time or an order in it is found. The program is built once; the check
/// `reproducibility` compares two builds of it.
pub(super) fn build(copy: &Copy) -> Result<Vec<PathBuf>> {
    let host = workspace::host(&copy.shell()?)?;
    let crates = published_crates(copy)?;
    let program = program::build(&copy.shell()?, &copy.sources, &copy.build)?;
    let again = copy.archives.with_file_name("archives-again");
    fs::create_dir_all(&again)?;
    // Cargo builds each crate from its archive the first time.
    for (folder, options) in [(&copy.archives, &[][..]), (&again, &["--no-verify"][..])] {
        sources(copy, folder)?;
        program_with_its_parts(copy, folder, &program, &host)?;
        pack_crates(copy, folder, &crates, options)?;
        npm_packages(copy, folder)?;
        python_packages(copy, folder)?;
    }
    let expected = names(&copy.version.to_string(), &host, &crates);
    let found: BTreeSet<_> = fs::read_dir(&copy.archives)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_>>()?;
    let differences: Vec<_> = found.symmetric_difference(&expected).map(String::as_str).collect();
    if !differences.is_empty() {
        return Err(format!("archives that are missing or not expected: {}", differences.join(", ")).into());
    }
    let files = checksums(&copy.archives)?;
    checksums(&again)?;
    require_equal(&copy.archives, &again)?;
    fs::remove_dir_all(again)?;
    Ok(files)
}

/// Fails with the names of archives that differ between two folders, by their lists of checksums.
pub(super) fn require_equal(first: &Path, second: &Path) -> Result {
    let lines = |folder: &Path| -> Result<BTreeSet<String>> {
        Ok(fs::read_to_string(folder.join(CHECKSUMS))?.lines().map(str::to_owned).collect())
    };
    let (first_lines, second_lines) = (lines(first)?, lines(second)?);
    let names = first_lines.symmetric_difference(&second_lines).filter_map(|line| line.split("  ").nth(1));
    let names: BTreeSet<_> = names.collect();
    if names.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = names.into_iter().collect();
    let folders = format!("{} and {}", first.display(), second.display());
    Err(format!("archives differ when they are written twice: {} (compare {folders})", names.join(", ")).into())
}

/// The names of all archives.
fn names(version: &str, host: &str, crates: &[String]) -> BTreeSet<String> {
    let fixed = [
        format!("grantry-{version}-sources.tar.gz"),
        format!("grantry-{version}-{host}.tar.gz"),
        format!("grantry-{version}-{host}.cdx.json"),
        format!("grantry-console-{version}.cdx.json"),
        format!("grantry-client-{version}.tgz"),
        format!("grantry-react-{version}.tgz"),
        // The Python package: its source archive and its wheel.
        format!("grantry-{version}.tar.gz"),
        format!("grantry-{version}-py3-none-any.whl"),
    ];
    fixed.into_iter().chain(crates.iter().map(|name| format!("{name}-{version}.crate"))).collect()
}

fn published_crates(copy: &Copy) -> Result<Vec<String>> {
    let packages = manifests::crates(&Repository::read(&copy.shell()?)?)?;
    Ok(packages.into_iter().filter(|package| package.is_published).map(|package| package.name).collect())
}

/// The files of the commit.
pub(super) fn sources(copy: &Copy, archives: &Path) -> Result {
    let (sh, version) = (copy.shell()?, copy.version.to_string());
    let tar = archives.join("sources.tar");
    cmd!(sh, "git -c tar.umask=0022 archive --format=tar --prefix=grantry-{version}/ --output={tar} HEAD").run()?;
    let mut writer = gzip(&archives.join(format!("grantry-{version}-sources.tar.gz")))?;
    std::io::copy(&mut File::open(&tar)?, &mut writer)?;
    writer.finish()?;
    fs::remove_file(tar)?;
    Ok(())
}

/// The program without the demo, for the kind of machine that builds it, and the lists of its parts.
fn program_with_its_parts(copy: &Copy, archives: &Path, program: &Path, host: &str) -> Result {
    let version = &copy.version;
    let name = format!("grantry-{version}-{host}");
    let beside = BESIDE_THE_PROGRAM.map(|file| copy.sources.join(file));
    archive(&archives.join(format!("{name}.tar.gz")), &name, program, &beside, copy.epoch()?)?;
    fs::write(archives.join(format!("{name}.cdx.json")), parts::of_the_program(copy, host)?)?;
    fs::write(archives.join(format!("grantry-console-{version}.cdx.json")), parts::of_the_console(copy)?)?;
    Ok(())
}

/// Writes an archive with one folder, which contains a program and the files beside it, with one time for all.
pub(super) fn archive(path: &Path, folder: &str, program: &Path, beside: &[PathBuf], time: i64) -> Result {
    let mut archive = tar::Builder::new(gzip(path)?);
    for path in [program].into_iter().chain(beside.iter().map(PathBuf::as_path)) {
        let file = path.file_name().ok_or("a path without a name")?;
        let content = fs::read(path)?;
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len().try_into()?);
        header.set_mode(if path == program { 0o755 } else { 0o644 });
        header.set_mtime(time.try_into()?);
        archive.append_data(&mut header, Path::new(folder).join(file), content.as_slice())?;
    }
    archive.into_inner()?.finish()?;
    Ok(())
}

/// The crates as `cargo publish` uploads them. Each is built from what its archive contains, unless the options prevent it.
fn pack_crates(copy: &Copy, archives: &Path, crates: &[String], options: &[&str]) -> Result {
    let (sh, target) = (copy.shell()?, &copy.build);
    let packages: Vec<_> = crates.iter().flat_map(|name| ["--package", name]).collect();
    cmd!(sh, "cargo package --quiet --locked --target-dir {target} {options...} {packages...}").run()?;
    for name in crates {
        let file = format!("{name}-{}.crate", copy.version);
        fs::copy(target.join("package").join(&file), archives.join(&file))?;
    }
    Ok(())
}

fn npm_packages(copy: &Copy, archives: &Path) -> Result {
    let sh = copy.shell()?;
    let _there = sh.push_dir(CONSOLE);
    for package in ["@grantry/client", "@grantry/react"] {
        cmd!(sh, "npm run build --silent -w {package}").run()?;
        cmd!(sh, "npm pack --silent --pack-destination={archives} -w {package}").run()?;
    }
    Ok(())
}

fn python_packages(copy: &Copy, archives: &Path) -> Result {
    let sh = copy.shell()?;
    let interpreter = setup::python_environment(&sh)?;
    let _there = sh.push_dir(PYTHON);
    cmd!(sh, "{interpreter} -m hatchling build --directory {archives}").quiet().ignore_stdout().run()?;
    Ok(())
}

/// Writes `SHA256SUMS` in the format of `sha256sum --check`.
pub(super) fn checksums(archives: &Path) -> Result<Vec<PathBuf>> {
    let mut files: Vec<_> = fs::read_dir(archives)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.sort();
    let mut lines = String::new();
    for file in &files {
        let name = file.file_name().and_then(|name| name.to_str()).ok_or("a name that is not UTF-8")?;
        let digest = Sha256::digest(fs::read(file)?);
        lines.extend([&hex::encode(digest), "  ", name, "\n"]);
    }
    let list = archives.join(CHECKSUMS);
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
    fn every_archive_has_another_name() {
        // A crate, and the Python package with the name of the program.
        assert_eq!(names("0.1.0", "x86_64-unknown-linux-gnu", &["grantry".to_owned()]).len(), 9);
    }

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
