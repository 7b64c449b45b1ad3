//! `--format`: `table`, `json`, a template, or the command's own table.

use hull_types::Fault;
use serde_json::Value;

use super::table;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::io;
use crate::template::{Error, Template};

/// A listing's shape: the default template and the heading of each field.
pub(crate) struct Listing {
    /// docker's default table as a template.
    pub default: &'static str,
    /// Field and heading, as in `("ID", "CONTAINER ID")`.
    pub headings: &'static [(&'static str, &'static str)],
}

impl Listing {
    /// Renders all rows. An empty `format` is the default table.
    pub(crate) fn render(&self, format: &str, rows: &[Value]) -> Result<String, Error> {
        let format = unescaped(format.trim_start());
        if format == "json" {
            let lines = rows.iter().map(|row| format!("{}\n", visible(row)));
            return Ok(lines.collect());
        }
        let body = match format.strip_prefix("table") {
            _ if format.is_empty() => Some(self.default),
            Some("") => Some(self.default),
            Some(rest) if rest.starts_with([' ', '\t']) => Some(rest.trim_start()),
            _ => None,
        };
        let template = Template::parse(body.unwrap_or(&format))?;
        let mut out = String::new();
        if body.is_some() {
            out.push_str(&template.render(&self.heading_row())?);
            out.push('\n');
        }
        for row in rows {
            out.push_str(&template.render(row)?);
            out.push('\n');
        }
        Ok(if body.is_some() { table::layout(&out) } else { out })
    }

    /// Prints all rows; with `quiet` and no format, only that field of each.
    pub(crate) fn print(&self, format: Option<&str>, quiet: Option<&str>, rows: &[Value]) -> Outcome {
        let format = format.unwrap_or_default();
        let text = match quiet.filter(|_| format.is_empty()) {
            Some(field) => rows.iter().map(|row| format!("{}\n", row[field].as_str().unwrap_or_default())).collect(),
            None => self.render(format, rows).map_err(refused)?,
        };
        io::print(&text).map(|()| 0)
    }

    /// The headings as data, so that the row's template prints them.
    fn heading_row(&self) -> Value {
        let mut row = serde_json::Map::new();
        for (field, heading) in self.headings {
            row.insert((*field).to_owned(), Value::from(*heading));
        }
        // `.Label "x"` heads its column with the label's name: answered by an empty table
        row.insert("Label()".to_owned(), Value::Object(serde_json::Map::new()));
        Value::Object(row)
    }
}

/// `\t` and `\n` typed in a shell's single quotes.
pub(crate) fn unescaped(format: &str) -> String {
    format.replace("\\t", "\t").replace("\\n", "\n")
}

/// The row without its method tables, keys in order.
fn visible(row: &Value) -> Value {
    let mut pairs: Vec<(String, Value)> = match row {
        Value::Object(object) => object.clone().into_iter().filter(|(k, _)| !k.ends_with("()")).collect(),
        other => return other.clone(),
    };
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    Value::Object(pairs.into_iter().collect())
}

/// A format that cannot be used: exit code 1, as docker's.
pub(crate) fn refused(error: Error) -> Failure {
    Fault::invalid(format!("the format cannot be used: {error}")).into()
}

/// Renders one object through a template, or as compact JSON for `json`.
pub(crate) fn object(format: &str, value: &Value) -> Result<String, Error> {
    if format == "json" {
        return Ok(value.to_string());
    }
    Template::parse(&unescaped(format))?.render(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const LISTING: Listing =
        Listing { default: "{{.ID}}\t{{.Names}}", headings: &[("ID", "CONTAINER ID"), ("Names", "NAMES")] };

    #[test]
    fn a_listing_is_a_table_json_or_a_template() {
        let rows = [json!({"Names": "web", "ID": "0123456789ab", "Label()": {"a": "b"}})];
        let table = [
            ("", "CONTAINER ID   NAMES\n0123456789ab   web\n"),
            ("table", "CONTAINER ID   NAMES\n0123456789ab   web\n"),
            ("table {{.Names}}\\t{{.ID}}", "NAMES     CONTAINER ID\nweb       0123456789ab\n"),
            ("json", "{\"ID\":\"0123456789ab\",\"Names\":\"web\"}\n"),
            ("{{.Names}}", "web\n"),
            ("{{.Label \"a\"}}", "b\n"),
            ("{{json .}}", "{\"Names\":\"web\",\"ID\":\"0123456789ab\"}\n"),
        ];
        for (format, want) in table {
            assert_eq!(LISTING.render(format, &rows).as_deref(), Ok(want), "format {format}");
        }
        assert!(LISTING.render("{{.Nope}}", &rows).is_err());
    }
}
