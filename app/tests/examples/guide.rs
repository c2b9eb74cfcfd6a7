//! The guide quotes the examples: each quotation is in one of them, line by line.

use std::path::Path;

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
