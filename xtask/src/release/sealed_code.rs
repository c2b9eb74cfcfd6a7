//! What the code seals: record types, the fields of their associated data, and the fields of their payloads.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::{self, Visit};
use syn::{Expr, ImplItem, Item, ItemFn, Lit, Pat, Type};

use crate::Result;
use crate::tidy::repository::Repository;

const ENVELOPE: &str = "adapters-crypto/aes-gcm/src/envelope.rs";
const ASSOCIATED: &str = "adapters-crypto/aes-gcm/src/associated_data.rs";
const PAYLOADS: &str = "domain/src/authorization/sealed.rs";

/// What the code declares.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sealed {
    /// The payload version that is written.
    pub(crate) writes: u64,
    /// The byte of each record type.
    pub(crate) types: BTreeMap<String, u64>,
    /// The tags of the associated data of each record type.
    pub(crate) associated: BTreeMap<String, BTreeSet<u64>>,
    /// The fields of each payload, in the order of their tags: `01 bytes`.
    pub(crate) payloads: BTreeMap<String, BTreeSet<String>>,
}

/// Reads the sources.
pub(crate) fn read(repository: &Repository) -> Result<Sealed> {
    let parse = |path: &str| -> Result<syn::File> {
        syn::parse_file(repository.text(path)?).map_err(|error| format!("{path}: {error}").into())
    };
    let payloads = parse(PAYLOADS)?;
    let writes = constants(&payloads).get("PAYLOAD_VERSION").copied();
    Ok(Sealed {
        writes: writes.ok_or(format!("{PAYLOADS}: no constant PAYLOAD_VERSION"))?,
        types: record_types(&parse(ENVELOPE)?),
        associated: associated(&parse(ASSOCIATED)?),
        payloads: fields(&payloads),
    })
}

fn constants(file: &syn::File) -> BTreeMap<String, u64> {
    let constant = |item: &Item| {
        let Item::Const(item) = item else {
            return None;
        };
        Some((item.ident.to_string(), number(&item.expr)?))
    };
    file.items.iter().filter_map(constant).collect()
}

fn number(expr: &Expr) -> Option<u64> {
    let Expr::Lit(literal) = expr else {
        return None;
    };
    let Lit::Int(number) = &literal.lit else {
        return None;
    };
    number.base10_parse().ok()
}

fn record_types(file: &syn::File) -> BTreeMap<String, u64> {
    let mut types = BTreeMap::new();
    for item in &file.items {
        if let Item::Enum(item) = item
            && item.ident == "RecordType"
        {
            let variant = |variant: &syn::Variant| {
                let (_, value) = variant.discriminant.as_ref()?;
                Some((variant.ident.to_string(), number(value)?))
            };
            types.extend(item.variants.iter().filter_map(variant));
        }
    }
    types
}

/// The tags that each arm of `bytes` uses, directly or through a function of the file.
fn associated(file: &syn::File) -> BTreeMap<String, BTreeSet<u64>> {
    // Other constants are limits.
    let is_tag =
        |item: &Item| matches!(item, Item::Const(item) if matches!(&*item.ty, Type::Path(ty) if ty.path.is_ident("u8")));
    let tags: Vec<_> = file.items.iter().filter(|item| is_tag(item)).cloned().collect();
    let constants = constants(&syn::File { items: tags, ..file.clone() });
    let function = |item: &Item| {
        let Item::Fn(function) = item else {
            return None;
        };
        Some((function.sig.ident.to_string(), function.clone()))
    };
    let functions: BTreeMap<String, ItemFn> = file.items.iter().filter_map(function).collect();
    let mut arms = Arms::default();
    if let Some(bytes) = functions.get("bytes") {
        arms.visit_item_fn(bytes);
    }
    let tags = |names: &BTreeSet<String>| {
        let mut names = names.clone();
        for name in names.clone() {
            if let Some(function) = functions.get(&name) {
                let mut inner = Names::default();
                inner.visit_item_fn(function);
                names.extend(inner.0);
            }
        }
        names.iter().filter_map(|name| constants.get(name)).copied().collect()
    };
    arms.0.iter().map(|(record, names)| (record.clone(), tags(names))).collect()
}

