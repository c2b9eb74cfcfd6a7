//! The guide quotes the examples: each quotation is in one of them, line by line.

use std::path::Path;

/// The lines of a text without indentation and empty lines.
fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
}

#[test]
fn each_quotation_of_the_guide_is_in_an_example() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
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
