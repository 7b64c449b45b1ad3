//! The progress of pull and push: one line per layer, redrawn on a terminal; else one line per state.

use std::io::{self, IsTerminal, Write};

use hull_types::Fault;
use hull_wire::JsonMessage;

use crate::session::terminal;

/// Where progress is drawn.
pub(crate) enum To {
    Stdout,
    Stderr,
}

/// Draws messages until the stream ends; its error ends the command.
pub(crate) fn follow(messages: impl Iterator<Item = Result<JsonMessage, Fault>>, to: &To) -> Result<(), Fault> {
    let (mut out, live): (Box<dyn Write>, bool) = match to {
        To::Stdout => (Box::new(io::stdout()), io::stdout().is_terminal()),
        To::Stderr => (Box::new(io::stderr()), io::stderr().is_terminal()),
    };
    let rows = terminal::size().map_or(24, |(rows, _)| usize::from(rows)).saturating_sub(1).max(1);
    let mut drawing = Drawing { live, rows, lines: Vec::new() };
    for message in messages {
        let message = message?;
        if !message.error.is_empty() {
            return Err(Fault::internal(message.error));
        }
        // The reader may be gone; the work is not.
        let _ = out.write_all(drawing.draw(&message).as_bytes()).and_then(|()| out.flush());
    }
    Ok(())
}

/// Reads messages to the end without drawing them.
pub(crate) fn quietly(messages: impl Iterator<Item = Result<JsonMessage, Fault>>) -> Result<(), Fault> {
    for message in messages {
        let message = message?;
        if !message.error.is_empty() {
            return Err(Fault::internal(message.error));
        }
    }
    Ok(())
}

struct Drawing {
    live: bool,
    rows: usize,
    /// Ids with a line of their own, the lowest last.
    lines: Vec<String>,
}

impl Drawing {
    fn draw(&mut self, message: &JsonMessage) -> String {
        if message.status.is_empty() {
            return String::new();
        }
        let status = clean(&message.status);
        if message.id.is_empty() {
            // What follows stands below it.
            self.lines.clear();
            return format!("{status}\n");
        }
        let id = clean(&message.id);
        if message.progress_detail.is_none() {
            self.lines.clear();
            return format!("{id}: {status}\n");
        }
        match self.live {
            true => self.redraw(&id, &format!("{id}: {status} {}", clean(&message.progress))),
            // A state that is under way is nothing that a log needs.
            false if message.progress.is_empty() => format!("{id}: {status}\n"),
            false => String::new(),
        }
    }

    fn redraw(&mut self, id: &str, line: &str) -> String {
        let line = line.trim_end();
        let Some(at) = self.lines.iter().position(|known| known == id) else {
            self.lines.push(id.to_owned());
            return format!("{line}\n");
        };
        let up = self.lines.len() - at;
        // What has left the screen cannot be reached any more.
        if up > self.rows {
            return String::new();
        }
        format!("\x1b[{up}A\x1b[2K\r{line}\x1b[{up}B\r")
    }
}

/// What came from elsewhere moves no cursor.
fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use hull_wire::Progress;

    use super::*;

    fn layer(id: &str, status: &str, progress: &str) -> JsonMessage {
        JsonMessage {
            id: id.into(),
            status: status.into(),
            progress: progress.into(),
            progress_detail: Some(Progress::default()),
            ..Default::default()
        }
    }

    #[test]
    fn a_terminal_gets_one_line_per_layer_and_a_log_one_per_state() {
        let messages = [
            layer("a", "Pulling fs layer", ""),
            layer("b", "Pulling fs layer", ""),
            layer("a", "Downloading", "[=> ]"),
        ];
        let mut live = Drawing { live: true, rows: 10, lines: Vec::new() };
        let drawn: Vec<String> = messages.iter().map(|message| live.draw(message)).collect();
        assert_eq!(drawn[2], "\x1b[2A\x1b[2K\ra: Downloading [=> ]\x1b[2B\r");
        let mut plain = Drawing { live: false, rows: 10, lines: Vec::new() };
        let drawn: String = messages.iter().map(|message| plain.draw(message)).collect();
        assert_eq!(drawn, "a: Pulling fs layer\nb: Pulling fs layer\n");
        assert_eq!(plain.draw(&layer("x\x1b[2J", "y\n", "")), "x[2J: y\n");
    }
}
