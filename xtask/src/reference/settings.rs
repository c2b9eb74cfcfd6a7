//! The page of the settings: their declaration, and the example file with its comments.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::LazyLock;

use regex::Regex;

use super::head;
use super::table::{paragraph, table};
use crate::Result;
use crate::settings::{self, Declaration, Field};

static SECTION: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?m)^(?:# )?\[\[?([a-z_]+)[a-z_.]*\]\]?$").expect("a valid pattern"));

const INTRODUCTION: &str = "\
A configuration file is TOML: `grantry serve --config grantry.toml`. `grantry check --config grantry.toml` reports every mistake
with its line and starts nothing.

- **Required** are `public_base_url`, `keys.write` and, with identity mode `accounts`, one account.
- Each setting can also be given by the environment variable in the table, which takes precedence. In a variable, lists are
  separated by commas or written as JSON, and lists of tables are JSON.
- Unknown settings and unknown variables with the prefix `GRANTRY_` are refused.
- A relative path starts at the folder of the file. A duration is a text such as `\"90s\"`, `\"10m\"`, `\"12h\"` or `\"30d\"`. A
  rate is a number in a duration, such as `\"20/10m\"`.

The block below each table is the part of [`grantry.example.toml`](../../grantry.example.toml) with the same settings. It shows
the default, or an example where the default is empty; a setting that is commented out there is not set by default.

";

/// The page, from the declaration and the example file. A test of the server compares these two.
pub(super) fn page(declaration: &str, example: &str) -> Result<String> {
    let document = Document { declaration: Declaration::parse(declaration)?, values: settings::example(example)? };
    let fields = document.declaration.fields();
    let mut blocks = blocks(example);
    let mut page = head("Settings", "`app/src/config/settings.rs` and `grantry.example.toml`") + INTRODUCTION;
    let is_section =
        |field: &&Field| document.declaration.section(field).is_some() || document.declaration.row(field).is_some();
    let mut rows = Vec::new();
    for field in fields.iter().filter(|field| !is_section(field)) {
        document.collect(field, "", &mut rows)?;
    }
    section(&mut page, "General", &rows, blocks.remove(""));
    for field in fields.iter().filter(is_section) {
        let mut rows = Vec::new();
        document.collect(field, "", &mut rows)?;
        section(&mut page, &format!("`{}`", field.name), &rows, blocks.remove(&field.name));
    }
    match blocks.keys().next() {
        None => Ok(page.trim_end().to_owned() + "\n"),
        Some(unknown) => Err(format!("grantry.example.toml has a section `{unknown}` that is not declared").into()),
    }
}

fn section(page: &mut String, title: &str, rows: &[Vec<String>], block: Option<String>) {
    let _ = write!(page, "## {title}\n\n{}\n", table(&["setting", "default", "environment variable", "meaning"], rows));
    if let Some(block) = block {
        let _ = write!(page, "```toml\n{}\n```\n\n", block.trim_end());
    }
}

struct Document {
    declaration: Declaration,
    /// The values of the example file.
    values: toml::Table,
}

impl Document {
    /// Adds the rows of a setting, or of all settings of a section.
    fn collect(&self, field: &Field, prefix: &str, rows: &mut Vec<Vec<String>>) -> Result {
        let path = format!("{prefix}{}", field.name);
        if let Some(section) = self.declaration.section(field) {
            for inner in section {
                self.collect(inner, &format!("{path}."), rows)?;
            }
            return Ok(());
        }
        let variable = format!("`GRANTRY_{}`", path.replace('.', "_").to_uppercase());
        rows.push(vec![format!("`{path}`"), self.default(field, &path)?, variable, doc(field)]);
        for inner in self.declaration.row(field).into_iter().flatten() {
            let default = if inner.has_default { "optional" } else { "required" };
            rows.push(vec![format!("`{path}[].{}`", inner.name), default.to_owned(), String::new(), doc(inner)]);
        }
        Ok(())
    }

    fn default(&self, field: &Field, path: &str) -> Result<String> {
        if field.doc.contains("Required.") {
            return Ok("required".to_owned());
        }
        if field.is_optional() {
            return Ok("not set".to_owned());
        }
        if field.is_empty {
            return Ok("empty".to_owned());
        }
        let mut parts = path.split('.');
        let first = parts.next().and_then(|first| self.values.get(first));
        let value = parts.fold(first, |value, part| value?.get(part));
        value.map(|value| format!("`{value}`")).ok_or_else(|| format!("{path} is missing from grantry.example.toml").into())
    }
}

fn doc(field: &Field) -> String {
    paragraph(&field.doc).replace(". `None`", ". Not set").replace("`None`", "not set")
}

/// The paragraphs of the example file by section, without its introduction.
fn blocks(example: &str) -> BTreeMap<String, String> {
    let mut blocks: BTreeMap<String, String> = BTreeMap::new();
    let mut section = String::new();
    let is_setting = |line: &str| !line.starts_with('#') || settings::is_commented_out(line);
    for block in example.split("\n\n").skip_while(|block| !block.lines().any(is_setting)) {
        if let Some(found) = SECTION.captures(block) {
            found[1].clone_into(&mut section);
        }
        let text = blocks.entry(section.clone()).or_default();
        text.push_str(block.trim_end());
        text.push_str("\n\n");
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECLARATION: &str = r#"
#[derive(Clone)]
#[serde(default)]
pub struct Settings {
    /// The address.
    #[serde(with = "text")]
    pub listen: SocketAddr,
    /// More
    /// hosts.
    pub hosts: Vec<String>,
    /// `[users]`
    pub users: Users,
    /// Spaces.
    pub(super) spaces: Vec<Space>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { listen: 1, hosts: vec!["*"], users: Users::default(), spaces: Vec::new() }
    }
}

#[derive(Debug, Default)]
pub struct Users {
    /// The key; `None`: no key.
    #[serde(with = "optional")]
    pub key: Option<Key>,
}

#[derive(Debug)]
pub(super) struct Space {
    /// Its id.
    pub(super) id: SpaceId,
    /// Its name.
    #[serde(default)]
    pub(super) name: String,
}
"#;

    const EXAMPLE: &str = "# All about it.\n\n# Where.\nlisten = \"127.0.0.1:1\"\nhosts = [\"*\"]\n\n[users]\n# The key = secret.\n# key = \"file:k\"\n\n\
                           # A space.\n# [[spaces]]\n# id = \"a\"\n# name = \"A\"\n";

    #[test]
    fn every_setting_has_its_default_and_its_part_of_the_example() {
        let page = page(DECLARATION, EXAMPLE).unwrap();
        for part in [
            "| `listen` | `\"127.0.0.1:1\"` | `GRANTRY_LISTEN` | The address. |",
            "| `hosts` | `[\"*\"]` | `GRANTRY_HOSTS` | More hosts. |",
            "## `users`\n",
            "| `users.key` | not set | `GRANTRY_USERS_KEY` | The key; not set: no key. |",
            "| `spaces` | empty | `GRANTRY_SPACES` | Spaces. |\n| `spaces[].id` | required |  | Its id. |",
            "| `spaces[].name` | optional |  | Its name. |",
            "```toml\n# Where.\nlisten = \"127.0.0.1:1\"\nhosts = [\"*\"]\n```",
            "```toml\n[users]\n# The key = secret.\n# key = \"file:k\"\n```",
            "```toml\n# A space.\n# [[spaces]]\n",
        ] {
            assert!(page.contains(part), "{part}\n{page}");
        }
        assert!(!page.contains("All about it"));
    }

    #[test]
    fn settings_without_an_example_and_unknown_sections_are_errors() {
        assert!(page(DECLARATION, &EXAMPLE.replace("listen =", "# where")).is_err());
        assert!(page(DECLARATION, &format!("{EXAMPLE}\n[other]\nx = 1\n")).is_err());
        assert!(page("", EXAMPLE).is_err());
    }
}
