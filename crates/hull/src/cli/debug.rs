//! `hull debug`: a shell with tools beside a container that has none: in its process table and network, on another root file
//! system. The container's own files are at `/proc/1/root`; nothing is written to it.

use hull_types::Fault;

use super::context::Context;
use super::failure::{Failure, Outcome};
use super::parse::{Spoken, Verb};
use super::run::Run;
use crate::session::terminal;

/// Flags of `debug`.
#[derive(clap::Args, Debug)]
pub(crate) struct Debug {
    /// The image that the tools come from; this machine's own files by default
    #[arg(long, value_name = "string", default_value = "hull/host")]
    image: String,
    /// Give all rights to the tools
    #[arg(long)]
    privileged: bool,
    #[arg(value_name = "CONTAINER", required = true, trailing_var_arg = true, hide = true)]
    words: Vec<String>,
}

impl Spoken for Debug {
    const NAME: &'static str = "debug";
    const ABOUT: &'static str = "Run a shell with tools of its own among a container's processes, in its network";
    const USAGE: &'static str = "[OPTIONS] CONTAINER [COMMAND] [ARG...]";
    const MORE: &'static str = "The container's files are at /proc/1/root. Exit code: as of `hull run`.";

    fn run(self, context: &Context) -> Outcome {
        let Some((who, command)) = self.words.split_first() else {
            return Err(Failure::usage(Fault::invalid("`hull debug` needs a container")));
        };
        let target = context.client()?.container_inspect(who, false).map_err(Fault::from)?;
        if !target.state.running {
            return Err(Fault::conflict(format!("container {who} is not running"))
                .hint("`hull why` says what ended it; `hull cp` takes files out of it")
                .into());
        }
        let of = format!("container:{}", target.id);
        let mut args: Vec<String> =
            ["--rm", "-i", "--workdir", "/", "--cap-add", "SYS_PTRACE"].map(str::to_owned).into();
        args.extend(["--pid", &of, "--network", &of].map(str::to_owned));
        if !target.host_config.userns_mode.is_empty() && target.host_config.userns_mode != "host" {
            args.extend(["--userns".to_owned(), of]);
        }
        if terminal::stdin_is_terminal() {
            args.push("-t".to_owned());
        }
        if self.privileged {
            args.push("--privileged".to_owned());
        }
        args.push(self.image.clone());
        args.extend(if command.is_empty() { vec!["sh".to_owned()] } else { command.to_vec() });
        Verb::of::<Run>().call(context, "hull", args)
    }
}
