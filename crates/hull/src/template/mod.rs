//! The part of Go's text/template that `--format` needs, over JSON values.
//!
//! Owns parsing, evaluation and the functions that docker adds (`json`, `join`, `upper`, …).
//! Knows nothing of containers. Objects with a key `Name()` answer a method call `.Name "arg"`;
//! such keys are never shown by `json`. Not supported, and refused by name: `define`, `template`,
//! `block`, `call`.

mod eval;
mod funcs;
mod lex;
mod parse;
mod print;

use serde_json::Value;

/// Why a template cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// The text is no template.
    #[error("{0}")]
    Syntax(String),
    /// The template does not fit the data.
    #[error("{0}")]
    Data(String),
}

/// A parsed template.
#[derive(Debug)]
pub struct Template {
    nodes: Vec<parse::Node>,
}

impl Template {
    /// Parses the text between and around `{{ }}`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let nodes = parse::parse(lex::pieces(text)?)?;
        Ok(Self { nodes })
    }

    /// Fills the template with `data` as the dot.
    pub fn render(&self, data: &Value) -> Result<String, Error> {
        eval::render(&self.nodes, data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn data() -> Value {
        json!({
            "Id": "abc", "Name": "/web", "Created": 17, "Empty": [], "Null": null, "Yes": true,
            "State": {"Running": true, "ExitCode": 0, "Pid": 42},
            "Config": {"Env": ["A=1", "B=2"], "Labels": {"a": "x", "b.c": "y"}},
            "HostConfig": {"NanoCpus": 1_500_000_000u64},
            "Label()": {"a": "x"},
            "Mounts": [{"Source": "/s", "RW": true}, {"Source": "/t", "RW": false}],
        })
    }

    #[test]
    fn templates_render_as_go_does() {
        let table = [
            ("plain", "plain"),
            ("{{.Id}}", "abc"),
            ("{{.ID}}", "abc"),
            ("{{ .State.Pid }}", "42"),
            ("{{.HostConfig.NanoCPUs}}", "1500000000"),
            ("{{json .Config.Env}}", r#"["A=1","B=2"]"#),
            ("{{.Config.Env}}", "[A=1 B=2]"),
            ("{{.Config.Labels}}", "map[a:x b.c:y]"),
            ("{{.Config.Labels.none}}", "<no value>"),
            ("{{index .Config.Labels \"b.c\"}}", "y"),
            ("{{index .Config.Labels \"none\"}}", ""),
            ("{{index .Config.Env 1}}", "B=2"),
            ("{{.Label \"a\"}}|{{.Label \"z\"}}", "x|"),
            ("{{range .Config.Env}}<{{.}}>{{end}}", "<A=1><B=2>"),
            ("{{range $i, $v := .Config.Env}}{{$i}}={{$v}};{{end}}", "0=A=1;1=B=2;"),
            ("{{range $k, $v := .Config.Labels}}{{$k}}:{{$v}} {{end}}", "a:x b.c:y "),
            ("{{range .Empty}}x{{else}}none{{end}}", "none"),
            ("{{range .Null}}x{{else}}none{{end}}", "none"),
            ("{{range .Mounts}}{{.Source}}{{$.Id}} {{end}}", "/sabc /tabc "),
            ("{{range .Mounts}}{{if .RW}}{{continue}}{{end}}{{.Source}}{{end}}", "/t"),
            ("{{range .Mounts}}{{.Source}}{{break}}{{end}}", "/s"),
            ("{{range 3}}{{.}}{{end}}", "012"),
            ("{{if .State.Running}}up{{else}}down{{end}}", "up"),
            ("{{if not .Yes}}a{{else if eq .Created 17}}b{{else}}c{{end}}", "b"),
            ("{{if and .Yes (gt .Created 10)}}y{{end}}", "y"),
            ("{{or .Null .Id}}", "abc"),
            ("{{with .State}}{{.Pid}}{{end}}", "42"),
            ("{{with $x := .State}}{{$x.Pid}}{{end}}", "42"),
            ("{{with .Null}}x{{else}}y{{end}}", "y"),
            ("{{$x := 1}}{{$x = 2}}{{$x}}", "2"),
            ("a {{- .Id -}} b", "aabcb"),
            ("{{/* note */}}x{{- /* two */ -}} y", "xy"),
            ("{{upper .Id}} {{.Id | title}} {{lower \"ABC\"}}", "ABC Abc abc"),
            ("{{join .Config.Env \", \"}}", "A=1, B=2"),
            ("{{split .Name \"/\"}}", "[ web]"),
            ("{{index (split .Name \"/\") 1}}", "web"),
            ("{{len .Config.Env}} {{len .Id}}", "2 3"),
            (
                "{{printf \"%s-%d|%5s|%-5s|%q|%v|%05d|%.1f|%t|%%\" .Id .Created .Id .Id .Id .Config.Env 7 2.25 .Yes}}",
                "abc-17|  abc|abc  |\"abc\"|[A=1 B=2]|00007|2.2|true|%",
            ),
            ("{{println .Id 1}}", "abc 1\n"),
            ("{{print 1 2 \"a\" \"b\" 3}}", "1 2ab3"),
            ("{{.Null}}", "<nil>"),
            ("{{(index .Mounts 0).Source}}", "/s"),
            (
                "{{eq .Id \"x\" \"abc\"}} {{ne 1 2}} {{lt 1 2}} {{le 2 2}} {{ge \"b\" \"a\"}}",
                "true true true true true",
            ),
            ("{{slice .Id 0 2}}", "ab"),
            ("{{truncate .Id 2}}|{{pad .Id 1 2}}|", "ab| abc  |"),
            ("{{\"quoted \\\"x\\\" \\t\"}}{{`raw \\n`}}", "quoted \"x\" \traw \\n"),
            ("{{json .Id}}", "\"abc\""),
            ("{{json .State}}", r#"{"Running":true,"ExitCode":0,"Pid":42}"#),
            ("{{.State.ExitCode}}", "0"),
            ("{{if .State.ExitCode}}bad{{else}}good{{end}}", "good"),
        ];
        for (text, want) in table {
            let got = Template::parse(text).and_then(|t| t.render(&data()));
            assert_eq!(got.as_deref(), Ok(want), "template {text}");
        }
    }

    #[test]
    fn a_wrong_template_is_one_sentence() {
        let table = [
            ("{{.Id", "unclosed action"),
            ("{{if .Id}}x", "unexpected end of template: `if` has no `end`"),
            ("{{end}}", "unexpected `end`"),
            ("{{frob .Id}}", "function `frob` is not defined"),
            ("{{.Nope}}", "no field `Nope`"),
            ("{{.State.Nope}}", "no field `Nope`"),
            ("{{.Id.Nope}}", "cannot take field `Nope` of a string"),
            ("{{$x}}", "undefined variable `$x`"),
            ("{{template \"x\"}}", "`template` is not supported"),
            ("{{\"abc}}", "unterminated string"),
            ("{{index .Config.Env 7}}", "index 7 is out of range"),
            ("{{}}", "missing value in action"),
        ];
        for (text, want) in table {
            let got = Template::parse(text).and_then(|t| t.render(&data()));
            let message = got.expect_err(text).to_string();
            assert!(message.contains(want), "template {text}: {message}");
        }
    }
}
