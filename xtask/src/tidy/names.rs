//! The tests that exist in the sources, by name.

use std::collections::BTreeSet;

use super::lexer::{self, Language, Quoted};
use super::repository::{File, Repository};

/// Names of Rust's test functions and titles of TypeScript's tests.
#[derive(Debug, Default)]
pub(crate) struct Names {
    all: BTreeSet<String>,
}

impl Names {
    /// Everything that is a test in these files.
    pub(crate) fn of(repository: &Repository) -> Self {
        let sources = |extensions: &'static [&str]| repository.files.iter().filter(move |file| file.is_source(extensions));
        let rust: Vec<_> = sources(&["rs"]).map(RustFile::read).collect();
        let tests = rust.iter().flat_map(RustFile::tests);
        let titles = sources(&["ts", "tsx", "mts", "js", "mjs"]).flat_map(titles);
        Self { all: tests.chain(contracts(&rust)).chain(titles).collect() }
    }

    /// Whether there is such a test.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.all.contains(name)
    }

    /// The tests whose names begin with this id (`R28`, `L09`), alone or among several.
    pub(crate) fn claiming(&self, id: &str) -> impl Iterator<Item = &String> {
        self.all.iter().filter(move |name| claims(name).iter().any(|claimed| claimed == id))
    }

    #[cfg(test)]
    pub(crate) fn from_list(names: &[&str]) -> Self {
        Self { all: names.iter().map(|name| (*name).to_owned()).collect() }
    }
}

/// The ids a name begins with: `r28_lesson_09_odd_bodies` and `R28, lesson 9: odd bodies` claim R28 and L09.
fn claims(name: &str) -> Vec<String> {
    let mut claims = Vec::new();
    let mut words = name.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        let number = if word.eq_ignore_ascii_case("lesson") { words.next() } else { word.strip_prefix(['r', 'R']) };
        let Some(number) = number.and_then(|digits| digits.parse::<u8>().ok()) else {
            break;
        };
        let letter = if word.eq_ignore_ascii_case("lesson") { 'L' } else { 'R' };
        claims.push(format!("{letter}{number:02}"));
    }
    claims
}

/// A Rust file without its comments and quoted text.
struct RustFile<'a> {
    path: &'a str,
    code: String,
}

impl<'a> RustFile<'a> {
    fn read(file: &'a File) -> Self {
        Self { path: &file.path, code: lexer::code(&file.text, Language::Rust, Quoted::Blanked) }
    }

    /// The functions under an attribute that makes them tests: `#[test]`, `#[tokio::test(…)]`.
    fn tests(&self) -> Vec<String> {
        let mut names = Vec::new();
        let mut is_test = false;
        for line in self.code.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if line.starts_with("#[") {
                is_test |= line.contains("test]") || line.contains("test(");
            } else if let Some(name) = function(line) {
                if is_test {
                    names.push(name.to_owned());
                }
                is_test = false;
            } else if line.ends_with([';', '{', '}']) {
                is_test = false;
            }
        }
        names
    }

    fn mentions(&self, name: &str) -> usize {
        let words = self.code.split(|character: char| !character.is_alphanumeric() && character != '_');
        words.filter(|word| *word == name).count()
    }
}

