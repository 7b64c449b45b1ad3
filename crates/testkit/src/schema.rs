//! Docker's own description of what its API answers, and whether an answer is like it: types, required fields, words to choose from.
//!
//! `data/engine-api.json` is the Engine API's swagger without its texts (Apache-2.0, see its first lines). It is of the newest version, so that
//! fields may be missing unless they are required; a field that it does not know is older and may be there.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;

static SWAGGER: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../data/engine-api.json")).expect("JSON"));

/// Schemas of the documents that operations answer with.
static ANSWERS: LazyLock<BTreeMap<String, &'static Value>> = LazyLock::new(|| {
    let paths = SWAGGER["paths"].as_object().expect("an object").iter();
    let operations = paths.flat_map(|(path, methods)| {
        let methods = methods.as_object().expect("an object").iter();
        methods.filter_map(move |(method, operation)| {
            let is_json = |kind: &Value| kind.as_str().is_some_and(|kind| kind.contains("json"));
            let json = |types: &Value| types.as_array().is_none_or(|list| list.iter().any(is_json));
            let answers = operation["responses"].as_object()?.iter().filter(|(status, _)| status.starts_with('2'));
            let schema = answers.map(|(_, answer)| &answer["schema"]).find(|schema| is_document(schema))?;
            json(&operation["produces"]).then(|| (format!("{} {path}", method.to_uppercase()), schema))
        })
    });
    operations.collect()
});

fn is_document(schema: &Value) -> bool {
    schema.is_object() && schema["type"] != "string"
}

/// Where the description is, for programs of others that read it.
pub fn description() -> &'static std::path::Path {
    std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/data/engine-api.json"))
}

/// Each operation that answers with a document, as `GET /containers/{id}/json`; swarm's and plugins' are none of hull's.
pub fn described() -> impl Iterator<Item = &'static str> {
    let others = ["nodes", "swarm", "services", "tasks", "secrets", "configs", "plugins"];
    let is_other = move |operation: &&str| others.contains(&operation.split('/').nth(1).unwrap_or_default());
    ANSWERS.keys().map(String::as_str).filter(move |operation| !is_other(operation))
}

/// The operation that a request's target, without its version, is one of.
pub fn operation_of(method: &str, target: &str) -> Option<&'static str> {
    let path = target.split('?').next().unwrap_or_default();
    let fits = |template: &str| {
        let (mut words, mut given) = (template.split('/').peekable(), path.split('/').peekable());
        while let Some(word) = words.next() {
            let Some(first) = given.next() else { return false };
            if word == "{name}" {
                // A name of an image may hold slashes.
                while given.peek().is_some() && given.clone().count() > words.clone().count() {
                    given.next();
                }
            } else if !word.starts_with('{') && word != first {
                return false;
            }
        }
        given.next().is_none()
    };
    let named = ANSWERS
        .keys()
        .filter(|operation| operation.split_once(' ').is_some_and(|(own, template)| own == method && fits(template)));
    // `/images/json` is no image called `json`.
    named.min_by_key(|operation| operation.matches('{').count()).map(String::as_str)
}

/// What is wrong with this answer of an operation; nothing, if it is as described.
pub fn complaints(operation: &str, answer: &Value) -> Vec<String> {
    let schema = ANSWERS.get(operation).unwrap_or_else(|| panic!("docker's description has no `{operation}`"));
    let mut found = Vec::new();
    // COMPAT(docker 28): Go writes an empty list as `null`.
    if !(schema["type"] == "array" && answer.is_null()) {
        check(schema, answer, operation, &mut found);
    }
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
    fn targets_belong_to_operations() {
        for (method, target, operation) in [
            ("GET", "/containers/json?all=1", Some("GET /containers/json")),
            ("GET", "/containers/one/json", Some("GET /containers/{id}/json")),
            ("GET", "/images/json", Some("GET /images/json")),
            ("GET", "/images/127.0.0.1:5000/a/b/json", Some("GET /images/{name}/json")),
            ("DELETE", "/images/a/b", Some("DELETE /images/{name}")),
            ("GET", "/containers/one/logs", None),
            ("POST", "/containers/one/start", None),
            ("GET", "/volumes/data", Some("GET /volumes/{name}")),
        ] {
            assert_eq!(operation_of(method, target), operation, "{method} {target}");
        }
    }

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
