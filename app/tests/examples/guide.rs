//! The guide quotes the examples: each quotation is in one of them, line by line.

use std::collections::BTreeSet;
use std::path::Path;

use toml::Table;

/// The lines of a text without indentation and empty lines.
fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The guide quotes the first example whole, so that a reader can copy it from the page.
#[test]
fn each_line_of_the_first_example_is_in_the_guide() {
    let (guide, example) = (read("../docs/embedding.md"), read("examples/embed_axum.rs"));
    let quoted: Vec<_> = guide.split("```rs\n").skip(1).flat_map(|rest| lines(rest.split("```").next().unwrap())).collect();
    for line in lines(&example).into_iter().filter(|line| !line.starts_with("//")) {
        assert!(quoted.contains(&line), "the guide does not quote:\n{line}");
    }
}

#[test]
fn each_quotation_of_the_guide_is_in_an_example() {
    let files = [
        "embed_axum.rs",
        "domain_only.rs",
        "agent_host.rs",
        "custom_store.rs",
        "embed_actix/main.rs",
        "embed_actix/compose.rs",
        "embed_actix/routes.rs",
    ];
    let examples = files.map(|file| read(&format!("examples/{file}")));
    let guide = read("../docs/embedding.md");
    // Blocks with other marks are compiled as documentation tests.
    let quotations: Vec<_> = guide.split("```rs\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(quotations.len() >= 10, "{}", quotations.len());
    for quotation in quotations {
        let quoted = lines(quotation);
        let is_in = |example: &String| lines(example).windows(quoted.len()).any(|window| window == quoted);
        assert!(examples.iter().any(is_in), "no example contains:\n{quotation}");
    }
}

/// The hosts of the guide whose section has a block of dependencies, with their files.
const HOSTS: [(&str, &[&str]); 4] = [
    ("Dependencies", &["embed_axum.rs"]),
    ("`domain_only`", &["domain_only.rs"]),
    ("`agent_host`", &["agent_host.rs"]),
    ("`embed_actix`", &["embed_actix/main.rs", "embed_actix/compose.rs", "embed_actix/routes.rs"]),
];

/// The names of dependencies as they are in a source.
fn crates(manifest: &Table, table: &str) -> BTreeSet<String> {
    manifest[table].as_table().unwrap().keys().map(|name| name.replace('-', "_")).collect()
}

/// Whether a path of the text begins with the name of the crate.
fn uses(text: &str, name: &str) -> bool {
    let is_part = |before: char| before.is_alphanumeric() || before == '_' || before == ':';
    text.match_indices(&format!("{name}::")).any(|(at, _)| !text[..at].ends_with(is_part))
}

#[test]
fn each_block_of_dependencies_has_the_crates_of_its_host() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    let manifest: Table = read("Cargo.toml").parse().unwrap();
    let mut known = crates(&manifest, "dependencies");
    known.append(&mut crates(&manifest, "dev-dependencies"));
    known.insert("grantry".to_owned());
    let guide = read("../docs/embedding.md");
    for (section, files) in HOSTS {
        let text = guide.split_once(&format!("\n## {section}")).unwrap().1;
        let block = text.split_once("```toml\n").unwrap().1.split_once("```").unwrap().0;
        let listed = crates(&block.parse().unwrap(), "dependencies");
        let source: String = files.iter().map(|file| read(&format!("examples/{file}"))).collect();
        let used: BTreeSet<_> = known.iter().filter(|name| uses(&source, name)).cloned().collect();
        assert_eq!(listed, used, "{section}");
    }
}
