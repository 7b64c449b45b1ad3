//! Docker's own description of what its API answers, and whether an answer is like it: types, required fields, words to choose from.
//!
//! `data/engine-api.json` is an extract of the Engine API's swagger (Apache-2.0, see its first lines). It is of a later version than the
//! engine's, so that fields may be missing unless they are required; a field that it does not know is older and may be there.

use std::sync::LazyLock;

use serde_json::Value;

static SWAGGER: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../data/engine-api.json")).expect("JSON"));

/// Each operation that answers with a document, as `GET /containers/{id}/json`.
pub fn described() -> impl Iterator<Item = &'static str> {
    SWAGGER["answers"].as_object().expect("an object").keys().map(String::as_str)
}

/// What is wrong with this answer of an operation; nothing, if it is as described.
pub fn complaints(operation: &str, answer: &Value) -> Vec<String> {
    let schema = &SWAGGER["answers"][operation];
    assert!(schema.is_object(), "docker's description has no `{operation}`");
    let mut found = Vec::new();
    check(schema, answer, operation, &mut found);
    found
}

/// What is wrong with this body of a refusal.
pub fn complaints_of_refusal(answer: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(&SWAGGER["definitions"]["ErrorResponse"], answer, "a refusal", &mut found);
    found
}

fn check(schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
        return check(&SWAGGER["definitions"][name], value, at, found);
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        check(part, value, at, found);
    }
    if let Some(kind) = schema["type"].as_str().filter(|kind| !is_a(kind, value)) {
        found.push(format!("{at} is to be of type {kind}: {value}"));
        return;
    }
    if let Some(words) = schema["enum"].as_array().filter(|words| !words.contains(value)) {
        found.push(format!("{at} is to be one of {words:?}: {value}"));
    }
    for item in value.as_array().into_iter().flatten() {
        check(&schema["items"], item, &format!("{at}[]"), found);
    }
    if let Some(fields) = value.as_object() {
        check_fields(schema, fields, at, found);
    }
}

fn check_fields(schema: &Value, fields: &serde_json::Map<String, Value>, at: &str, found: &mut Vec<String>) {
    let required = || schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    for name in required().filter(|name| !fields.contains_key(*name)) {
        found.push(format!("{at}.{name} is required"));
    }
    for (name, value) in fields {
        let known = &schema["properties"][name];
        let schema = if known.is_object() { known } else { &schema["additionalProperties"] };
        // COMPAT(docker 28): Go writes what is empty as `null`, whatever the description says of it.
        if schema.is_object() && !value.is_null() {
            check(schema, value, &format!("{at}.{name}"), found);
        }
    }
}

fn is_a(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        other => panic!("docker's description has a type `{other}`"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_as_described_is_found() {
        for (answer, complaint) in [
            (json!({"Id": "a", "Warnings": []}), ""),
            (json!({"Id": "a", "Warnings": null, "Older": 1}), ""),
            (json!({"Id": "a"}), ".Warnings is required"),
            (json!({"Id": 1, "Warnings": []}), ".Id is to be of type string: 1"),
            (json!({"Id": "a", "Warnings": [1]}), ".Warnings[] is to be of type string: 1"),
            (json!([]), " is to be of type object: []"),
        ] {
            let operation = "POST /containers/create";
            let wanted = if complaint.is_empty() { vec![] } else { vec![format!("{operation}{complaint}")] };
            assert_eq!(complaints(operation, &answer), wanted);
        }
    }
}
