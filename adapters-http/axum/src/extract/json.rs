//! Strict JSON for request bodies. Errors report the path of a field and never repeat a value.
//!
//! The messages of serde quote the input, which may contain a password. They are classified here and replaced by fixed texts.

use std::fmt::{self, Formatter};
use std::marker::PhantomData;

use grantry_domain::secret::Secret;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_path_to_error::{Path, Segment, Track};

use crate::extract::pairs::{OBJECT_OR_STRING, SCALAR, SCALARS, SHORTER};
use crate::extract::structure::{Exceptions, Fault, MAX_DEPTH, MAX_DEPTH_PASSED_ON, check};
use crate::problem::Problem;

/// Longest field name that is repeated to the caller.
const LONGEST_NAME: usize = 64;

/// Reads a body as one object: well-formed, at most [`MAX_DEPTH`] deep, no field twice, no unknown field.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8], exceptions: Exceptions) -> Result<T, Problem> {
    // The parts that stay raw JSON in `T` are checked here as well.
    let json: &RawValue = serde_json::from_slice(bytes).map_err(|error| not_json(&error))?;
    check(json.get(), exceptions).map_err(|fault| problem_of_fault(&fault))?;
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let mut track = Track::new();
    let value = Object(PhantomData).deserialize(serde_path_to_error::Deserializer::new(&mut json, &mut track));
    value.map_err(|error| problem_of(&track.path(), &error))
}

/// For a required object in a request. A derived struct alone would also accept a list of its fields.
pub(crate) fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Object(PhantomData).deserialize(deserializer)
}

/// As [`object`], for one that may be absent or null. Combine with `#[serde(default)]`.
pub(crate) fn optional_object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    struct Present<T>(T);

    impl<'de, T: Deserialize<'de>> Deserialize<'de> for Present<T> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            object(deserializer).map(Self)
        }
    }

    Ok(Option::<Present<T>>::deserialize(deserializer)?.map(|present| present.0))
}

/// A secret in a request. It is wiped on drop and has no `Debug`.
pub(crate) struct SecretText(pub(crate) Secret);

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = SecretText;

            fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E>(self, text: &str) -> Result<SecretText, E> {
                Ok(SecretText(Secret::from_text(text)))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

/// Reads `T` from an object and from nothing else.
struct Object<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Object<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
    type Value = T;

    fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(entries))
    }
}

fn problem_of_fault(fault: &Fault) -> Problem {
    match fault {
        Fault::TooDeep { field: [] } => {
            Problem::invalid("body", format!("must not be nested deeper than {MAX_DEPTH} levels"))
        }
        Fault::TooDeep { field } => {
            Problem::invalid(field.join("."), format!("must not be nested deeper than {MAX_DEPTH_PASSED_ON} levels"))
        }
        Fault::Repeated { path } => Problem::invalid(dotted(path.iter().map(String::as_str)), "is given twice"),
    }
}

/// The problem that an error of serde stands for, without a word of its message.
fn problem_of(path: &Path, error: &serde_json::Error) -> Problem {
    if !error.is_data() {
        return not_json(error);
    }
    let message = error.to_string();
    let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
    let field = name_of(path);
    if message.starts_with("unknown field ") {
        return Problem::invalid(field, "is not a known field");
    }
    // The name comes from the struct, not from the request.
    if let Some(name) = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        return Problem::invalid(joined(path.iter().next().map(|_| field.as_str()), name), "is missing");
    }
    // Everything that the message quotes from the request is before the last `expected`.
    let expected = message.rsplit_once(", expected ").map_or("", |(_, expected)| expected);
    let problem = match expected {
        "a string" => "must be a string".into(),
        "a boolean" => "must be true or false".into(),
        "u64" => "must be a whole number".into(),
        "an object" | OBJECT_OR_STRING | SCALAR | SCALARS | SHORTER => format!("must be {expected}").into(),
        variants if variants.starts_with('`') => format!("must be {}", variants.replace('`', "")).into(),
        _ => std::borrow::Cow::Borrowed("is not valid"),
    };
    Problem::invalid(field, problem)
}

fn not_json(error: &serde_json::Error) -> Problem {
    Problem::invalid("body", format!("is not JSON (line {}, column {})", error.line(), error.column()))
}

