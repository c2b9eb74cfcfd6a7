//! What the code seals: record types, the fields of their associated data, and the fields of their payloads.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::{self, Visit};
use syn::{Expr, ImplItem, Item, ItemFn, Lit, Pat, Type};

use crate::Result;
use crate::tidy::repository::Repository;

const ENVELOPE: &str = "adapters-crypto/aes-gcm/src/envelope.rs";
const ASSOCIATED: &str = "adapters-crypto/aes-gcm/src/associated_data.rs";
pub(crate) const PAYLOADS: &str = "domain/src/authorization/sealed.rs";
pub(crate) const SEALER: &str = "domain/src/usecase/sealer.rs";
const WRITTEN: &str = "PAYLOAD_VERSION";

/// What the code declares.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sealed {
    /// The payload version that is written.
    pub(crate) writes: u64,
    /// The payload versions that `decode` of each payload accepts. Empty if the code has another form than
    /// `known(version)?;` with `if version == A || version == B { Ok(()) } else { … }`.
    pub(crate) reads: BTreeMap<String, BTreeSet<u64>>,
    /// Calls of the use cases that seal with another version than `PAYLOAD_VERSION`, or decode with another one than that of the
    /// envelope.
    pub(crate) bypasses: Vec<String>,
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
    let writes = constants(&payloads).get(WRITTEN).copied();
    let mut bypasses = Bypasses::default();
    bypasses.visit_file(&parse(SEALER)?);
    Ok(Sealed {
        writes: writes.ok_or(format!("{PAYLOADS}: no constant {WRITTEN}"))?,
        reads: reads(&payloads),
        bypasses: bypasses.0,
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

/// The versions that each `decode` accepts: those of the function that checks `version` first.
fn reads(file: &syn::File) -> BTreeMap<String, BTreeSet<u64>> {
    let constants = constants(file);
    let checks = file.items.iter().filter_map(|item| {
        let Item::Fn(function) = item else { return None };
        Some((function.sig.ident.to_string(), accepted(function, &constants)?))
    });
    let checks: BTreeMap<_, _> = checks.collect();
    let decoders = functions(file, "decode");
    decoders
        .map(|(name, block)| (name, checked_by(block).and_then(|name| checks.get(&name).cloned()).unwrap_or_default()))
        .collect()
}

/// The function of a first statement `function(version)?;`.
fn checked_by(block: &syn::Block) -> Option<String> {
    let Some(syn::Stmt::Expr(Expr::Try(question), Some(_))) = block.stmts.first() else {
        return None;
    };
    let Expr::Call(call) = &*question.expr else {
        return None;
    };
    let is_version = call.args.len() == 1 && call.args.first().is_some_and(is_version);
    if is_version { path_end(&call.func) } else { None }
}

/// The versions for which a function without other statements returns `Ok`.
fn accepted(function: &ItemFn, constants: &BTreeMap<String, u64>) -> Option<BTreeSet<u64>> {
    let [syn::Stmt::Expr(Expr::If(branch), None)] = function.block.stmts.as_slice() else {
        return None;
    };
    let returns = |block: &syn::Block, variant: &str| match block.stmts.as_slice() {
        [syn::Stmt::Expr(Expr::Call(call), None)] => path_end(&call.func).as_deref() == Some(variant),
        _ => false,
    };
    let refuses = match branch.else_branch.as_ref().map(|(_, other)| &**other) {
        Some(Expr::Block(other)) => returns(&other.block, "Err"),
        Some(_) | None => false,
    };
    if returns(&branch.then_branch, "Ok") && refuses { compared(&branch.cond, constants) } else { None }
}

/// The values of `version == A || version == B`.
fn compared(condition: &Expr, constants: &BTreeMap<String, u64>) -> Option<BTreeSet<u64>> {
    let Expr::Binary(binary) = condition else {
        return None;
    };
    if matches!(binary.op, syn::BinOp::Or(_)) {
        let (mut left, right) = (compared(&binary.left, constants)?, compared(&binary.right, constants)?);
        left.extend(right);
        return Some(left);
    }
    let is_equation = matches!(binary.op, syn::BinOp::Eq(_)) && is_version(&binary.left);
    let value = number(&binary.right).or_else(|| constants.get(&path_end(&binary.right)?).copied())?;
    is_equation.then(|| BTreeSet::from([value]))
}

fn is_version(expr: &Expr) -> bool {
    matches!(expr, Expr::Path(path) if path.path.is_ident("version"))
}

/// The last segment of a path.
fn path_end(expr: &Expr) -> Option<String> {
    let Expr::Path(path) = expr else {
        return None;
    };
    path.path.segments.last().map(|segment| segment.ident.to_string())
}

/// Finds calls of `seal` and `decode` with other versions.
#[derive(Default)]
struct Bypasses(Vec<String>);

impl<'ast> Visit<'ast> for Bypasses {
    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        let version = call.args.iter().nth(1).and_then(path_end);
        if call.method == "seal" && call.args.len() == 3 && version.as_deref() != Some(WRITTEN) {
            self.0.push(format!("`seal` without `{WRITTEN}`"));
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        let is_of_envelope = matches!(call.args.first(), Some(Expr::Field(field)) if
            matches!(&field.member, syn::Member::Named(name) if name == "version"));
        if path_end(&call.func).as_deref() == Some("decode") && !is_of_envelope {
            self.0.push("`decode` without the version of the envelope".to_owned());
        }
        visit::visit_expr_call(self, call);
    }
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
    let fields = |block| {
        let mut calls = Fields::default();
        calls.visit_block(block);
        calls.0
    };
    functions(file, "encode").map(|(name, block)| (name, fields(block))).collect()
}

/// The functions of a name in `impl` blocks, with the type.
fn functions<'f>(file: &'f syn::File, name: &'f str) -> impl Iterator<Item = (String, &'f syn::Block)> {
    let blocks = file.items.iter().filter_map(|item| if let Item::Impl(item) = item { Some(item) } else { None });
    blocks.flat_map(move |item| {
        let ty = if let Type::Path(ty) = &*item.self_ty { ty.path.segments.last() } else { None };
        let ty = ty.map(|segment| segment.ident.to_string());
        let with_name = move |inner: &'f ImplItem| {
            let ImplItem::Fn(function) = inner else { return None };
            if function.sig.ident == name { Some((ty.clone()?, &function.block)) } else { None }
        };
        item.items.iter().filter_map(with_name)
    })
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
            impl Flow { fn encode(&self) -> Secret { W::default().bytes(0x0a, x).optional(0x01, y.map(f)).finish() }
                fn decode(version: u16, payload: &Secret) -> R { known(version)?; Ok(Flow) } }
            impl Open { fn decode(version: u16, payload: &Secret) -> R { Ok(Open) } }
            fn known(version: u16) -> R { if version == 2 || version == PAYLOAD_VERSION { Ok(()) } else { Err(E) } }";
        let use_case = "fn f() { vault.seal(&a, PAYLOAD_VERSION, &b); vault.seal(&a, 1, &b); Flow::decode(a.version, b); Flow::decode(1, b); }";
        let sources = [(ENVELOPE, envelope), (ASSOCIATED, associated), (PAYLOADS, payloads), (SEALER, use_case)];
        let repository = Repository::of(&sources);
        let sealed = read(&repository).unwrap();
        assert_eq!(sealed.writes, 3);
        assert_eq!(sealed.reads["Flow"], BTreeSet::from([2, 3]));
        assert_eq!(sealed.reads["Open"], BTreeSet::new());
        assert_eq!(sealed.bypasses, ["`seal` without `PAYLOAD_VERSION`", "`decode` without the version of the envelope"]);
        assert_eq!(sealed.types["Unclaimed"], 4);
        assert_eq!(sealed.associated["Flow"], BTreeSet::from([5, 8]));
        assert_eq!(sealed.associated["Unclaimed"], BTreeSet::from([5]));
        assert_eq!(sealed.payloads["Flow"], BTreeSet::from(["01 optional".to_owned(), "0a bytes".to_owned()]));
    }

    #[test]
    fn only_a_list_of_equations_is_a_check_of_versions() {
        let accepted = |body: &str| {
            let source = format!("fn known(version: u16) -> R {{ {body} }}");
            accepted(&syn::parse_str(&source).unwrap(), &BTreeMap::from([("A".to_owned(), 7)]))
        };
        assert_eq!(accepted("if version == A { Ok(()) } else { Err(E) }"), Some(BTreeSet::from([7])));
        for body in [
            "if version != A { Ok(()) } else { Err(E) }",
            "if version <= A { Ok(()) } else { Err(E) }",
            "if version == A { Err(E) } else { Ok(()) }",
            "if version == A { Ok(()) } else { Ok(()) }",
            "if version == UNKNOWN { Ok(()) } else { Err(E) }",
            "Ok(())",
        ] {
            assert_eq!(accepted(body), None, "{body}");
        }
    }
}
