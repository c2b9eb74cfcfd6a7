//! The text files of the repository, read once.

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
    /// Whether the name has this extension, which is given without the dot.
    pub(crate) fn is_a(&self, extension: &str) -> bool {
        has_extension(&self.path, extension)
    }

    /// Whether the file is written by hand, and not a bundle made by a tool.
    pub(crate) fn is_source(&self) -> bool {
        !self.path.split('/').any(|part| part == "dist")
    }
}

/// Whether a path has this extension, which is given without the dot.
pub(crate) fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found == extension)
}

/// All text files that belong to the repository, in the order of their paths.
#[derive(Debug)]
pub(crate) struct Repository {
    pub(crate) files: Vec<File>,
    /// The paths of files that are not text, such as pictures.
    pub(crate) others: Vec<String>,
}

impl Repository {
    /// Reads the files that git tracks or would add; without git (a source archive) all that are not built or installed.
    pub(crate) fn read(sh: &Shell) -> Result<Self> {
        let listing = cmd!(sh, "git ls-files -z --cached --others --exclude-standard").quiet().ignore_stderr().read();
        let mut paths: Vec<String> = match listing {
            Ok(listing) => listing.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect(),
            Err(_) => walk(&sh.current_dir())?,
        };
        paths.sort();
        let (mut files, mut others) = (Vec::new(), Vec::new());
        for path in paths {
            let full = sh.current_dir().join(&path);
            // A tracked file may be deleted in the working tree, or may not be text.
            match std::fs::read_to_string(&full) {
                Ok(text) => files.push(File { path, text }),
                Err(_) if full.is_file() => others.push(path),
                Err(_) => {}
            }
        }
        Ok(Self { files, others })
    }

    /// The text of a required file.
    pub(crate) fn text(&self, path: &str) -> Result<&str> {
        self.find(path).ok_or_else(|| format!("{path} does not exist").into())
    }

    /// The text of an optional file.
    pub(crate) fn find(&self, path: &str) -> Option<&str> {
        self.files.iter().find(|file| file.path == path).map(|file| file.text.as_str())
    }

    /// Whether the path is a file or a folder that contains one. The empty path is the root.
    pub(crate) fn has(&self, path: &str) -> bool {
        let mut paths = self.files.iter().map(|file| &file.path).chain(&self.others);
        path.is_empty()
            || paths.any(|file| file.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    }

    /// The path if it exists, otherwise the innermost folder around it that does. `.` is the root.
    pub(crate) fn nearest<'p>(&self, path: &'p str) -> &'p str {
        let mut nearest = path.trim_end_matches('/');
        while !self.has(nearest) {
            nearest = nearest.rsplit_once('/').map_or("", |(folder, _)| folder);
        }
        if nearest.is_empty() { "." } else { nearest }
    }

    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| File { path: (*path).to_owned(), text: (*text).to_owned() };
        Self { files: files.iter().map(file).collect(), others: Vec::new() }
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
    fn without_git_built_and_installed_files_are_left_out() {
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
    fn the_nearest_path_exists() {
        let repository = Repository::of(&[("a/b/c.md", ""), ("d.md", "")]);
        for (path, nearest) in [("a/b/c.md", "a/b/c.md"), ("a/b/x.md", "a/b"), ("a/x/y.md", "a"), ("x.md", "."), ("a/", "a")]
        {
            assert_eq!(repository.nearest(path), nearest, "{path}");
        }
    }

    #[test]
    fn a_bundle_is_not_a_source() {
        let repository = Repository::of(&[("app/console/dist/a.js", ""), ("app/console/web/a.ts", ""), ("a.md", "")]);
        let sources: Vec<_> =
            repository.files.iter().filter(|file| file.is_source()).map(|file| file.path.as_str()).collect();
        assert_eq!(sources, ["app/console/web/a.ts", "a.md"]);
    }
}
