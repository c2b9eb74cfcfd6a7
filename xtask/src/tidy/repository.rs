//! The texts of the repository, read once.

use std::path::Path;

use xshell::{Shell, cmd};

use crate::Result;

/// A text file.
#[derive(Debug)]
pub(crate) struct File {
    /// From the root, with `/` between its parts.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    /// Whether somebody wrote it: not a bundle that a tool made.
    pub(crate) fn is_source(&self, extensions: &[&str]) -> bool {
        let extension = Path::new(&self.path).extension().and_then(|extension| extension.to_str());
        let is_built = self.path.split('/').any(|part| part == "dist");
        !is_built && extension.is_some_and(|extension| extensions.contains(&extension))
    }
}

/// All text files that belong to the repository, in the order of their paths.
#[derive(Debug)]
pub(crate) struct Repository {
    pub(crate) files: Vec<File>,
}

impl Repository {
    /// Reads the files git knows or would take; without git (a source archive) all that are not built or installed.
    pub(crate) fn read(sh: &Shell) -> Result<Self> {
        let listing = cmd!(sh, "git ls-files -z --cached --others --exclude-standard").quiet().ignore_stderr().read();
        let mut paths: Vec<String> = match listing {
            Ok(listing) => listing.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect(),
            Err(_) => walk(&sh.current_dir())?,
        };
        paths.sort();
        let mut files = Vec::new();
        for path in paths {
            // A file may be deleted but not yet committed so, or hold no text.
            if let Ok(text) = std::fs::read_to_string(sh.current_dir().join(&path)) {
                files.push(File { path, text });
            }
        }
        Ok(Self { files })
    }

    /// The text of a file that must be there.
    pub(crate) fn text(&self, path: &str) -> Result<&str> {
        self.find(path).ok_or_else(|| format!("{path} does not exist").into())
    }

    /// The text of a file that may be there.
    pub(crate) fn find(&self, path: &str) -> Option<&str> {
        self.files.iter().find(|file| file.path == path).map(|file| file.text.as_str())
    }

    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| File { path: (*path).to_owned(), text: (*text).to_owned() };
        Self { files: files.iter().map(file).collect() }
    }
}

fn walk(root: &Path) -> Result<Vec<String>> {
    let mut paths = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if !path.is_dir() {
                paths.push(path.strip_prefix(root)?.to_string_lossy().replace('\\', "/"));
            } else if ![".git", "target", "node_modules"].contains(&name) {
                open.push(path);
            }
        }
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_git_built_and_installed_files_do_not_count() {
        let root = Shell::new().unwrap().create_temp_dir().unwrap();
        for path in ["a/b.rs", "target/x.rs", "app/node_modules/y.ts", "c.md"] {
            let full = root.path().join(path);
            std::fs::create_dir_all(full.parent().unwrap()).unwrap();
            std::fs::write(full, "").unwrap();
        }
        let mut paths = walk(root.path()).unwrap();
        paths.sort();
        assert_eq!(paths, ["a/b.rs", "c.md"]);
    }

    #[test]
    fn a_bundle_is_no_source() {
        let repository = Repository::of(&[("app/console/dist/a.js", ""), ("app/console/web/a.ts", ""), ("a.md", "")]);
        let sources: Vec<_> = repository.files.iter().filter(|file| file.is_source(&["js", "ts"])).collect();
        assert_eq!(sources.len(), 1);
        assert_eq!(sources[0].path, "app/console/web/a.ts");
    }
}
