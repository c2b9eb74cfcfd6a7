//! A release of a scratch repository, without the builds.

use std::time::Duration;

use xshell::TempDir;

use super::*;
use crate::release::choose;

/// A repository with one commit.
struct Scratch {
    folder: TempDir,
    sh: Shell,
}

impl Scratch {
    fn new(fill: impl FnOnce(&std::path::Path)) -> Self {
        let sh = Shell::new().unwrap();
        let folder = sh.create_temp_dir().unwrap();
        sh.change_dir(folder.path().join("repository"));
        sh.create_dir(sh.current_dir()).unwrap();
        fill(&sh.current_dir());
        let scratch = Self { folder, sh };
        scratch.git(&["init", "--quiet", "--initial-branch", "main"]);
        for (key, value) in [("user.name", "Test"), ("user.email", "test@example.test")] {
            scratch.git(&["config", key, value]);
        }
        scratch.commit("first");
        scratch
    }

    /// With one file.
    fn small() -> Self {
        Self::new(|root| std::fs::write(root.join("file"), "first").unwrap())
    }

    fn git(&self, arguments: &[&str]) {
        let sh = &self.sh;
        cmd!(sh, "git {arguments...}").quiet().ignore_stdout().ignore_stderr().run().unwrap();
    }

    fn commit(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["-c", "commit.gpgSign=false", "commit", "--quiet", "--message", message]);
    }

    fn head(&self) -> String {
        let sh = &self.sh;
        cmd!(sh, "git rev-parse HEAD").quiet().read().unwrap()
    }

    fn tags(&self) -> String {
        let sh = &self.sh;
        cmd!(sh, "git tag --list").quiet().read().unwrap()
    }

    /// A clone with a commit, as if a release had been built.
    fn built(&self) -> Copy {
        let (sh, root, sources) = (&self.sh, self.sh.current_dir(), self.folder.path().join("sources"));
        cmd!(sh, "git clone --quiet {root} {sources}").run().unwrap();
        let copy = Copy {
            start: self.head(),
            archives: self.folder.path().join("archives"),
            build: self.folder.path().join("build"),
            version: Version::new(9, 9, 9),
            today: Date::constant(2026, 1, 31),
            root,
            sources,
        };
        let clone = copy.shell().unwrap();
        for (key, value) in [("user.name", "Test"), ("user.email", "test@example.test")] {
            cmd!(clone, "git config {key} {value}").quiet().run().unwrap();
        }
        clone.write_file("file", "released").unwrap();
        copy.commit(&["--message", "Release 9.9.9"]).unwrap();
        copy
    }
}

#[test]
fn a_repository_that_is_not_ready_is_refused() {
    let scratch = Scratch::small();
    let reasons = || conditions::repository(&scratch.sh).unwrap().join("\n");
    assert_eq!(reasons(), "");
    scratch.git(&["checkout", "--quiet", "--detach"]);
    assert!(reasons().contains("no branch is checked out"), "{}", reasons());
    scratch.git(&["checkout", "--quiet", "main"]);
    scratch.sh.write_file("file", "changed").unwrap();
    assert!(reasons().contains("uncommitted changes"), "{}", reasons());
}

#[test]
fn the_commit_and_the_tag_arrive_together_or_not_at_all() {
    let scratch = Scratch::small();
    let copy = scratch.built();
    copy.adopt("v9.9.9").unwrap();
    assert_eq!((scratch.tags(), scratch.sh.read_file("file").unwrap()), ("v9.9.9".to_owned(), "released".to_owned()));

    let moved = Scratch::small();
    let copy = moved.built();
    moved.sh.write_file("file", "moved").unwrap();
    moved.commit("second");
    let head = moved.head();
    assert!(copy.adopt("v9.9.9").unwrap_err().to_string().contains("the branch moved"));
    assert_eq!((moved.head(), moved.tags()), (head, String::new()));

    let tagged = Scratch::small();
    let copy = tagged.built();
    tagged.git(&["-c", "tag.gpgSign=false", "tag", "--annotate", "v9.9.9", "--message", "other"]);
    let head = tagged.head();
    assert!(copy.adopt("v9.9.9").is_err());
    assert_eq!(tagged.head(), head);

    let blocked = Scratch::small();
    let copy = blocked.built();
    // The merge would overwrite it.
    blocked.sh.write_file("file", "not committed").unwrap();
    assert!(copy.adopt("v9.9.9").is_err());
    assert_eq!((blocked.tags(), blocked.sh.read_file("file").unwrap()), (String::new(), "not committed".to_owned()));
}

#[test]
fn a_release_commit_has_the_time_of_its_day() {
    let copy = Scratch::small();
    let copy = copy.built();
    let sh = copy.shell().unwrap();
    let times = cmd!(sh, "git log -1 --format=%at,%ct").quiet().read().unwrap();
    assert_eq!(times, "1769817600,1769817600");
}

