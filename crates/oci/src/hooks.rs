//! The six kinds of hooks: which are run where, and by whom.
//!
//! By this process, in the runtime's namespaces: prestart and createRuntime once the mounts are made, poststart
//! once the command runs, poststop once the container is gone. By the child: createContainer, startContainer.

use hull_launch::direct;
use hull_launch::plan;

use crate::config::{Hook, Hooks};
use crate::container::{SpecState, spec_state};
use crate::error::{Error, Result};

/// Refuses what could not be run.
pub fn check(hooks: &Hooks) -> Result<()> {
    for (kind, list) in all(hooks) {
        for (index, hook) in list.iter().enumerate() {
            let field = |name: &str| format!("hooks.{kind}[{index}].{name}");
            if !hook.path.starts_with('/') || hook.path.contains('\0') {
                return Err(Error::invalid(field("path"), format!("{:?} is no absolute path", hook.path)));
            }
            if hook.timeout.is_some_and(|timeout| timeout < 1) {
                return Err(Error::invalid(field("timeout"), "must be greater than zero"));
            }
            if hook.args.iter().chain(&hook.env).any(|text| text.contains('\0')) {
                return Err(Error::invalid(field("args"), "a NUL byte cannot be passed on"));
            }
        }
    }
    Ok(())
}

fn all(hooks: &Hooks) -> [(&'static str, &Vec<Hook>); 6] {
    [
        ("prestart", &hooks.prestart),
        ("createRuntime", &hooks.create_runtime),
        ("createContainer", &hooks.create_container),
        ("startContainer", &hooks.start_container),
        ("poststart", &hooks.poststart),
        ("poststop", &hooks.poststop),
    ]
}

/// As the plan has them.
pub fn planned(kind: &str, hooks: &[Hook], state: &SpecState<'_>) -> Vec<plan::Hook> {
    hooks.iter().map(|hook| one(kind, hook, state)).collect()
}

fn one(kind: &str, hook: &Hook, state: &SpecState<'_>) -> plan::Hook {
    plan::Hook {
        kind: kind.to_owned(),
        path: hook.path.clone().into(),
        args: hook.args.clone(),
        env: hook.env.clone(),
        timeout: hook.timeout.and_then(|seconds| u32::try_from(seconds).ok()),
        state: spec_state(state),
    }
}

/// Runs them here, one after the other; the first that fails ends it.
pub fn run(kind: &'static str, hooks: &[Hook], state: &SpecState<'_>, pid: i32) -> Result<()> {
    hooks.iter().try_for_each(|hook| {
        direct::run_hook(&one(kind, hook, state), pid.unsigned_abs()).map_err(|source| Error::Hook { source })
    })
}

/// Those that are run once it is created.
pub fn later(hooks: &Hooks) -> Hooks {
    Hooks { poststart: hooks.poststart.clone(), poststop: hooks.poststop.clone(), ..Hooks::default() }
}
