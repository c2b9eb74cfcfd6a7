//! Import cycles: between sibling modules of one crate, and between the files of the console.
//!
//! In Rust, module `a` imports its sibling `b` if a path anywhere below `a` leads anywhere below `b`, also through a name
//! that a parent module imports. Not seen are `use super::*`, paths inside macro calls, and calls of methods that another
//! module implements for a shared type. Modules under `#[cfg(test)]` and the crates in `tests/` are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::sync::LazyLock;

use petgraph::algo::tarjan_scc;
use petgraph::graphmap::DiGraphMap;
use regex::Regex;
use syn::visit::Visit;
use syn::{Attribute, Item, ItemMod, ItemUse, Meta, UseTree};

use super::repository::Repository;
use super::source_text::Syntax;

/// All cycles.
pub(crate) fn check(repository: &Repository) -> Vec<String> {
    let is_root = |path: &str| path.ends_with("src/lib.rs") || path.ends_with("src/main.rs");
    let roots = repository.files.iter().filter(|file| is_root(&file.path) && !file.path.starts_with("tests/"));
    let rust = roots.flat_map(|root| {
        let krate = Crate::read(repository, &root.path);
        cycles(&krate.edges()).into_iter().map(|cycle| format!("{}: import cycle {cycle}", root.path)).collect::<Vec<_>>()
    });
    let typescript = cycles(&typescript_edges(repository));
    rust.chain(typescript.into_iter().map(|cycle| format!("import cycle {cycle}"))).collect()
}

/// Each group of nodes that reach one another, with the edges inside the group.
fn cycles(edges: &BTreeSet<(String, String)>) -> Vec<String> {
    let graph = DiGraphMap::<&str, ()>::from_edges(edges.iter().map(|(from, to)| (from.as_str(), to.as_str())));
    let groups = tarjan_scc(&graph).into_iter().filter(|group| group.len() > 1);
    let inside = |group: Vec<&str>| {
        let edges = edges.iter().filter(|(from, to)| group.contains(&from.as_str()) && group.contains(&to.as_str()));
        edges.map(|(from, to)| format!("{from} → {to}")).collect::<Vec<_>>().join(", ")
    };
    let mut cycles: Vec<_> = groups.map(inside).collect();
    cycles.sort();
    cycles
}

/// The path of a module or of a name in it, from the root of the crate.
type Segments = Vec<String>;

/// The modules of a crate by their paths.
#[derive(Default)]
struct Crate {
    modules: BTreeMap<Segments, Module>,
}

#[derive(Default)]
struct Module {
    /// What the module's code mentions, as absolute paths.
    mentions: Vec<Segments>,
    /// The names that the module imports, and what they stand for.
    names: BTreeMap<String, Segments>,
}

impl Crate {
    fn read(repository: &Repository, root: &str) -> Self {
        let mut krate = Self::default();
        let folder = Path::new(root).parent().unwrap_or(Path::new("")).to_owned();
        krate.add_file(repository, root, &folder, &Vec::new());
        krate
    }

    /// Reads the module in this file. The files of its child modules are in `folder`.
    fn add_file(&mut self, repository: &Repository, file: &str, folder: &Path, module: &Segments) {
        // A file that does not parse is reported by the compiler.
        if let Some(parsed) = repository.find(file).and_then(|text| syn::parse_file(text).ok()) {
            self.add_items(repository, &parsed.items, folder, module);
        }
    }

    fn add_items(&mut self, repository: &Repository, items: &[Item], folder: &Path, module: &Segments) {
        let mut reader = Reader { module, children: child_names(items), found: Module::default() };
        for item in items {
            reader.visit_item(item);
        }
        self.modules.insert(module.clone(), reader.found);
        for child in items.iter().filter_map(|item| if let Item::Mod(child) = item { Some(child) } else { None }) {
            if !is_test(&child.attrs) {
                self.add_child(repository, child, folder, module);
            }
        }
    }

