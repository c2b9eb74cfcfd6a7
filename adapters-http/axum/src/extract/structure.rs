//! Depth and duplicate fields of a JSON text. Numbers are not read, so that a part that is passed on unchanged may contain any.

use std::collections::HashSet;
use std::hash::Hash;

/// Deepest nesting of objects and lists.
pub(super) const MAX_DEPTH: usize = 16;

/// Deepest nesting inside a value that is passed on.
pub(super) const MAX_DEPTH_PASSED_ON: usize = 128;

/// Values that follow other rules, by the path of their fields. An empty path is none.
#[derive(Clone, Copy)]
pub(crate) struct Exceptions {
    /// Is passed on and may be nested up to [`MAX_DEPTH_PASSED_ON`] levels.
    pub(super) passed_on: &'static [&'static str],
    /// Is an object whose fields may be repeated.
    pub(super) repeatable: &'static [&'static str],
}

impl Exceptions {
    pub(crate) const NONE: Self = Self { passed_on: &[], repeatable: &[] };
    /// Of `_execute`.
    pub(crate) const EXECUTE: Self = Self { passed_on: &["params", "body"], repeatable: &["params", "query"] };
}

/// What is wrong with the structure.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nested deeper than the limit; the field that is passed on, or the whole body.
    TooDeep { field: &'static [&'static str] },
    /// A field is given twice; its path.
    Repeated { path: Vec<String> },
}

/// The name of a field. Tests count how often names are compared.
trait Name: From<String> + AsRef<str> + Clone + Eq + Hash {}

impl Name for String {}

/// An object or a list that is open.
struct Level<N> {
    /// The names of an object so far; `None` in a list.
    names: Option<HashSet<N>>,
    /// The field that is being read.
    field: Option<N>,
    may_repeat: bool,
}

/// Checks a text that is valid JSON. The work is proportional to its length.
pub(super) fn check(json: &str, exceptions: Exceptions) -> Result<(), Fault> {
    check_names::<String>(json, exceptions)
}

fn check_names<N: Name>(json: &str, exceptions: Exceptions) -> Result<(), Fault> {
    let mut levels: Vec<Level<N>> = Vec::new();
    let mut is_name = false;
    let mut position = 0;
    while let Some(byte) = json.as_bytes().get(position) {
        let next = match byte {
            b'"' => end_of_string(json.as_bytes(), position),
            _ => position + 1,
        };
        match byte {
            b'{' | b'[' => {
                check_depth(&levels, exceptions)?;
                let is_object = *byte == b'{';
                let may_repeat = has_path(&levels, exceptions.repeatable);
                levels.push(Level { names: is_object.then(HashSet::new), field: None, may_repeat });
                is_name = is_object;
            }
            b'}' | b']' => {
                levels.pop();
                is_name = false;
            }
            b',' => is_name = levels.last().is_some_and(|level| level.names.is_some()),
            b'"' if is_name => {
                name_field(&mut levels, &json[position..next])?;
                is_name = false;
            }
            _ => {}
        }
        position = next;
    }
    Ok(())
}

fn check_depth<N: Name>(levels: &[Level<N>], exceptions: Exceptions) -> Result<(), Fault> {
    let is_passed_on = !exceptions.passed_on.is_empty() && begins_with(levels, exceptions.passed_on);
    let (depth, limit, field) = if is_passed_on {
        (levels.len() - exceptions.passed_on.len(), MAX_DEPTH_PASSED_ON, exceptions.passed_on)
    } else {
        (levels.len(), MAX_DEPTH, [].as_slice())
    };
    if depth < limit { Ok(()) } else { Err(Fault::TooDeep { field }) }
}

/// Notes the name of a field, in quotes as it is written.
fn name_field<N: Name>(levels: &mut [Level<N>], written: &str) -> Result<(), Fault> {
    let Some(level) = levels.last_mut() else { return Ok(()) };
    // A name with a lone surrogate has no text; it is compared as it is written.
    let name = N::from(serde_json::from_str(written).unwrap_or_else(|_| written.to_owned()));
    let is_new = level.names.as_mut().is_none_or(|names| names.insert(name.clone()));
    let is_allowed = is_new || level.may_repeat;
    level.field = Some(name);
    if is_allowed { Ok(()) } else { Err(Fault::Repeated { path: fields(levels).map(str::to_owned).collect() }) }
}

/// The path of the value that is being read.
fn fields<N: Name>(levels: &[Level<N>]) -> impl Iterator<Item = &str> {
    levels.iter().filter_map(|level| level.field.as_ref().map(AsRef::as_ref))
}

fn begins_with<N: Name>(levels: &[Level<N>], path: &[&str]) -> bool {
    levels.len() >= path.len() && fields(levels).take(path.len()).eq(path.iter().copied())
}

fn has_path<N: Name>(levels: &[Level<N>], path: &[&str]) -> bool {
    !path.is_empty() && levels.len() == path.len() && fields(levels).eq(path.iter().copied())
}

