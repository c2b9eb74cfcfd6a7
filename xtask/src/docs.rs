//! `cargo xtask docs`: the documentation site, built by mdBook from the folder `docs`.
//!
//! The book is built from a copy, in which links that leave `docs` lead to the repository. The built pages are checked as
//! well, because mdBook forms the anchors of them.

mod html;

use std::path::{Path, PathBuf};

use clap::Args;
use xshell::{Shell, cmd};

use crate::markdown;
use crate::setup::tools;
use crate::tidy::links;
use crate::tidy::repository::Repository;
use crate::{Result, print_findings, workspace};

/// The folder of the chapters, from the root.
const CHAPTERS: &str = "docs/";

#[derive(Args, Default)]
pub(crate) struct Options {
    /// Open the site in a browser.
    #[arg(long, conflicts_with = "check")]
    open: bool,
    /// Only check the links of all documents of the repository, and build nothing. Does not require mdBook.
    #[arg(long)]
    check: bool,
}

/// Checks the links and builds the site.
pub(crate) fn run(sh: &Shell, options: &Options) -> Result {
    let repository = Repository::read(sh)?;
    print_findings("links", &links::check(&repository))?;
    if options.check {
        println!("all links inside the repository lead to something that exists");
        return Ok(());
    }
    tools::MDBOOK.require(sh)?;
    let book = workspace::metadata()?.target_directory.join("book").into_std_path_buf();
    let (source, site) = (book.join("source"), book.join("html"));
    stage(sh, &repository, &home()?, &source)?;
    sh.remove_path(&site)?;
    cmd!(sh, "mdbook build {source} --dest-dir {site}").quiet().run()?;
    // mdBook copies every file that is no chapter.
    sh.remove_path(site.join("book.toml"))?;
    let pages = html::read(&site)?;
    print_findings("site", &[html::check(&pages), html::without_search(&pages)].concat())?;
    let index = site.join("index.html");
    println!("{}", index.display());
    if options.open { open(sh, &index) } else { Ok(()) }
}

/// Builds the site: a step of `cargo xtask nightly`, since the tests do not need mdBook.
pub(crate) fn site(sh: &Shell) -> Result {
    run(sh, &Options::default())
}

/// The URL of the repository, from the manifest.
fn home() -> Result<String> {
    let metadata = workspace::metadata()?;
    let packages = metadata.packages.iter().filter_map(|package| package.repository.clone());
    packages.into_iter().next().ok_or_else(|| "no package names the repository".into())
}

/// Copies the chapters, with links that leave their folder replaced by URLs.
fn stage(sh: &Shell, repository: &Repository, home: &str, to: &Path) -> Result {
    sh.remove_path(to)?;
    for file in &repository.files {
        let Some(name) = file.path.strip_prefix(CHAPTERS) else { continue };
        let text = match file.path.as_str() {
            links::CONTENTS => with_providers(repository, &file.text),
            path if file.is_a("md") => with_urls(repository, home, path, &file.text),
            _ => file.text.clone(),
        };
        sh.write_file(to.join(name), text)?;
    }
    for path in &repository.others {
        let Some(name) = path.strip_prefix(CHAPTERS) else { continue };
        let target = to.join(name);
        sh.create_dir(target.parent().unwrap_or(to))?;
        sh.copy_file(path, target)?;
    }
    Ok(())
}

/// The contents with the page of each provider below their list.
fn with_providers(repository: &Repository, contents: &str) -> String {
    let mut lines = Vec::new();
    for line in contents.lines() {
        lines.push(line.to_owned());
        if line.contains("(providers/README.md)") {
            let pages = repository.files.iter().filter(|file| links::is_of_provider(&file.path));
            lines.extend(pages.map(|file| {
                let title = file.text.lines().next().unwrap_or_default().trim_start_matches("# ");
                format!("  - [{title}]({})", file.path.trim_start_matches(CHAPTERS))
            }));
        }
    }
    lines.join("\n") + "\n"
}

/// The text of a chapter for the site.
fn with_urls(repository: &Repository, home: &str, path: &str, text: &str) -> String {
    let mut replaced = text.to_owned();
    // From the end, so that the places of the others stay valid.
    for link in markdown::links(text).into_iter().rev() {
        let Ok(Some(target)) = links::target(path, &link) else { continue };
        if target.path.starts_with(CHAPTERS) {
            // mdBook writes the chapter `README.md` to `index.html`, and changes only the extension in links to it.
            if target.path.ends_with("/README.md") {
                let renamed = text[link.place.clone()].replace("README.md", "index.md");
                replaced.replace_range(link.place, &renamed);
            }
            continue;
        }
        let is_file = repository.files.iter().any(|file| file.path == target.path);
        let kind = if is_file { "blob" } else { "tree" };
        let anchor = target.anchor.map(|anchor| format!("#{anchor}")).unwrap_or_default();
        replaced.replace_range(link.place, &format!("{home}/{kind}/main/{}{anchor}", target.path));
    }
    replaced
}

fn open(sh: &Shell, page: &PathBuf) -> Result {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    Ok(cmd!(sh, "{program} {page}").quiet().run()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_leave_the_chapters_become_urls() {
        let text = "[a](b.md#x) [b](../README.md#top) `[c](../README.md)` [d](../app/web/) [e](https://example.com)";
        let repository = Repository::of(&[("docs/a.md", text), ("README.md", ""), ("app/web/x.ts", "")]);
        let expected = "[a](b.md#x) [b](https://git.example/r/blob/main/README.md#top) `[c](../README.md)` \
                        [d](https://git.example/r/tree/main/app/web) [e](https://example.com)";
        assert_eq!(with_urls(&repository, "https://git.example/r", "docs/a.md", text), expected);
    }

    #[test]
    fn a_link_to_the_readme_of_a_folder_leads_to_its_index() {
        let text = "[a](b/README.md#x) [b](c.md)";
        let repository = Repository::of(&[("docs/a.md", text), ("docs/b/README.md", "# X"), ("docs/c.md", "")]);
        assert_eq!(with_urls(&repository, "https://git.example/r", "docs/a.md", text), "[a](b/index.md#x) [b](c.md)");
    }

    #[test]
    fn the_contents_of_the_site_have_a_page_for_each_provider() {
        let files = [("docs/providers/README.md", "# Providers"), ("docs/providers/github.md", "# GitHub\n\ntext")];
        let contents = "- [A](a.md)\n- [Providers](providers/README.md)\n- [B](b.md)\n";
        let expected = "- [A](a.md)\n- [Providers](providers/README.md)\n  - [GitHub](providers/github.md)\n- [B](b.md)\n";
        assert_eq!(with_providers(&Repository::of(&files), contents), expected);
    }

    #[test]
    fn the_copy_has_every_file_of_the_book_and_no_other() {
        let sh = Shell::new().unwrap();
        let folder = sh.create_temp_dir().unwrap();
        sh.change_dir(folder.path());
        sh.write_file("docs/pictures/one.png", [0xff_u8]).unwrap();
        let others = vec!["docs/pictures/one.png".to_owned(), "two.png".to_owned()];
        let repository = Repository { others, ..Repository::of(&[("docs/a/b.md", "[x](../../c.md)"), ("c.md", "")]) };
        stage(&sh, &repository, "https://git.example/r", &folder.path().join("copy")).unwrap();
        assert_eq!(sh.read_file("copy/a/b.md").unwrap(), "[x](https://git.example/r/blob/main/c.md)");
        assert_eq!(sh.read_binary_file("copy/pictures/one.png").unwrap(), [0xff]);
        assert!(!sh.path_exists("copy/c.md"));
    }
}
