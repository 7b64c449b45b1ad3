//! `hull top`: the processes of a container, as ps shows them.

use hull_types::Fault;

use super::context::Context;
use super::failure::{Failure, Outcome};
use super::io;
use super::parse::Spoken;
use crate::output::table;

/// Flags of `top`.
#[derive(clap::Args, Debug)]
pub(crate) struct Top {
    #[arg(value_name = "CONTAINER", required = true, trailing_var_arg = true, hide = true)]
    words: Vec<String>,
}

impl Spoken for Top {
    const NAME: &'static str = "top";
    const ABOUT: &'static str = "Display the running processes of a container";
    const USAGE: &'static str = "CONTAINER [ps OPTIONS]";

    fn run(self, context: &Context) -> Outcome {
        let Some((container, options)) = self.words.split_first() else {
            return Err(Failure::usage(Fault::invalid("`hull top` needs a container")));
        };
        let client = context.client()?;
        let options = options.join(" ");
        let options = (!options.is_empty()).then_some(options.as_str());
        let answer = client.container_top(container, options).map_err(Fault::from)?;
        let lines = std::iter::once(&answer.titles).chain(&answer.processes);
        let text: String = lines.map(|line| line.join("\t") + "\n").collect();
        io::print(&table::layout_with(&text, 20)).map(|()| 0)
    }
}