/// The dotted path of a field; `body` for the whole.
fn name_of(path: &Path) -> String {
    dotted(path.iter().filter_map(|segment| match segment {
        Segment::Map { key } => Some(key.as_str()),
        Segment::Seq { .. } | Segment::Enum { .. } | Segment::Unknown => None,
    }))
}

fn dotted<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let path = names.fold(None, |outer: Option<String>, name| Some(joined(outer.as_deref(), name)));
    path.unwrap_or_else(|| "body".to_owned())
}

/// A path with one more name. A long name, or one with unusual characters, is not repeated.
fn joined(outer: Option<&str>, name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    let is_usual = !name.is_empty() && name.len() <= LONGEST_NAME && name.bytes().all(is_plain);
    let name = if is_usual { name } else { "(unnamed)" };
    outer.map_or_else(|| name.to_owned(), |outer| format!("{outer}.{name}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::connector_types::AuthModeName;
    use crate::extract::{Pairs, QueryParams};

    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Request {
        name: String,
        #[serde(default, deserialize_with = "optional_object")]
        params: Option<Params>,
        client_secret: Option<SecretText>,
        config: Option<Box<RawValue>>,
        flag: Option<bool>,
        count: Option<u64>,
        mode: Option<AuthModeName>,
    }

    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Params {
        method: String,
        #[serde(default)]
        query: QueryParams,
        #[serde(default)]
        headers: Pairs,
    }

    fn request(text: &str) -> Result<Request, Problem> {
        parse(text.as_bytes(), Exceptions::EXECUTE)
    }

    /// Field and text of a refusal.
    fn refusal(text: &str) -> (String, String) {
        let problem = serde_json::to_value(request(text).err().unwrap().details("c")).unwrap();
        let (field, detail) = (problem["field"].as_str().unwrap(), problem["detail"].as_str().unwrap());
        (field.to_owned(), detail.strip_prefix(&format!("{field}: ")).unwrap().to_owned())
    }

    fn nested(depth: usize) -> String {
        format!(r#"{{"name":"n","config":{}{}}}"#, "[".repeat(depth - 1), "]".repeat(depth - 1))
    }

    #[test]
    fn r58_nesting_is_bounded_exactly() {
        assert!(request(&nested(MAX_DEPTH)).is_ok());
        let too_deep = ("body".to_owned(), "must not be nested deeper than 16 levels".to_owned());
        assert_eq!(refusal(&nested(MAX_DEPTH + 1)), too_deep);
        assert_eq!(refusal(&format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))), too_deep);
        // Brackets in strings are no nesting.
        assert!(request(&format!(r#"{{"name":"{}\"{}"}}"#, "[".repeat(40), "{".repeat(40))).is_ok());
    }

    #[test]
    fn r58_every_refusal_names_its_field_and_what_is_wrong_with_it() {
        let cases = [
            (r#"{"name":"n","clientSecert":"CANARY"}"#, "clientSecert", "is not a known field"),
            (r#"{"name":"n","a b\n":1}"#, "(unnamed)", "is not a known field"),
            (r#"{"name":"n","":1}"#, "(unnamed)", "is not a known field"),
            (r#"{"name":"n","params":{"method":"GET","x":1}}"#, "params.x", "is not a known field"),
            (r#"{"name":"n","params":{"method":7}}"#, "params.method", "must be a string"),
            (r#"{"name":"n","params":{}}"#, "params.method", "is missing"),
            (r#"{"name":"n","params":["GET"]}"#, "params", "must be an object"),
            (r#"{"name":"n","params":"CANARY"}"#, "params", "must be an object"),
            (r#"{"name":"n","params":{"method":"GET","query":[]}}"#, "params.query", "must be an object or a string"),
            (
                r#"{"name":"n","params":{"method":"GET","query":{"a":{}}}}"#,
                "params.query.a",
                "must be a string, a number, a boolean or a list of them",
            ),
            (
                r#"{"name":"n","params":{"method":"GET","headers":{"a":[]}}}"#,
                "params.headers.a",
                "must be a string, a number or a boolean",
            ),
            (r#"{"name":"n","clientSecret":{"CANARY":1}}"#, "clientSecret", "must be a string"),
            (r#"{"name":"n","flag":"CANARY, expected a string"}"#, "flag", "must be true or false"),
            (r#"{"name":"n","flag":"CANARY at line 1"}"#, "flag", "must be true or false"),
            (r#"{"name":"n","count":-1}"#, "count", "must be a whole number"),
            (r#"{"name":"n","count":1.5}"#, "count", "must be a whole number"),
            (r#"{"name":"n","mode":"CANARY"}"#, "mode", "must be per-user or shared"),
            (r#"{"name":"n","mode":"`CANARY, expected `"}"#, "mode", "must be per-user or shared"),
            (r#"{"name":"n","mode":5}"#, "mode", "must be a string"),
            (r#"{"name":"n","mode":{"shared":null}}"#, "mode", "must be a string"),
            ("{}", "name", "is missing"),
            ("[]", "body", "must be an object"),
            (r#"["n"]"#, "body", "must be an object"),
            (r#""CANARY""#, "body", "must be an object"),
            ("null", "body", "must be an object"),
            (r#"{"name":"n","name":"CANARY"}"#, "name", "is given twice"),
            (r#"{"name":"n","config":{"b":1,"b":"CANARY"}}"#, "config.b", "is given twice"),
            (r#"{"name":"n","config":[{"b":1,"\u0062":2}]}"#, "config.b", "is given twice"),
            (r#"{"other":1,"other":2}"#, "other", "is given twice"),
        ];
        for (text, field, problem) in cases {
            assert_eq!(refusal(text), (field.to_owned(), problem.to_owned()), "{text}");
        }
        let long = "a".repeat(LONGEST_NAME + 1);
        assert_eq!(refusal(&format!(r#"{{"{long}":1}}"#)).0, "(unnamed)");
        assert_eq!(refusal(&format!(r#"{{"{}":1}}"#, &long[1..])).0, long[1..]);
    }

    #[test]
    fn r78_no_refusal_repeats_a_value() {
        for body in [
            r#"{"name": CANARY}"#,
            r#"{"name": "CANARY"#,
            r#""CANARY""#,
            r#"{"name":"CANARY\u12"}"#,
            r#"{"name":"n","flag":"CANARY"}"#,
            r#"{"name":"n","count":"CANARY"}"#,
            r#"{"name":"n","mode":"CANARY"}"#,
            r#"{"name":"n","params":"CANARY"}"#,
            r#"{"name":"n"} CANARY"#,
        ] {
            let text = serde_json::to_string(&request(body).err().unwrap().details("c")).unwrap();
            assert!(!text.contains("CANARY"), "{text}");
        }
    }

    #[test]
    fn values_arrive_as_sent() {
        let text = r#"{"name":"n","params":{"method":"GET","headers":{"b":1,"a":true,"c":"x","d":-1.50,"e":1e400}},
            "clientSecret":"s\u00fc","config":{ "z":1, "a":[1e400, 12345678901234567890123] },"flag":null,"count":7,"mode":"shared"}"#;
        let request = request(text).ok().unwrap();
        let params = request.params.unwrap();
        let pairs: Vec<(&str, &str)> =
            params.headers.0.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("b", "1"), ("a", "true"), ("c", "x"), ("d", "-1.50"), ("e", "1e400")]);
        assert_eq!(params.query.0, grantry_domain::ports::ApiQuery::default());
        assert_eq!((request.name.as_str(), params.method.as_str()), ("n", "GET"));
        assert_eq!(request.client_secret.unwrap().0.expose_text(), Some("sü"));
        assert_eq!(request.config.unwrap().get(), r#"{ "z":1, "a":[1e400, 12345678901234567890123] }"#);
        assert_eq!((request.flag, request.count, request.mode), (None, Some(7), Some(AuthModeName::Shared)));
    }

    proptest! {
        #[test]
        fn raw_json_survives_unchanged(text in r#"\{"a":(null|true|-?[1-9][0-9]{0,9}|"[a-zä€ ]{0,8}"|\[1, \{"b":"c"\}\])\}"#) {
            let request = request(&format!(r#"{{"name":"n","config":{text}}}"#)).ok().unwrap();
            let config = request.config.unwrap();
            prop_assert_eq!(config.get(), text);
        }

        #[test]
        fn r58_no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse::<Request>(&bytes, Exceptions::NONE);
        }
    }
}
