//! The settings of the program: their declaration, read without compiling it, and the example file.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;
use syn::{
    Attribute, Expr, GenericArgument, ImplItem, Item, ItemImpl, ItemStruct, Lit, Member, Meta, PathArguments, Stmt, Type,
};

use crate::Result;

/// Where the settings are declared, from the root.
pub(crate) const DECLARATION: &str = "app/src/config/settings.rs";
/// The file with every setting and its default, from the root.
pub(crate) const EXAMPLE: &str = "grantry.example.toml";

/// The root of the declaration.
const ROOT: &str = "Settings";

/// A setting or a section of the example file that is commented out.
static COMMENTED_OUT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^# (\[\[?[a-z_.]+\]\]?$|[a-z_0-9]+ = )").expect("a valid pattern"));

/// The declaration.
#[derive(Debug)]
pub(crate) struct Declaration {
    structs: BTreeMap<String, Vec<Field>>,
}

/// A setting, or a section with further ones.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    /// The lines of the documentation.
    pub(crate) doc: String,
    of_type: Kind,
    /// Whether an attribute of the field gives it a default.
    pub(crate) has_default: bool,
    /// Whether it is a list that is empty by default.
    pub(crate) is_empty: bool,
}

/// The form of a type, with the name of the type itself or of the one inside it.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Single(String),
    Optional(String),
    List(String),
}

impl Declaration {
    /// Reads a source.
    pub(crate) fn parse(source: &str) -> Result<Self> {
        let file = syn::parse_file(source).map_err(|error| format!("{DECLARATION}: {error}"))?;
        let empty: BTreeSet<_> = file.items.iter().flat_map(empty_lists).collect();
        let mut structs = BTreeMap::new();
        for item in &file.items {
            if let Item::Struct(item) = item {
                structs.insert(item.ident.to_string(), fields(item, &empty));
            }
        }
        if structs.contains_key(ROOT) {
            Ok(Self { structs })
        } else {
            Err(format!("{DECLARATION}: declares no `{ROOT}`").into())
        }
    }

    /// The settings outside of sections, and the sections.
    pub(crate) fn fields(&self) -> &[Field] {
        self.structs.get(ROOT).map_or(&[], Vec::as_slice)
    }

    /// The settings of a section; `None` if the field is a setting.
    pub(crate) fn section(&self, field: &Field) -> Option<&[Field]> {
        match &field.of_type {
            Kind::Single(name) | Kind::Optional(name) => self.structs.get(name).map(Vec::as_slice),
            Kind::List(_) => None,
        }
    }

    /// The fields of the tables in a list; `None` if the field is something else.
    pub(crate) fn row(&self, field: &Field) -> Option<&[Field]> {
        match &field.of_type {
            Kind::List(name) => self.structs.get(name).map(Vec::as_slice),
            Kind::Single(_) | Kind::Optional(_) => None,
        }
    }

    /// The keys of all settings: `oauth.flow_ttl`, and `spaces.id` for the fields of a list of tables.
    pub(crate) fn keys(&self) -> BTreeSet<String> {
        let mut keys = BTreeSet::new();
        self.collect(self.fields(), "", &mut keys);
        keys
    }

    fn collect(&self, fields: &[Field], prefix: &str, keys: &mut BTreeSet<String>) {
        for field in fields {
            let key = format!("{prefix}{}", field.name);
            match self.section(field).or_else(|| self.row(field)) {
                Some(inner) => self.collect(inner, &format!("{key}."), keys),
                None => {
                    keys.insert(key);
                }
            }
        }
    }
}

impl Field {
    /// Whether the setting can be left out without a default.
    pub(crate) fn is_optional(&self) -> bool {
        match self.of_type {
            Kind::Optional(_) => true,
            Kind::Single(_) | Kind::List(_) => false,
        }
    }
}

fn fields(item: &ItemStruct, empty: &BTreeSet<(String, String)>) -> Vec<Field> {
    let is_derived =
        item.attrs.iter().any(|attribute| attribute.path().is_ident("derive") && mentions(attribute, "Default"));
    let field = |field: &syn::Field| {
        let name = field.ident.as_ref()?.to_string();
        let of_type = kind(&field.ty)?;
        let is_list = match of_type {
            Kind::List(_) => true,
            Kind::Single(_) | Kind::Optional(_) => false,
        };
        let is_empty = is_list && (is_derived || empty.contains(&(item.ident.to_string(), name.clone())));
        let has_default = field.attrs.iter().any(|attribute| mentions(attribute, "default"));
        let doc = field.attrs.iter().filter_map(doc).collect::<Vec<_>>().join("\n");
        Some(Field { name, doc, of_type, has_default, is_empty })
    };
    item.fields.iter().filter_map(field).collect()
}

fn kind(ty: &Type) -> Option<Kind> {
    let Type::Path(path) = ty else {
        return None;
    };
    let last = path.path.segments.last()?;
    if let PathArguments::AngleBracketed(arguments) = &last.arguments
        && let Some(GenericArgument::Type(Type::Path(inner))) = arguments.args.first()
    {
        let inner = inner.path.segments.last()?.ident.to_string();
        if last.ident == "Vec" {
            return Some(Kind::List(inner));
        }
        if last.ident == "Option" {
            return Some(Kind::Optional(inner));
        }
    }
    Some(Kind::Single(last.ident.to_string()))
}