/// The names in the body of each arm, by the variants of its pattern.
#[derive(Default)]
struct Arms(BTreeMap<String, BTreeSet<String>>);

impl<'ast> Visit<'ast> for Arms {
    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        let mut names = Names::default();
        names.visit_expr(&arm.body);
        for variant in variants(&arm.pat) {
            self.0.entry(variant).or_default().extend(names.0.iter().cloned());
        }
    }
}

fn variants(pattern: &Pat) -> Vec<String> {
    if let Pat::Or(or) = pattern {
        return or.cases.iter().flat_map(variants).collect();
    }
    let path = if let Pat::Struct(pattern) = pattern { pattern.path.segments.last() } else { None };
    path.map(|segment| segment.ident.to_string()).into_iter().collect()
}

/// The last segments of all paths.
#[derive(Default)]
struct Names(BTreeSet<String>);

impl<'ast> Visit<'ast> for Names {
    fn visit_expr_path(&mut self, path: &'ast syn::ExprPath) {
        self.0.extend(path.path.segments.last().map(|segment| segment.ident.to_string()));
        visit::visit_expr_path(self, path);
    }
}

/// The fields that each `encode` writes.
fn fields(file: &syn::File) -> BTreeMap<String, BTreeSet<String>> {
    let mut payloads = BTreeMap::new();
    for item in &file.items {
        let Item::Impl(item) = item else {
            continue;
        };
        let Type::Path(ty) = &*item.self_ty else {
            continue;
        };
        for inner in &item.items {
            if let ImplItem::Fn(function) = inner
                && function.sig.ident == "encode"
            {
                let mut calls = Fields::default();
                calls.visit_block(&function.block);
                let name = ty.path.segments.last().map(|segment| segment.ident.to_string());
                payloads.insert(name.unwrap_or_default(), calls.0);
            }
        }
    }
    payloads
}

#[derive(Default)]
struct Fields(BTreeSet<String>);

impl<'ast> Visit<'ast> for Fields {
    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if let Some(tag) = call.args.first().and_then(number) {
            self.0.insert(format!("{tag:02x} {}", call.method));
        }
        visit::visit_expr_method_call(self, call);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sources_are_read() {
        let envelope = "enum RecordType { Flow = 1, Grant = 2, Unclaimed = 4 }";
        let associated = "const USER: u8 = 0x05; const COOKIE: u8 = 0x08; const OTHER: u8 = 9;
            fn bytes(a: &A) { match a {
                A::Flow { x } => encode(&[of_user(x), (COOKIE, x)]),
                A::Grant { x } | A::Unclaimed { x } => encode(&[of_user(x)]),
            } }
            fn of_user(x: u8) -> (u8, u8) { (USER, x) }";
        let payloads = "pub const PAYLOAD_VERSION: u16 = 3;
            impl Flow { fn encode(&self) -> Secret { W::default().bytes(0x0a, x).optional(0x01, y.map(f)).finish() } }";
        let repository = Repository::of(&[(ENVELOPE, envelope), (ASSOCIATED, associated), (PAYLOADS, payloads)]);
        let sealed = read(&repository).unwrap();
        assert_eq!(sealed.writes, 3);
        assert_eq!(sealed.types["Unclaimed"], 4);
        assert_eq!(sealed.associated["Flow"], BTreeSet::from([5, 8]));
        assert_eq!(sealed.associated["Unclaimed"], BTreeSet::from([5]));
        assert_eq!(sealed.payloads["Flow"], BTreeSet::from(["01 optional".to_owned(), "0a bytes".to_owned()]));
    }
}