/// The test kit's functions that carry an id and are run by somebody: contracts, which each adapter's tests call by name.
fn contracts(rust: &[RustFile<'_>]) -> Vec<String> {
    let kit = rust.iter().filter(|file| file.path.starts_with("tests/kit/"));
    let functions = kit.flat_map(|file| file.code.lines().filter_map(|line| function(line.trim())));
    let contracts = functions.filter(|name| !claims(name).is_empty());
    let run = contracts.filter(|name| rust.iter().map(|file| file.mentions(name)).sum::<usize>() > 1);
    run.map(str::to_owned).collect()
}

/// The name of the function that this line declares.
fn function(line: &str) -> Option<&str> {
    let declaration = line.trim_start_matches("pub ").trim_start_matches("async ").strip_prefix("fn ")?;
    let end = declaration.find(|character: char| !character.is_alphanumeric() && character != '_')?;
    Some(&declaration[..end])
}

/// What stands in quotes right behind `test(` or `it(`.
fn titles(file: &File) -> Vec<String> {
    let code = lexer::code(&file.text, Language::TypeScript, Quoted::Kept);
    let mut titles = Vec::new();
    for call in ["test(", "it("] {
        for (at, _) in code.match_indices(call) {
            let in_word = code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_');
            if !in_word {
                titles.extend(title(&code[at + call.len()..]));
            }
        }
    }
    titles
}

fn title(arguments: &str) -> Option<String> {
    let arguments = arguments.trim_start();
    let quote = arguments.chars().next().filter(|first| ['"', '\'', '`'].contains(first))?;
    let (title, _) = arguments[1..].split_once(quote)?;
    Some(title.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &str, text: &str) -> Vec<String> {
        Names::of(&Repository::of(&[(path, text)])).all.into_iter().collect()
    }

    #[test]
    fn rust_tests_are_found_under_every_attribute() {
        let text = "
            #[test]
            fn r01_a() {}
            #[tokio::test(flavor = \"multi_thread\")]
            /// Why.
            #[expect(lint)]
            async fn r02_b() {}
            proptest! {
                #[test]
                fn r03_c(x in 0..9) {}
            }";
        assert_eq!(names("a/src/lib.rs", text), ["r01_a", "r02_b", "r03_c"]);
    }

    #[test]
    fn what_only_looks_like_a_test_is_none() {
        let text = "
            fn r01_helper() {}
            // #[test]
            // fn r02_commented() {}
            const X: &str = \"#[test]\nfn r03_quoted() {}\";
            #[test]
            const Y: u8 = 1;
            fn r04_after() {}
            #[cfg(test)]
            mod tests { }
            fn r05_after() {}";
        assert_eq!(names("a/src/lib.rs", text), Vec::<String>::new());
    }

    #[test]
    fn a_contract_counts_when_somebody_runs_it() {
        let kit = ("tests/kit/src/store.rs", "pub async fn r20_once(store: &S) {}\npub fn helper() {}");
        let found = |text: &str| {
            let repository = Repository::of(&[kit, ("adapters-store/memory/tests/contract.rs", text)]);
            Names::of(&repository).all.into_iter().collect::<Vec<_>>()
        };
        assert_eq!(found("contract!(r20_once, helper);"), ["r20_once"]);
        assert_eq!(found("// contract!(r20_once);"), Vec::<String>::new());
        assert_eq!(found("contract!(r20_once_more);"), Vec::<String>::new());
    }

    #[test]
    fn titles_of_typescript_tests_are_found() {
        let text = "
            test(\"R30 no inline code\", () => {});
            it(
                'R31 fixed pages', async () => {});
            // test(\"R32 commented\")
            latest(\"R33 no test\");
            test(title, () => {});";
        assert_eq!(names("app/console/web/a.test.tsx", text), ["R30 no inline code", "R31 fixed pages"]);
        assert_eq!(names("app/console/dist/a.js", text), Vec::<String>::new());
    }

    #[test]
    fn a_name_claims_what_it_begins_with() {
        assert_eq!(claims("r28_lesson_09_r30_odd_bodies"), ["R28", "L09", "R30"]);
        assert_eq!(claims("lesson_05_r2d2"), ["L05"]);
        assert_eq!(claims("R28, lesson 9: R2 odd"), ["R28", "L09", "R02"]);
        assert_eq!(claims("refuses_r01"), Vec::<String>::new());
        let names = Names::from_list(&["r01_r02_x", "r02_y", "other"]);
        assert_eq!(names.claiming("R02").collect::<Vec<_>>(), ["r01_r02_x", "r02_y"]);
    }
}