/// The position after the closing quote.
fn end_of_string(json: &[u8], start: usize) -> usize {
    let mut position = start + 1;
    while let Some(byte) = json.get(position) {
        match byte {
            b'"' => return position + 1,
            b'\\' => position += 2,
            _ => position += 1,
        }
    }
    json.len()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::hash::Hasher;

    use proptest::prelude::*;

    use super::*;

    fn nested(depth: usize) -> String {
        format!("{}{}", "[".repeat(depth), "]".repeat(depth))
    }

    #[test]
    fn r58_a_value_that_is_passed_on_is_nested_deeper_than_the_rest() {
        let body = |depth: usize| format!(r#"{{"params": {{"method": "POST", "body": {}}}}}"#, nested(depth));
        assert_eq!(check(&body(128), Exceptions::EXECUTE), Ok(()));
        assert_eq!(check(&body(129), Exceptions::EXECUTE), Err(Fault::TooDeep { field: &["params", "body"] }));
        assert_eq!(check(&body(14), Exceptions::NONE), Ok(()));
        assert_eq!(check(&body(15), Exceptions::NONE), Err(Fault::TooDeep { field: &[] }));
        for elsewhere in ["headers", "query", "bodies"] {
            let text = body(15).replace("body", elsewhere);
            assert_eq!(check(&text, Exceptions::EXECUTE), Err(Fault::TooDeep { field: &[] }), "{elsewhere}");
        }
        assert_eq!(check(&nested(17), Exceptions::EXECUTE), Err(Fault::TooDeep { field: &[] }));
        assert_eq!(
            check(&format!(r#"{{"body": {}}}"#, nested(16)), Exceptions::EXECUTE),
            Err(Fault::TooDeep { field: &[] })
        );
    }

    #[test]
    fn only_the_fields_of_one_object_may_be_repeated() {
        let repeated = |text: &str| match check(text, Exceptions::EXECUTE) {
            Err(Fault::Repeated { path }) => path.join("."),
            Err(Fault::TooDeep { .. }) => "too deep".to_owned(),
            Ok(()) => String::new(),
        };
        assert_eq!(repeated(r#"{"params": {"query": {"a": 1, "a": [2], "a": {"b": 1}}}}"#), "");
        assert_eq!(repeated(r#"{"params": {"query": {"a": {"b": 1, "b": 2}}}}"#), "params.query.a.b");
        assert_eq!(repeated(r#"{"params": {"query": [{"b": 1, "b": 2}]}}"#), "params.query.b");
        assert_eq!(repeated(r#"{"params": {"headers": {"a": 1, "\u0061": 2}}}"#), "params.headers.a");
        assert_eq!(repeated(r#"{"params": {"body": [{"a": "\"a\"", "a": 2}]}}"#), "params.body.a");
        assert_eq!(repeated(r#"{"query": {"a": 1, "a": 2}}"#), "query.a");
        assert_eq!(repeated(r#"{"params": {}, "params": {}}"#), "params");
        assert_eq!(repeated(r#"{"a": {"b": 1}, "b": ["a", "a"], "c": {"b": "x,\"b\":1"}}"#), "");
    }

    thread_local! {
        static STEPS: Cell<usize> = const { Cell::new(0) };
    }

    /// A name that counts how often it is hashed and compared.
    #[derive(Clone, Eq)]
    struct Counted(String);

    impl Name for Counted {}

    impl From<String> for Counted {
        fn from(name: String) -> Self {
            Self(name)
        }
    }

    impl AsRef<str> for Counted {
        fn as_ref(&self) -> &str {
            &self.0
        }
    }

    impl PartialEq for Counted {
        fn eq(&self, other: &Self) -> bool {
            STEPS.set(STEPS.get() + 1);
            self.0 == other.0
        }
    }

    impl Hash for Counted {
        fn hash<H: Hasher>(&self, state: &mut H) {
            STEPS.set(STEPS.get() + 1);
            self.0.hash(state);
        }
    }

    /// A body with this many fields, in one of several shapes.
    fn with_fields(count: usize, shape: usize) -> String {
        let list = |name: &dyn Fn(usize) -> String| {
            (0..count).map(|index| format!("\"{}\":0", name(index))).collect::<Vec<_>>().join(",")
        };
        match shape {
            0 => format!("{{{}}}", list(&|index| format!("n{index}"))),
            1 => format!("{{{}}}", list(&|index| format!("a long name that all of the fields begin with {index}"))),
            2 => format!("{{{}}}", list(&|index| format!("\\u006e{index}"))),
            3 => format!(r#"{{"a":[[{{{}}}]],"b":0}}"#, list(&|index| index.to_string())),
            4 => format!(r#"{{"params":{{"query":{{{}}}}}}}"#, list(&|_| "n".to_owned())),
            5 => format!("[{}]", vec![r#"{"a":0,"b":0}"#; count / 2].join(",")),
            _ => format!("{{{},\"n0\":0}}", list(&|index| format!("n{index}"))),
        }
    }

    #[test]
    fn r58_the_work_for_repeated_fields_is_proportional_to_their_number() {
        for count in [1_000, 10_000, 100_000] {
            for shape in 0..=6 {
                let body = with_fields(count, shape);
                STEPS.set(0);
                assert_eq!(check_names::<Counted>(&body, Exceptions::EXECUTE).is_ok(), shape < 6, "{shape}");
                // A hash and a comparison of each name, and a second hash when the set grows.
                assert!(STEPS.get() <= 4 * count, "{} steps for {count} fields of shape {shape}", STEPS.get());
                assert!(STEPS.get() >= count, "the names were not examined");
            }
        }
    }

    proptest! {
        #[test]
        fn r58_any_number_of_fields_takes_proportional_work(count in 0_usize..400, shape in 0_usize..=6) {
            let body = with_fields(count, shape);
            STEPS.set(0);
            let _ = check_names::<Counted>(&body, Exceptions::EXECUTE);
            prop_assert!(STEPS.get() <= 4 * count + 16, "{} steps for {count} fields of shape {shape}", STEPS.get());
        }

        #[test]
        fn any_text_ends_without_panic(text in r#"([\[\]{},:\\"a]|ä){0,40}"#) {
            drop(check(&text, Exceptions::EXECUTE));
        }
    }
}
