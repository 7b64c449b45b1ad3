//! `hull completion`: a script for the shell.

use clap_complete::Shell;
use hull_types::Fault;

use super::context::Context;
use super::failure::{Failure, Outcome};
use super::parse::{Spoken, shortened};
use super::{docs, io};

/// Flags of `completion`.
#[derive(clap::Args, Debug)]
pub(crate) struct Completion {
    #[arg(value_name = "SHELL", hide = true)]
    shell: String,
}

impl Spoken for Completion {
    const NAME: &'static str = "completion";
    const ABOUT: &'static str = "Print the completion script for bash, zsh or fish";
    const USAGE: &'static str = "bash|zsh|fish";

    fn run(self, _context: &Context) -> Outcome {
        let shell = match self.shell.as_str() {
            "bash" => Shell::Bash,
            "zsh" => Shell::Zsh,
            "fish" => Shell::Fish,
            other => {
                let other = shortened(other);
                return Err(Failure::usage(
                    Fault::invalid(format!("there is no completion for `{other}`"))
                        .hint("shells are bash, zsh and fish"),
                ));
            }
        };
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut docs::tree(), "hull", &mut script);
        io::print(&String::from_utf8_lossy(&script)).map(|()| 0)
    }
}
