//! A profile's JSON: docker's form (`archMap`, `includes`, `excludes`) and the OCI runtime
//! specification's (`architectures`, `flags`), which may be mixed as docker lets them.
//!
//! Must not be lenient about anything that decides what is permitted. Unknown fields are ignored, as
//! by docker; unknown actions, operators, architectures and flags are errors.

use serde::Deserialize;

use super::profile::{Action, Arch, Arg, Condition, EPERM, NEW_LISTENER, Op, Profile, Rule, SPEC_ALLOW, WAIT_KILLABLE};
use crate::Error;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    default_action: String,
    default_errno_ret: Option<u32>,
    architectures: Option<Vec<String>>,
    arch_map: Option<Vec<ArchMap>>,
    flags: Option<Vec<String>>,
    listener_path: Option<String>,
    #[serde(default)]
    syscalls: Option<Vec<Entry>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ArchMap {
    architecture: String,
    sub_architectures: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    name: Option<String>,
    names: Option<Vec<String>>,
    action: String,
    errno_ret: Option<u32>,
    args: Option<Vec<Option<Argument>>>,
    includes: Option<Filter>,
    excludes: Option<Filter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Argument {
    index: u32,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Filter {
    caps: Option<Vec<String>>,
    arches: Option<Vec<String>>,
    min_kernel: Option<String>,
}

/// Parses and checks a profile, which may ask a listener where there can be one.
pub(super) fn parse(text: &str, listener: bool) -> Result<Profile, Error> {
    let document: Document = serde_json::from_str(text).map_err(|error| Error::SeccompSyntax(error.to_string()))?;
    let asked = document.listener_path.as_ref().is_some_and(|path| !path.is_empty());
    let profile = assemble(document)?;
    if !listener && profile.asks() {
        return Err(Error::SeccompListener("SCMP_ACT_NOTIFY"));
    }
    if !listener && (asked || profile.flags & (NEW_LISTENER | WAIT_KILLABLE) != 0) {
        return Err(Error::SeccompListener("a listener"));
    }
    Ok(profile)
}

fn assemble(document: Document) -> Result<Profile, Error> {
    let default = action(&document.default_action, document.default_errno_ret)?;
    let rules = document.syscalls.unwrap_or_default();
    let rules: Result<Vec<Rule>, Error> = rules.into_iter().map(rule).collect();
    Ok(Profile::assembled(default, compat(document.architectures, document.arch_map)?, rules?, flags(document.flags)?))
}

fn invalid(what: impl Into<String>) -> Error {
    Error::SeccompProfile(what.into())
}

/// An architecture list stands for every native architecture that is in it.
fn compat(list: Option<Vec<String>>, map: Option<Vec<ArchMap>>) -> Result<Vec<(Arch, Vec<Arch>)>, Error> {
    let list = arches(list.unwrap_or_default())?;
    let map = map.unwrap_or_default();
    if !list.is_empty() && !map.is_empty() {
        return Err(invalid(
            "both 'architectures' and 'archMap' are specified, use either 'architectures' or 'archMap'",
        ));
    }
    let mut compat: Vec<(Arch, Vec<Arch>)> = list.iter().map(|arch| (*arch, list.clone())).collect();
    for entry in map {
        let subs = arches(entry.sub_architectures.unwrap_or_default())?;
        if let Some(native) = arch(&entry.architecture)? {
            compat.push((native, subs));
        }
    }
    Ok(compat)
}

fn arches(names: Vec<String>) -> Result<Vec<Arch>, Error> {
    let known: Result<Vec<Option<Arch>>, Error> = names.iter().map(|name| arch(name)).collect();
    Ok(known?.into_iter().flatten().collect())
}

/// `None` for one that is real, but that hull does not run on.
fn arch(name: &str) -> Result<Option<Arch>, Error> {
    const OTHERS: [&str; 16] = [
        "MIPS",
        "MIPS64",
        "MIPS64N32",
        "MIPSEL",
        "MIPSEL64",
        "MIPSEL64N32",
        "PPC",
        "PPC64",
        "PPC64LE",
        "S390",
        "S390X",
        "PARISC",
        "PARISC64",
        "RISCV64",
        "LOONGARCH64",
        "M68K",
    ];
    match name.strip_prefix("SCMP_ARCH_") {
        Some("NATIVE") => Ok(Some(Arch::NATIVE)),
        Some("X86_64") => Ok(Some(Arch::X86_64)),
        Some("X32") => Ok(Some(Arch::X32)),
        Some("X86") => Ok(Some(Arch::X86)),
        Some("AARCH64") => Ok(Some(Arch::Aarch64)),
        Some("ARM") => Ok(Some(Arch::Arm)),
        Some(other) if OTHERS.contains(&other) => Ok(None),
        _ => Err(invalid(format!("unknown architecture {name:?}"))),
    }
}

fn flags(names: Option<Vec<String>>) -> Result<u32, Error> {
    let Some(names) = names else {
        return Ok(SPEC_ALLOW);
    };
    names.iter().try_fold(0, |flags, name| match name.as_str() {
        // The filter is loaded while there is one thread only.
        "SECCOMP_FILTER_FLAG_TSYNC" => Ok(flags),
        "SECCOMP_FILTER_FLAG_LOG" => Ok(flags | 1 << 1),
        "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => Ok(flags | SPEC_ALLOW),
        "SECCOMP_FILTER_FLAG_NEW_LISTENER" => Ok(flags | NEW_LISTENER),
        "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" => Ok(flags | WAIT_KILLABLE),
        _ => Err(invalid(format!("unknown flag {name:?}"))),
    })
}

fn action(name: &str, errno: Option<u32>) -> Result<Action, Error> {
    let data = errno.unwrap_or(u32::from(EPERM));
    let data = u16::try_from(data)
        .ok()
        .filter(|data| *data <= 4095)
        .ok_or_else(|| invalid(format!("errnoRet {data} is above 4095")))?;
    Ok(match name {
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Action::KillThread,
        "SCMP_ACT_KILL_PROCESS" => Action::KillProcess,
        "SCMP_ACT_TRAP" => Action::Trap,
        "SCMP_ACT_ERRNO" => Action::Errno(data),
        "SCMP_ACT_TRACE" => Action::Trace(data),
        "SCMP_ACT_LOG" => Action::Log,
        "SCMP_ACT_ALLOW" => Action::Allow,
        "SCMP_ACT_NOTIFY" => Action::Notify,
        _ => return Err(invalid(format!("unknown action {name:?}"))),
    })
}

fn rule(entry: Entry) -> Result<Rule, Error> {
    let names = match (entry.name.filter(|name| !name.is_empty()), entry.names) {
        (Some(_), Some(names)) if !names.is_empty() => {
            return Err(invalid("both 'name' and 'names' are specified, use either 'name' or 'names'"));
        }
        (Some(name), _) => vec![name],
        (None, names) => names.unwrap_or_default(),
    };
    if names.iter().any(String::is_empty) {
        return Err(invalid("a system call has no name"));
    }
    let args = entry.args.unwrap_or_default().into_iter().flatten();
    let args: Result<Vec<Arg>, Error> = args.map(argument).collect();
    Ok(Rule {
        names: names.into_iter().map(Into::into).collect(),
        action: action(&entry.action, entry.errno_ret)?,
        args: args?,
        includes: condition(entry.includes)?,
        excludes: condition(entry.excludes)?,
    })
}

fn argument(given: Argument) -> Result<Arg, Error> {
    let op = match given.op.as_str() {
        "SCMP_CMP_EQ" => Op::Equal,
        "SCMP_CMP_NE" => Op::NotEqual,
        "SCMP_CMP_LT" => Op::Less,
        "SCMP_CMP_LE" => Op::LessOrEqual,
        "SCMP_CMP_GT" => Op::Greater,
        "SCMP_CMP_GE" => Op::GreaterOrEqual,
        "SCMP_CMP_MASKED_EQ" => Op::MaskedEqual,
        other => return Err(invalid(format!("unknown operator {other:?}"))),
    };
    let index = u8::try_from(given.index)
        .ok()
        .filter(|index| *index < 6)
        .ok_or_else(|| invalid(format!("argument index {} is above 5", given.index)))?;
    Ok(Arg { index, op, value: given.value, second: given.value_two })
}

fn condition(filter: Option<Filter>) -> Result<Condition, Error> {
    let filter = filter.unwrap_or_default();
    let mut condition = Condition {
        arches: filter.arches.unwrap_or_default().into_iter().map(Into::into).collect(),
        ..Condition::default()
    };
    condition.add_caps(&filter.caps.unwrap_or_default());
    if let Some(version) = filter.min_kernel.filter(|version| !version.is_empty()) {
        condition.min_kernel = Some(version.parse()?);
    }
    Ok(condition)
}