#[test]
fn a_skipped_check_stops_a_release_unless_it_may_be_skipped() {
    let record = |row, outcome| Record { row, outcome, took: Duration::ZERO };
    let because = |reason: &str| Outcome::Skipped(reason.to_owned());
    let records = [
        record("texts", Outcome::Green { notes: Vec::new() }),
        record("rust-api", because("there is no release")),
        record("advisories", because("no copy")),
    ];
    assert_eq!(skipped(&records[..1], &[]).unwrap(), [""; 0]);
    let error = skipped(&records, &["rust-api"]).unwrap_err().to_string();
    assert_eq!(error, "skipped, so not released:\nadvisories: no copy");
    let lines = skipped(&records, &["rust-api", "advisories"]).unwrap();
    assert_eq!(lines, ["rust-api: there is no release", "advisories: no copy"]);
    assert!(skipped(&records, &["advisories"]).unwrap_err().to_string().contains("rust-api: there is no release"));
}

#[test]
fn what_was_built_outlives_the_copy_and_a_run_that_was_stopped() {
    let sh = Shell::new().unwrap();
    let below = sh.create_temp_dir().unwrap();
    let (folder, built) = (below.path().join("release"), below.path().join("built"));
    remove_but_what_was_built(&folder, &built).unwrap();
    assert!(!built.exists());
    sh.write_file(folder.join("sources/target/debug/file"), "built").unwrap();
    sh.write_file(folder.join("archives/file"), "old").unwrap();
    remove_but_what_was_built(&folder, &built).unwrap();
    assert!(!folder.exists());
    // The run stopped here: the next one finds a copy without what was built.
    sh.write_file(folder.join("sources/file"), "half").unwrap();
    remove_but_what_was_built(&folder, &built).unwrap();
    assert!(!folder.exists());
    assert_eq!(sh.read_file(built.join("debug/file")).unwrap(), "built");
}

#[test]
fn archives_that_are_written_twice_are_equal_byte_for_byte() {
    let scratch = Scratch::small();
    let (copy, sh) = (scratch.built(), &scratch.sh);
    let program = copy.sources.join("file");
    let write = |name: &str, time| {
        let folder = scratch.folder.path().join(name);
        sh.create_dir(&folder).unwrap();
        artifacts::sources(&copy, &folder).unwrap();
        artifacts::archive(&folder.join("program.tar.gz"), "program", &program, &[], time).unwrap();
        artifacts::checksums(&folder).unwrap();
        folder
    };
    let (first, second, later) = (write("first", 1), write("second", 1), write("later", 2));
    artifacts::require_equal(&first, &second).unwrap();
    let error = artifacts::require_equal(&first, &later).unwrap_err().to_string();
    assert!(error.starts_with("archives differ when they are written twice: program.tar.gz (compare"), "{error}");
}

#[test]
fn every_package_of_this_repository_gets_the_version() {
    let scratch = Scratch::new(|root| Context::open(&workspace::root(), None).unwrap().copy_to(root).unwrap());
    let root = scratch.sh.current_dir();
    let base = format!("commit = \"{}\"\nreason = \"test\"\n", scratch.head());
    scratch.sh.write_file(crate::release::base::FILE, base).unwrap();
    edits::set_versions(&root, &Version::new(9, 9, 9)).unwrap();
    scratch.commit("versions");
    let rows = choose(&CHECKS_OF_VERSIONS.map(str::to_owned), false).unwrap();
    for record in run_rows(&root, None, &rows, |_| {}).unwrap() {
        assert!(!record.is_red(), "{}", record.text());
    }
    edits::date_changelog(&root, &Version::new(9, 9, 9), Date::constant(2026, 1, 31)).unwrap();
    assert!(scratch.sh.read_file("CHANGELOG.md").unwrap().contains("## Unreleased\n\n## 9.9.9 – 2026-01-31\n"));
    let context = Context::open(&root, None).unwrap();
    let reasons = conditions::version_reasons(&context, &scratch.sh, &Version::new(9, 9, 9)).unwrap();
    assert!(reasons[0].contains("no entry since the last release"), "{reasons:?}");
    scratch.git(&["-c", "tag.gpgSign=false", "tag", "--annotate", "v9.9.9", "--message", "released"]);
    let reasons = conditions::version_reasons(&context, &scratch.sh, &Version::new(9, 9, 9)).unwrap();
    assert!(reasons[0].contains("the tag v9.9.9 exists"), "{reasons:?}");
}

/// The checks that read versions.
const CHECKS_OF_VERSIONS: [&str; 2] = ["packages", "http-api"];
