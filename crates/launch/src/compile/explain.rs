//! Explaining: from a failed step to what the user reads, with docker's classes of exit codes.
//!
//! Pure: what the command's file is, is read from the bytes that the child reported.
//! COMPAT(docker 28): its command line finds 126 and 127 by `executable file not found`, `no such
//! file or directory`, `permission denied` and `is a directory` in the message.

use hull_types::{Fault, Kind};
use rustix::io::Errno;

use super::binary::Binary;
use super::words::{self, words};
use crate::keeper::Failure;
use crate::plan::{LaunchPlan, STEP_CLONE, STEP_EXEC, Step, Target};

/// One sentence, the cause below it, and what to do.
pub fn explain_failure(plan: &LaunchPlan, failure: &Failure) -> Fault {
    if failure.errno == 0 && failure.call.starts_with("killed") {
        return Fault::internal("the container's process was killed before its command ran")
            .cause(&failure.call)
            .hint("the memory limit may be too low for any process");
    }
    match failure.step {
        STEP_EXEC => command(plan, failure),
        STEP_CLONE => Fault::internal("cannot make the container's process").cause(cause(failure)),
        index => match plan.steps.get(index as usize) {
            Some(step) => step_failed(step, failure),
            None => Fault::internal("the launch failed").cause(cause(failure)),
        },
    }
}

fn command(plan: &LaunchPlan, failure: &Failure) -> Fault {
    let binary = failure.file.as_ref().map(|(_, head)| Binary::of(head));
    let name = plan.exec.argv.first().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let not_found = |text: String| Fault::new(Kind::CommandNotFound, text);
    let not_executable = |text: String| Fault::new(Kind::NotExecutable, text);
    match errno(failure.errno) {
        Errno::NOENT | Errno::NOTDIR => match missing_interpreter(binary.as_ref()) {
            Some(interpreter) => not_found(format!(
                "exec: {name:?}: its interpreter {interpreter:?} is missing: no such file or directory"
            ))
            .hint("the image lacks the loader or shell that this file names; install it, or use a static binary"),
            None if name.contains('/') => not_found(format!("exec: {name:?}: stat {name}: no such file or directory")),
            None => not_found(format!("exec: {name:?}: executable file not found in $PATH")),
        },
        Errno::ACCESS | Errno::PERM => not_executable(format!("exec: {name:?}: permission denied"))
            .hint("the file is no executable for this user, or its file system is mounted noexec"),
        Errno::ISDIR => not_executable(format!("exec: {name:?}: is a directory")),
        Errno::NOEXEC => exec_format(&name, binary.as_ref()),
        Errno::TXTBSY => not_executable(format!("exec: {name:?}: text file busy")),
        Errno::TOOBIG => Fault::invalid(format!("exec: {name:?}: argument list too long"))
            .hint("shorten the arguments or the environment"),
        _ => not_executable(format!("exec: {name:?}: {}", reason(failure))).cause(&failure.call),
    }
}

/// The file was read, yet the kernel says that something is missing: that is what it names.
fn missing_interpreter(binary: Option<&Binary>) -> Option<&str> {
    match binary? {
        Binary::Elf { interpreter: Some(path), .. } | Binary::Script { interpreter: path } => Some(path),
        Binary::Elf { .. } | Binary::Unknown => None,
    }
}

fn exec_format(name: &str, binary: Option<&Binary>) -> Fault {
    let host = host_architecture();
    let text = format!("exec: {name:?}: exec format error");
    match binary {
        Some(Binary::Elf { machine, .. }) if *machine != host => {
            Fault::new(Kind::NotExecutable, format!("{text}: the file is for {machine}, this machine is {host}"))
                .hint(format!("use an image for {host}"))
        }
        Some(Binary::Unknown) => Fault::new(Kind::NotExecutable, text)
            .hint("the file is neither an ELF binary nor begins with `#!`; does a script lack its first line?"),
        _ => Fault::new(Kind::NotExecutable, format!("{text} on {host}")),
    }
}