/// Whether the arguments of an attribute contain a word.
fn mentions(attribute: &Attribute, word: &str) -> bool {
    let Meta::List(list) = &attribute.meta else {
        return false;
    };
    list.tokens.to_string().split(|letter: char| !letter.is_alphanumeric() && letter != '_').any(|part| part == word)
}

/// A line of documentation.
fn doc(attribute: &Attribute) -> Option<String> {
    let Meta::NameValue(pair) = &attribute.meta else {
        return None;
    };
    let Expr::Lit(literal) = &pair.value else {
        return None;
    };
    let Lit::Str(text) = &literal.lit else {
        return None;
    };
    attribute.path().is_ident("doc").then(|| text.value())
}

/// The type and the field of each `field: Vec::new()` in an implementation of `Default`.
fn empty_lists(item: &Item) -> Vec<(String, String)> {
    let Item::Impl(item) = item else {
        return Vec::new();
    };
    let is_default = item.trait_.as_ref().is_some_and(|(path, _)| path.is_ident("Default"));
    let Some(Kind::Single(name)) = kind(&item.self_ty).filter(|_| is_default) else {
        return Vec::new();
    };
    values(item).filter(|(_, value)| is_empty_list(value)).map(|(field, _)| (name.clone(), field)).collect()
}

/// The fields and values of the expression at the end of each function.
fn values(item: &ItemImpl) -> impl Iterator<Item = (String, &Expr)> {
    let ends = item.items.iter().filter_map(|item| {
        let ImplItem::Fn(function) = item else {
            return None;
        };
        let Some(Stmt::Expr(Expr::Struct(value), None)) = function.block.stmts.last() else {
            return None;
        };
        Some(value)
    });
    ends.flat_map(|value| &value.fields).filter_map(|value| match &value.member {
        Member::Named(name) => Some((name.to_string(), &value.expr)),
        Member::Unnamed(_) => None,
    })
}

fn is_empty_list(value: &Expr) -> bool {
    let Expr::Call(call) = value else {
        return false;
    };
    let Expr::Path(function) = &*call.func else {
        return false;
    };
    function.path.segments.iter().map(|segment| segment.ident.to_string()).eq(["Vec", "new"])
}

/// Whether a line of the example file is a setting or a section that is commented out.
pub(crate) fn is_commented_out(line: &str) -> bool {
    COMMENTED_OUT.is_match(line)
}

/// The values of the example file, including those that are commented out: `# key = value` and `# [section]`.
pub(crate) fn example(text: &str) -> Result<toml::Table> {
    let line = |line| if is_commented_out(line) { &line[2..] } else { line };
    let text: Vec<_> = text.lines().map(line).collect();
    Ok(toml::from_str(&text.join("\n")).map_err(|error| format!("{EXAMPLE}: {error}"))?)
}

/// The keys of the example file.
pub(crate) fn example_keys(text: &str) -> Result<BTreeSet<String>> {
    let mut keys = BTreeSet::new();
    flatten(&example(text)?, "", &mut keys);
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
        assert!(Declaration::parse(source).unwrap().keys().iter().map(String::as_str).eq(expected));
        assert!(Declaration::parse("struct Other;").is_err());
    }

    #[test]
    fn fields_have_documentation_and_a_default() {
        let source = "#[derive(Debug)] struct Settings {
                /// One
                /// two.
                #[serde(with = \"text\")] a: A, #[serde(default)] b: Option<B>, c: Vec<C>, d: Vec<C> }
            impl Default for Settings { fn default() -> Self { Self { a: A, b: None, c: Vec::new(), d: vec![C] } } }
            #[derive(Debug, Default)] struct C { e: Vec<u8> }";
        let declaration = Declaration::parse(source).unwrap();
        let [a, b, c, d] = declaration.fields() else { panic!("{declaration:?}") };
        assert_eq!(a.doc, " One\n two.");
        assert!(!a.has_default && !a.is_optional() && b.has_default && b.is_optional());
        assert!(c.is_empty && !d.is_empty && !a.is_empty);
        assert!(declaration.row(c).unwrap()[0].is_empty);
        assert!(declaration.row(a).is_none() && declaration.section(c).is_none());
    }

    #[test]
    fn keys_of_the_example_include_those_that_are_commented_out() {
        let text = "# Text = text\nlisten = 1\n[store]\nurl = 2\n# id = 3\n# [[identity.agents]]\n# name = \"x\"\n\
            [oauth]\nrates = { start = 1 }";
        let keys = example_keys(text).unwrap();
        for key in ["listen", "store.url", "store.id", "identity.agents.name", "oauth.rates.start"] {
            assert!(keys.contains(key), "{key} in {keys:?}");
        }
        assert!(!keys.iter().any(|key| key.contains("Text")));
    }
}
