//! Where a field of a profile is in its text.

use std::fmt;

use toml::Spanned;
use toml::de::DeTable;

/// A rule that a field breaks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// The names of the tables and the field.
    path: Vec<String>,
    /// What is wrong, with the accepted form.
    problem: String,
}

/// A violation of a field with this path.
pub(crate) fn at<const N: usize>(path: [&str; N], problem: impl Into<String>) -> Violation {
    Violation { path: path.map(str::to_owned).to_vec(), problem: problem.into() }
}

impl Violation {
    /// The line, the field and the problem.
    pub(crate) fn describe(&self, text: &str) -> String {
        format!("line {}: {self}", line_of(text, &self.path))
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.path.join("."), self.problem)
    }
}

/// The line of a field, counted from 1. Of a field that is missing, the line of the table that lacks it.
fn line_of(text: &str, path: &[String]) -> usize {
    let mut offset = 0;
    let parsed = DeTable::parse(text).ok();
    let mut table = parsed.as_ref().map(Spanned::get_ref);
    for name in path {
        let Some((key, value)) = table.and_then(|table| table.get_key_value(name.as_str())) else { break };
        offset = key.span().start;
        table = value.get_ref().as_table();
    }
    text.get(..offset).unwrap_or_default().matches('\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_in_tables_inline_tables_and_dotted_keys() {
        let text = "id = \"x\"\n\n[wire.token]\nparameters = { a = \"b\" }\nfields.x = 1\n[[list]]\n";
        let line = |path: &[&str]| line_of(text, &path.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(line(&["id"]), 1);
        assert_eq!(line(&["wire", "token"]), 3);
        assert_eq!(line(&["wire", "token", "parameters", "a"]), 4);
        assert_eq!(line(&["wire", "token", "fields", "x"]), 5);
        assert_eq!(line(&["wire", "token", "missing"]), 3, "the table that lacks it");
        assert_eq!(line(&["missing"]), 1);
        assert_eq!(at(["a", "b"], "is wrong").describe("[a]\nb = 1\n"), "line 2: `a.b` is wrong");
    }
}
