//! The page of the error codes.

use std::collections::BTreeSet;

use serde_json::Value;

use super::head;
use super::table::{named, table};
use crate::Result;

const INTRODUCTION: &str = "\
An error is `application/problem+json` (RFC 9457). `code` is stable and for programs; `detail` is a sentence for users and may
change. [The schema `Problem`](http-api.md#schema-problem) describes the other members. Important ones are

- `correlation_id`: the id to quote to the operator, who finds it in the log
  ([finding out why a connection fails](../operations.md#finding-out-why-a-connection-fails));
- `startUrl`: where the user connects, for `authorization_required` and `refresh_refused`;
- `field`: the field that is wrong, for `invalid_request` and similar codes;
- the header `Retry-After`: how many seconds to wait, where the server can state it.

A flow that fails has the code in the parameter `error` of the return URL, on the result page, and in its status.
`messages` of [`@grantry/client`](../../app/console/packages/client/README.md) has a sentence for each code.

";

/// The page, from the declaration of the codes and the API description, which must list the same ones.
pub(super) fn page(declaration: &str, api: &Value) -> Result<String> {
    let codes = named(declaration, "\ncodes! {")?;
    let described = api.pointer("/components/schemas/Problem/properties/code/enum").and_then(Value::as_array);
    let described: BTreeSet<&str> = described.into_iter().flatten().filter_map(Value::as_str).collect();
    if described != codes.iter().map(|code| code.name.as_str()).collect() {
        return Err("the error codes of openapi.json are not those of the declaration".into());
    }
    let row = |code: super::table::Named| vec![format!("`{}`", code.name), code.status, code.doc, code.sentence];
    let rows: Vec<_> = codes.into_iter().map(row).collect();
    let page = head("Error codes", "`adapters-http/axum/src/problem.rs`");
    Ok(page + INTRODUCTION + &table(&["code", "status", "meaning", "sentence for users"], &rows))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const DECLARATION: &str = "\ncodes! {\n    /// Taken.\n    Conflict = \"conflict\", 409, \"A sentence.\";\n}\n";

    fn api(codes: &[&str]) -> Value {
        json!({"components": {"schemas": {"Problem": {"properties": {"code": {"enum": codes}}}}}})
    }

    #[test]
    fn every_code_is_listed() {
        assert!(page(DECLARATION, &api(&["conflict"])).unwrap().contains("| `conflict` | 409 | Taken. | A sentence. |"));
    }

    #[test]
    fn another_list_in_the_description_is_an_error() {
        assert!(page(DECLARATION, &api(&["conflict", "other"])).is_err());
        assert!(page(DECLARATION, &json!({})).is_err());
    }
}