    fn add_child(&mut self, repository: &Repository, child: &ItemMod, folder: &Path, parent: &Segments) {
        let name = child.ident.to_string();
        let module = [parent.as_slice(), std::slice::from_ref(&name)].concat();
        let below = folder.join(&name);
        if let Some((_, items)) = &child.content {
            self.add_items(repository, items, &below, &module);
            return;
        }
        for file in [below.with_extension("rs"), below.join("mod.rs")] {
            self.add_file(repository, &file.to_string_lossy(), &below, &module);
        }
    }

    /// The module that a path leads to: the deepest one on it, or the one that an imported name comes from.
    fn resolve(&self, path: &[String], depth: u8) -> Segments {
        let mut module = Segments::new();
        for (at, segment) in path.iter().enumerate() {
            let child = [module.as_slice(), std::slice::from_ref(segment)].concat();
            if self.modules.contains_key(&child) {
                module = child;
                continue;
            }
            // A name may be imported from a module that imports it as well; eight steps are more than any crate has.
            let imported = self.modules.get(&module).and_then(|module| module.names.get(segment)).filter(|_| depth < 8);
            return match imported {
                Some(target) => self.resolve(&[target, &path[at + 1..]].concat(), depth + 1),
                None => module,
            };
        }
        module
    }

    /// The edges between siblings, named by their paths.
    fn edges(&self) -> BTreeSet<(String, String)> {
        let mut edges = BTreeSet::new();
        for (from, module) in &self.modules {
            for to in module.mentions.iter().map(|path| self.resolve(path, 0)) {
                let common = from.iter().zip(&to).take_while(|(from, to)| from == to).count();
                if common < from.len() && common < to.len() {
                    edges.insert((from[..=common].join("::"), to[..=common].join("::")));
                }
            }
        }
        edges
    }
}

fn child_names(items: &[Item]) -> BTreeSet<String> {
    items.iter().filter_map(|item| if let Item::Mod(child) = item { Some(child.ident.to_string()) } else { None }).collect()
}

fn is_test(attributes: &[Attribute]) -> bool {
    let is_test = |attribute: &Attribute| match &attribute.meta {
        Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        Meta::Path(_) | Meta::NameValue(_) => false,
    };
    attributes.iter().any(is_test)
}

/// Collects the paths of one module; child modules are read for themselves.
struct Reader<'a> {
    module: &'a Segments,
    children: BTreeSet<String>,
    found: Module,
}

impl Reader<'_> {
    /// The absolute form of a path that stays within the crate.
    fn absolute(&self, path: &[String]) -> Option<Segments> {
        let mut rest = path;
        let mut base = match path.first()?.as_str() {
            "crate" => Segments::new(),
            "self" | "super" => self.module.clone(),
            name if self.children.contains(name) => return Some([self.module.as_slice(), path].concat()),
            _ => return None,
        };
        while let Some((first, others)) =
            rest.split_first().filter(|(first, _)| ["crate", "self", "super"].contains(&first.as_str()))
        {
            if first == "super" {
                base.pop();
            }
            rest = others;
        }
        Some([base.as_slice(), rest].concat())
    }

    fn import(&mut self, prefix: &[String], tree: &UseTree) {
        let with = |name: &syn::Ident| [prefix, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.import(&with(&path.ident), &path.tree),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.import(prefix, tree)),
            UseTree::Name(name) if name.ident == "self" => self.add_import(prefix, prefix.last().cloned()),
            UseTree::Name(name) => self.add_import(&with(&name.ident), Some(name.ident.to_string())),
            UseTree::Rename(rename) => self.add_import(&with(&rename.ident), Some(rename.rename.to_string())),
            UseTree::Glob(_) => self.add_import(prefix, None),
        }
    }

    fn add_import(&mut self, path: &[String], name: Option<String>) {
        if let Some(path) = self.absolute(path) {
            self.found.names.extend(name.map(|name| (name, path.clone())));
            self.found.mentions.push(path);
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if !is_test(&item.attrs) {
            self.import(&[], &item.tree);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<_> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if segments.len() > 1 {
            self.found.mentions.extend(self.absolute(&segments));
        }
        syn::visit::visit_path(self, path);
    }

    fn visit_item_mod(&mut self, _: &'ast ItemMod) {}
}

static TYPESCRIPT_IMPORT: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r#"(?m)(?:^\s*(?:import|export)\b[^;"]*|\bimport\()["'](\.[^"'\n]+)["']"#;
    Regex::new(pattern).expect("a valid pattern")
});

