//! A stamp file: the input that a result was made from.

use std::path::{Path, PathBuf};

use crate::Result;

/// The stamp contains the whole input and no hash, so that a difference can be inspected.
pub(crate) struct Stamp {
    path: PathBuf,
    input: Vec<u8>,
}

impl Stamp {
    /// The stamp at `path` for the current content of `files`.
    pub(crate) fn new(path: PathBuf, files: &[impl AsRef<Path>]) -> Result<Self> {
        let mut input = Vec::new();
        for file in files {
            let content = std::fs::read(file)?;
            input.extend(format!("== {} {}\n", file.as_ref().display(), content.len()).bytes());
            input.extend(content);
        }
        Ok(Self { path, input })
    }

    /// Whether the result was made from this input.
    pub(crate) fn is_current(&self) -> bool {
        std::fs::read(&self.path).is_ok_and(|stamped| stamped == self.input)
    }

    /// Records that the result was made; to be called after every step has succeeded.
    pub(crate) fn write(&self) -> Result {
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        Ok(std::fs::write(&self.path, &self.input)?)
    }
}

#[cfg(test)]
mod tests {
    use xshell::Shell;

    use super::*;

    #[test]
    fn a_stamp_is_current_until_the_input_changes() {
        let folder = Shell::new().unwrap().create_temp_dir().unwrap();
        let input = folder.path().join("lock");
        std::fs::write(&input, "1").unwrap();
        let stamp = || Stamp::new(folder.path().join("made/.stamp"), &[&input]).unwrap();

        assert!(!stamp().is_current());
        stamp().write().unwrap();
        assert!(stamp().is_current());
        std::fs::write(&input, "2").unwrap();
        assert!(!stamp().is_current());
        stamp().write().unwrap();
        std::fs::remove_dir_all(folder.path().join("made")).unwrap();
        assert!(!stamp().is_current());
    }
}
