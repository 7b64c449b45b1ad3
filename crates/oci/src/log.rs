//! `--log` and `--log-format`: lines as logrus writes them, since engines read them.

use std::io::Write as _;
use std::path::PathBuf;

use hull_types::Timestamp;

/// Where messages go.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// `None` is stderr.
    pub file: Option<PathBuf>,
    /// One JSON object per line; else logrus' text.
    pub json: bool,
}

impl Log {
    /// The command failed: said in the log, and on stderr if that is not the log.
    pub fn error(&self, message: &str) {
        self.line("error", message);
        if self.file.is_some() {
            eprintln!("{message}");
        }
    }

    /// Something was left out that the command can do without.
    pub fn warning(&self, message: &str) {
        self.line("warning", message);
    }

    fn line(&self, level: &str, message: &str) {
        let now = Timestamp::from_secs(Timestamp::now().secs());
        let quoted = serde_json::to_string(message).unwrap_or_default();
        let line = if self.json {
            format!("{{\"level\":\"{level}\",\"msg\":{quoted},\"time\":\"{now}\"}}\n")
        } else {
            format!("time=\"{now}\" level={level} msg={quoted}\n")
        };
        let written = match &self.file {
            None => std::io::stderr().write_all(line.as_bytes()),
            Some(path) => std::fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)
                .and_then(|mut file| file.write_all(line.as_bytes())),
        };
        // A log that cannot be written is nothing to fail for.
        drop(written);
    }
}
