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

/// The quotations of a part of the guide. Blocks with other marks are compiled as documentation tests.
fn quotations(guide: &str) -> Vec<&str> {
    guide.split("```rs\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

/// A section of the guide, by the beginning of its title.
fn section<'g>(guide: &'g str, title: &str) -> &'g str {
    let rest = guide.split_once(&format!("\n## {title}")).unwrap().1;
    rest.split("\n## ").next().unwrap()
}

fn without_comments(text: &str) -> Vec<&str> {
    lines(text).into_iter().filter(|line| !line.starts_with("//")).collect()
}

/// The first example can be copied from the page: all of it is quoted, in its order.
#[test]
fn the_guide_quotes_the_first_example_whole() {
    let (guide, example) = (read("../docs/embedding.md"), read("examples/embed_axum.rs"));
    let quoted = quotations(section(&guide, "`embed_axum`")).concat();
    assert_eq!(without_comments(&quoted), without_comments(&example));
}

/// The lines of an example that are not those of its log-in and of its page that uses a connector.
fn lines_for_grantry(example: &str) -> usize {
    let start = example.find("/// The log-in page of the host.").unwrap();
    let end = example.find("/// Builds the application").unwrap();
    let rest = [&example[..start], &example[end..]].concat();
    without_comments(&rest).iter().filter(|line| !line.starts_with("use ")).count()
}

/// The guide states these sizes.
#[test]
fn the_examples_are_as_small_as_the_guide_says() {
    let lines = lines_for_grantry(&read("examples/embed_axum.rs"));
    assert!((50..80).contains(&lines), "{lines}");
    assert!(read("examples/custom_store.rs").lines().count() < 300);
    assert!(read("tests/custom_store.rs").lines().count() < 50);
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
    let quotations = quotations(&guide);
    assert!(quotations.len() >= 10, "{}", quotations.len());
    for quotation in quotations {
        let quoted = lines(quotation);
        let is_in = |example: &String| lines(example).windows(quoted.len()).any(|window| window == quoted);
        assert!(examples.iter().any(is_in), "no example contains:\n{quotation}");
    }
}

/// The hosts of the guide whose section has a block of dependencies, with their files.
const HOSTS: [(&str, &[&str]); 5] = [
    ("Dependencies", &["embed_axum.rs"]),
    ("`domain_only`", &["domain_only.rs"]),
    ("`agent_host`", &["agent_host.rs"]),
    ("`custom_store`", &["custom_store.rs"]),
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
    let manifest: Table = read("Cargo.toml").parse().unwrap();
    let mut known = crates(&manifest, "dependencies");
    known.append(&mut crates(&manifest, "dev-dependencies"));
    known.insert("grantry".to_owned());
    let guide = read("../docs/embedding.md");
    for (section, files) in HOSTS {
        let block = self::section(&guide, section).split_once("```toml\n").unwrap().1.split_once("```").unwrap().0;
        let listed = crates(&block.parse().unwrap(), "dependencies");
        let source: String = files.iter().map(|file| read(&format!("examples/{file}"))).collect();
        let used: BTreeSet<_> = known.iter().filter(|name| uses(&source, name)).cloned().collect();
        assert_eq!(listed, used, "{section}");
    }
}