/// This machine's architecture in Go's words.
pub fn host_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn step_failed(step: &Step, failure: &Failure) -> Fault {
    let errno = errno(failure.errno);
    let fault = |kind, text: String| Fault::new(kind, text).cause(cause(failure));
    match step {
        Step::Workdir { path, .. } => workdir(&path.display().to_string(), failure),
        Step::Attach { target, .. } | Step::NewMount { target, .. } | Step::TmpfsCopyUp { target, .. } => {
            mount(target, errno, failure)
        }
        Step::Device { path, .. } => fault(Kind::Internal, format!("cannot make the device `{}`", path.display())),
        Step::Sysctl { key, value } => fault(Kind::Invalid, format!("cannot set the sysctl `{key}` to `{value}`")),
        Step::Rlimit { resource, soft, hard, .. } => rlimit(*resource, *soft, *hard, failure),
        Step::OomScoreAdj { value, .. } => {
            fault(Kind::Forbidden, format!("cannot set the OOM score adjustment to {value}"))
                .hint("lowering it needs CAP_SYS_RESOURCE, which the engine does not have here")
        }
        Step::Identity { uid, gid, .. } => fault(Kind::Invalid, format!("cannot become user {uid} and group {gid}"))
            .hint("in a user namespace both must be mapped"),
        Step::LsmLabel { label, .. } => {
            fault(Kind::Invalid, format!("cannot apply the security label `{label}`")).hint("is the profile loaded?")
        }
        Step::Seccomp { .. } => fault(Kind::Invalid, "the kernel refused the seccomp filter".to_owned()),
        Step::Terminal { .. } => fault(Kind::Internal, "cannot open a terminal in the container".to_owned())
            .hint("`/dev/pts` must be the container's own"),
        Step::Enter { .. } if errno == Errno::SRCH => {
            Fault::conflict("the container whose namespaces are joined is no longer running")
        }
        other => fault(Kind::Internal, format!("cannot {}", words(other))),
    }
}

fn workdir(path: &str, failure: &Failure) -> Fault {
    // COMPAT(docker 28): runc's sentence, and the exit codes that docker makes of it.
    let said = |why: &str| format!("chdir to cwd ({path:?}) set in config.json failed: {why}");
    match errno(failure.errno) {
        Errno::NOTDIR => Fault::invalid(format!("the working directory {path:?} is not a directory"))
            .hint("choose a directory with `-w`"),
        Errno::NOENT => Fault::new(Kind::CommandNotFound, said("no such file or directory")),
        Errno::ACCESS => Fault::new(Kind::NotExecutable, said("permission denied")),
        Errno::LOOP => Fault::invalid(format!("cannot use the working directory {path:?}"))
            .cause(cause(failure))
            .hint("links of `/proc` are not followed, as they may lead out of the container"),
        _ => Fault::invalid(format!("cannot use the working directory {path:?}")).cause(cause(failure)),
    }
}

fn mount(target: &Target, errno: Errno, failure: &Failure) -> Fault {
    let path = target.path.display();
    let fault = Fault::invalid(format!("cannot mount at `{path}` in the container")).cause(cause(failure));
    match errno {
        Errno::NOTDIR | Errno::INVAL => fault.hint(
            "a directory cannot be mounted onto a file, nor a file onto a directory: check the types of source and target",
        ),
        Errno::LOOP | Errno::XDEV => fault.hint("a link in the image leads out of the container or into a circle"),
        Errno::ROFS => fault.hint("the mount point does not exist and cannot be made on a read-only mount"),
        _ => Fault { kind: Kind::Internal, ..fault },
    }
}

fn rlimit(resource: u32, soft: u64, hard: u64, failure: &Failure) -> Fault {
    let text = format!("cannot {}", words::rlimit(resource, soft, hard));
    Fault::new(Kind::Forbidden, text)
        .cause(cause(failure))
        .hint("raising a hard limit needs CAP_SYS_RESOURCE, which the engine does not have here; ask for less")
}

/// The kernel's number; one outside its range (0: the process was killed) is no number of its.
fn errno(number: i32) -> Errno {
    if (1..4096).contains(&number) { Errno::from_raw_os_error(number) } else { Errno::CANCELED }
}

fn reason(failure: &Failure) -> String {
    if failure.errno == 0 { failure.call.clone() } else { errno_text(failure.errno) }
}

fn cause(failure: &Failure) -> String {
    match failure.errno {
        0 => failure.call.clone(),
        errno if failure.call.is_empty() => errno_text(errno),
        errno => format!("{}: {}", failure.call, errno_text(errno)),
    }
}

/// The words for an error number.
pub fn errno_text(errno: i32) -> String {
    hull_sys::errno_text(self::errno(errno)).to_owned()
}

#[cfg(test)]
mod tests;
