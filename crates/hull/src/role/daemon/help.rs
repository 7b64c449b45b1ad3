//! `dockerd --help`.

use super::table::{ALL, Kind, Takes};

/// The whole text: what is taken, then what is refused.
pub(super) fn text() -> String {
    let mut out = String::from(
        "\nUsage:  dockerd [OPTIONS]\n\nhull, called as dockerd: keeper and engine in the foreground.\n\nOptions:\n",
    );
    for setting in ALL.iter().filter(|setting| !setting.flag.is_empty()) {
        let kind = match setting.kind {
            Kind::Bool => "",
            Kind::Text => " string",
            Kind::Number => " int",
            Kind::List => " list",
            Kind::Map => " map",
            Kind::Ulimits => " ulimit",
            Kind::Pools => " pool-options",
        };
        let short = setting.short.map_or_else(|| "    ".to_owned(), |short| format!("-{short}, "));
        let note = match setting.takes {
            Takes::All => String::new(),
            Takes::Only(words, _) => words.join("|"),
            Takes::Nothing(_) => "refused".to_owned(),
        };
        let flag = format!("{}{kind}", setting.flag);
        out.push_str(format!("  {short}--{flag:<38}  {note}").trim_end());
        out.push('\n');
    }
    out.push_str("      --validate                                Validate the configuration and exit\n");
    out.push_str("  -v, --version                                 Print version information and quit\n");
    out
}