/// Imports between files, also those of types only.
fn typescript_edges(repository: &Repository) -> BTreeSet<(String, String)> {
    let files =
        repository.files.iter().filter(|file| file.is_source() && Syntax::of(&file.path) == Some(Syntax::TypeScript));
    let edges = files.flat_map(|file| {
        let folder = Path::new(&file.path).parent().unwrap_or(Path::new(""));
        let targets = TYPESCRIPT_IMPORT.captures_iter(&file.text).map(|found| normalised(&folder.join(&found[1])));
        targets
            .filter(|target| repository.find(target).is_some())
            .map(|target| (file.path.clone(), target))
            .collect::<Vec<_>>()
    });
    edges.collect()
}

fn normalised(path: &Path) -> String {
    let mut parts = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                parts.pop();
            }
            Component::CurDir => {}
            Component::Normal(_) | Component::RootDir | Component::Prefix(_) => parts.push(part),
        }
    }
    parts.to_string_lossy().replace('\\', "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        check(&Repository::of(files))
    }

    #[test]
    fn a_cycle_of_sibling_modules_is_found() {
        let files = [
            ("x/src/lib.rs", "mod a; mod b; mod c;"),
            ("x/src/a.rs", "use crate::{b::{self, B}, c::C};"),
            ("x/src/b.rs", "fn f() -> super::a::A { loop {} }"),
            ("x/src/c.rs", "use std::fmt;"),
        ];
        assert_eq!(found(&files), ["x/src/lib.rs: import cycle a → b, b → a"]);
    }

    #[test]
    fn parents_and_children_may_import_each_other() {
        let files = [
            ("x/src/lib.rs", "mod a; pub use a::A;"),
            ("x/src/a/mod.rs", "mod deep; pub use self::deep::D; use crate::Top;"),
            ("x/src/a/deep.rs", "use super::A; use crate::a::Other;"),
        ];
        assert_eq!(found(&files), Vec::<String>::new());
    }

    #[test]
    fn a_cycle_below_and_through_names_of_the_parent_is_found() {
        let files = [
            ("x/src/lib.rs", "mod a { mod one; mod two; pub use two::Two as Second; }"),
            ("x/src/a/one.rs", "use super::Second;"),
            ("x/src/a/two/mod.rs", "mod inner;"),
            ("x/src/a/two/inner.rs", "use crate::a::one::One;"),
        ];
        assert_eq!(found(&files), ["x/src/lib.rs: import cycle a::one → a::two, a::two → a::one"]);
    }

    #[test]
    fn test_modules_are_left_out() {
        let files = [
            ("x/src/lib.rs", "mod a; mod b; #[cfg(test)] mod tests;"),
            ("x/src/a.rs", "use crate::b::B; #[cfg(test)] mod tests { use crate::b::B; }"),
            ("x/src/b.rs", "#[cfg(test)] mod tests { use crate::a::A; }"),
            ("x/src/tests.rs", "use crate::a::A;"),
        ];
        assert_eq!(found(&files), Vec::<String>::new());
    }

    #[test]
    fn a_cycle_of_files_of_the_console_is_found() {
        let files = [
            ("w/src/a.ts", "import { b } from \"./deep/b.ts\";\nimport x from \"react\";"),
            ("w/src/deep/b.ts", "import type {\n  A,\n} from \"../a.ts\";\nexport * from './c.ts';"),
            ("w/src/deep/c.ts", "const lazy = () => import(\"./d.ts\");"),
            ("w/src/deep/d.ts", ""),
        ];
        let expected = "import cycle w/src/a.ts → w/src/deep/b.ts, w/src/deep/b.ts → w/src/a.ts";
        assert_eq!(found(&files), [expected]);
    }
}
