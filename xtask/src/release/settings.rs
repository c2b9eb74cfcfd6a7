//! The settings of the program, read from their declaration without compiling it.

use std::collections::{BTreeMap, BTreeSet};

use syn::{Fields, GenericArgument, Item, PathArguments, Type};

use crate::Result;

/// Where the settings are declared, and the root of the declaration.
pub(crate) const FILE: &str = "app/src/config/settings.rs";
const ROOT: &str = "Settings";

/// The keys of all settings: `oauth.flow_ttl`, and `spaces.id` for the fields of a list of tables.
pub(crate) fn declared(source: &str) -> Result<BTreeSet<String>> {
    let file = syn::parse_file(source).map_err(|error| format!("{FILE}: {error}"))?;
    let mut structs = BTreeMap::new();
    for item in file.items {
        if let Item::Struct(item) = item {
            structs.insert(item.ident.to_string(), item.fields);
        }
    }
    let root = structs.get(ROOT).ok_or_else(|| format!("{FILE}: declares no `{ROOT}`"))?;
    let mut keys = BTreeSet::new();
    collect(root, "", &structs, &mut keys);
    Ok(keys)
}

fn collect(fields: &Fields, prefix: &str, structs: &BTreeMap<String, Fields>, keys: &mut BTreeSet<String>) {
    for field in fields {
        let Some(name) = &field.ident else {
            continue;
        };
        let key = format!("{prefix}{name}");
        match named(&field.ty).and_then(|name| structs.get(&name)) {
            Some(inner) => collect(inner, &format!("{key}."), structs, keys),
            None => {
                keys.insert(key);
            }
        }
    }
}

/// The name of a type, or that of the elements of a list or an option.
fn named(ty: &Type) -> Option<String> {
    let Type::Path(path) = ty else {
        return None;
    };
    let last = path.path.segments.last()?;
    if (last.ident == "Vec" || last.ident == "Option")
        && let PathArguments::AngleBracketed(arguments) = &last.arguments
        && let Some(GenericArgument::Type(inner)) = arguments.args.first()
    {
        return named(inner);
    }
    Some(last.ident.to_string())
}

/// The keys of the example file, including those that are commented out: `# key = value` and `# [section]`.
pub(crate) fn in_example(text: &str) -> Result<BTreeSet<String>> {
    let is_name = |name: &str| {
        !name.is_empty()
            && name.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_')
    };
    let is_setting = |line: &&str| line.starts_with('[') || line.split_once(" = ").is_some_and(|(name, _)| is_name(name));
    let lines: Vec<_> =
        text.lines().map(|line| line.strip_prefix("# ").filter(|line| is_setting(line)).unwrap_or(line)).collect();
    let table: toml::Table = toml::from_str(&lines.join("\n"))?;
    let mut keys = BTreeSet::new();
    flatten(&table, "", &mut keys);
    Ok(keys)
}

fn flatten(table: &toml::Table, prefix: &str, keys: &mut BTreeSet<String>) {
    for (name, value) in table {
        let key = format!("{prefix}{name}");
        if let Some(inner) = value.as_table() {
            flatten(inner, &format!("{key}."), keys);
        }
        for inner in value.as_array().into_iter().flatten().filter_map(toml::Value::as_table) {
            flatten(inner, &format!("{key}."), keys);
        }
        keys.insert(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_follow_the_declaration() {
        let source = "struct Settings { listen: SocketAddr, store: Store, spaces: Vec<Space>, proxy: Option<Proxy> }
            struct Store { pub(super) url: Url } struct Space { id: Id } struct Proxy { header: Option<Name> }";
        let expected = ["listen", "proxy.header", "spaces.id", "store.url"];
        assert!(declared(source).unwrap().iter().map(String::as_str).eq(expected));
        assert!(declared("struct Other;").is_err());
    }

    #[test]
    fn keys_of_the_example_include_those_that_are_commented_out() {
        let text = "# Text = text\nlisten = 1\n[store]\nurl = 2\n# id = 3\n# [[identity.agents]]\n# name = \"x\"\n\
            [oauth]\nrates = { start = 1 }";
        let keys = in_example(text).unwrap();
        for key in ["listen", "store.url", "store.id", "identity.agents.name", "oauth.rates.start"] {
            assert!(keys.contains(key), "{key} in {keys:?}");
        }
        assert!(!keys.iter().any(|key| key.contains("Text")));
    }
}
