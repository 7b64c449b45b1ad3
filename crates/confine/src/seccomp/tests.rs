//! The compiled program against the profile read naively, on docker's table and on invented ones.

mod machine;
mod naive;

use proptest::prelude::*;

use super::profile::{Action, Arg, Condition, Op, Rule};
use super::table::ROWS;
use super::*;
use crate::Error;
use crate::caps::{self, CapSet};
use machine::{Call, run};
use naive::Naive;

const X86_64: u32 = 0xc000_003e;
const X86: u32 = 0x4000_0003;
const AARCH64: u32 = 0xc000_00b7;
const ARM: u32 = 0x4000_0028;
const EPERM: Action = Action::Errno(1);
const ENOSYS: Action = Action::Errno(38);
const KILL: Action = Action::KillProcess;

fn target(arch: Arch, caps: CapSet) -> Target {
    Target { arch, caps, kernel: Kernel(6, 1) }
}

/// What docker's default container gets on x86-64.
fn builtin(arch: u32, number: u32, args: &[u64]) -> u32 {
    let program = compile(Profile::builtin(), &target(Arch::X86_64, caps::DEFAULT)).unwrap();
    run(&program.filter, &Call::new(arch, number, args))
}

#[test]
fn the_table_has_dockers_content() {
    let mut lines = Vec::new();
    for row in ROWS {
        let args: Vec<String> = row
            .args
            .iter()
            .map(|arg| {
                let op = match arg.op {
                    Op::Equal => "EQ",
                    Op::NotEqual => "NE",
                    Op::Less => "LT",
                    Op::LessOrEqual => "LE",
                    Op::Greater => "GT",
                    Op::GreaterOrEqual => "GE",
                    Op::MaskedEqual => "MASKED_EQ",
                };
                format!("{},{op},{},{}", arg.index, arg.value, arg.second)
            })
            .collect();
        let only = |only: &table::Only| {
            let (mut caps, mut arches) = (only.caps.to_vec(), only.arches.to_vec());
            caps.sort_unstable();
            arches.sort_unstable();
            let kernel = only.min_kernel.map(|k| format!("{}.{}", k.0, k.1));
            let kernel = kernel.unwrap_or_default();
            format!("{}/{}/{kernel}", caps.join(","), arches.join(","))
        };
        let (includes, excludes) = (only(&row.includes), only(&row.excludes));
        let (action, args) = (row.action, args.join(";"));
        for name in row.names {
            lines.push(format!("{name}|{action:?}|{args}|{includes}|{excludes}\n"));
        }
    }
    lines.sort_unstable();
    assert_eq!(lines.len(), 442);
    use sha2::Digest as _;
    let digest: [u8; 32] = sha2::Sha256::digest(lines.concat()).into();
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "bc454551af7befe35edb79070be73d68681d6b9ae50119293e9ed55102c29902");
}

#[test]
fn what_escapes_and_probes_use_is_refused_by_default() {
    const AF_ALG: u64 = 38;
    const AF_VSOCK: u64 = 40;
    const NEWUSER: u64 = 0x1000_0000;
    let x32 = |number: u32| number | 0x4000_0000;
    // what, arch, number, arguments, expected
    let table: &[(&str, u32, u32, &[u64], Action)] = &[
        ("read", X86_64, 0, &[], Action::Allow),
        ("execve", X86_64, 59, &[], Action::Allow),
        ("ptrace, since 4.8", X86_64, 101, &[], Action::Allow),
        ("arch_prctl", X86_64, 158, &[], Action::Allow),
        ("keyctl", X86_64, 250, &[], EPERM),
        ("add_key", X86_64, 248, &[], EPERM),
        ("bpf", X86_64, 321, &[], EPERM),
        ("unshare", X86_64, 272, &[NEWUSER], EPERM),
        ("setns", X86_64, 308, &[], EPERM),
        ("mount", X86_64, 165, &[], EPERM),
        ("open_by_handle_at", X86_64, 304, &[], EPERM),
        ("perf_event_open", X86_64, 298, &[], EPERM),
        ("userfaultfd", X86_64, 323, &[], EPERM),
        ("io_uring_setup", X86_64, 425, &[], EPERM),
        ("kexec_load", X86_64, 246, &[], EPERM),
        ("init_module", X86_64, 175, &[], EPERM),
        ("clone, a thread", X86_64, 56, &[0x3d0f00], Action::Allow),
        ("clone, a user namespace", X86_64, 56, &[NEWUSER | 17], EPERM),
        ("clone, high bits", X86_64, 56, &[1 << 40 | NEWUSER], EPERM),
        ("clone3", X86_64, 435, &[], ENOSYS),
        ("AF_INET", X86_64, 41, &[2], Action::Allow),
        ("AF_ALG", X86_64, 41, &[AF_ALG], EPERM),
        ("AF_KCM", X86_64, 41, &[39], Action::Allow),
        ("AF_VSOCK", X86_64, 41, &[AF_VSOCK], EPERM),
        ("AF_VSOCK, high bits", X86_64, 41, &[1 << 32 | AF_VSOCK], EPERM),
        ("AF_ALG, high bits", X86_64, 41, &[u64::MAX << 32 | AF_ALG], EPERM),
        ("personality 8", X86_64, 135, &[8], Action::Allow),
        ("personality ADDR_NO_RANDOMIZE", X86_64, 135, &[0x0040000], EPERM),
        ("personality -1", X86_64, 135, &[0xffff_ffff], Action::Allow),
        ("newer than the profile", X86_64, 467, &[], ENOSYS),
        ("newer still", X86_64, 0x3fff_ffff, &[], ENOSYS),
        ("x32 read", X86_64, x32(0), &[], Action::Allow),
        ("x32 keyctl", X86_64, x32(250), &[], EPERM),
        ("x32 AF_VSOCK", X86_64, x32(41), &[AF_VSOCK], EPERM),
        ("x32 unshare", X86_64, x32(272), &[NEWUSER], EPERM),
        ("x32 newer", X86_64, x32(600), &[], ENOSYS),
        ("x32 highest", X86_64, u32::MAX, &[], ENOSYS),
        ("i386 read", X86, 3, &[], Action::Allow),
        ("i386 keyctl", X86, 288, &[], EPERM),
        ("i386 unshare", X86, 310, &[NEWUSER], EPERM),
        ("i386 mount", X86, 21, &[], EPERM),
        ("i386 AF_VSOCK", X86, 359, &[AF_VSOCK], EPERM),
        ("i386 socketcall(SYS_SOCKET)", X86, 102, &[1], EPERM),
        ("i386 socketcall(SYS_BIND)", X86, 102, &[2], Action::Allow),
        ("i386 clone newuser", X86, 120, &[NEWUSER], EPERM),
        ("i386 newer", X86, 900, &[], ENOSYS),
        ("aarch64 on x86-64", AARCH64, 0, &[], KILL),
        ("no architecture", 0, 0, &[], KILL),
    ];
    for (what, arch, number, args, expected) in table {
        assert_eq!(builtin(*arch, *number, args), expected.code(), "{what}");
    }
}

#[test]
fn capabilities_and_kernel_open_what_docker_opens() {
    let cap = |name: &str| caps::DEFAULT.or(CapSet::named(name).unwrap());
    let on = |caps, kernel, number: u32, args: &[u64]| {
        let target = Target { arch: Arch::X86_64, caps, kernel };
        let program = compile(Profile::builtin(), &target).unwrap();
        run(&program.filter, &Call::new(X86_64, number, args))
    };
    let new = Kernel(6, 1);
    let table = [
        (cap("SYS_ADMIN"), new, 272, Action::Allow),
        (cap("SYS_ADMIN"), new, 435, Action::Allow),
        (cap("SYS_ADMIN"), new, 321, Action::Allow),
        (cap("BPF"), new, 321, Action::Allow),
        (cap("SYS_TIME"), new, 227, Action::Allow),
        (caps::DEFAULT, new, 227, EPERM),
        (cap("DAC_READ_SEARCH"), new, 304, Action::Allow),
        (CapSet::EMPTY, new, 161, EPERM),
        (caps::DEFAULT, new, 161, Action::Allow),
        (caps::DEFAULT, Kernel(4, 7), 101, EPERM),
        (cap("SYS_PTRACE"), Kernel(4, 7), 101, Action::Allow),
    ];
    for (caps, kernel, number, expected) in table {
        let got = on(caps, kernel, number, &[0x1000_0000]);
        assert_eq!(got, expected.code(), "{caps:?} {kernel:?} {number}");
    }
}

#[test]
fn the_default_program_equals_the_naive_reading_everywhere() {
    let arches = [(Arch::X86_64, &[X86_64, X86, AARCH64][..]), (Arch::Aarch64, &[AARCH64, ARM, X86_64][..])];
    let numbers = (0..1200).chain(0x4000_0000 - 2..0x4000_0000 + 1200).chain(0xe_ffff..0xf_0010).chain([
        u32::MAX - 1,
        u32::MAX,
        0x8000_0000,
    ]);
    let args = [[0; 6], [38; 6], [40; 6], [1; 6], [0x1000_0000; 6], [u64::MAX; 6], [1 << 32 | 40; 6]];
    for (native, audits) in arches {
        for caps in [CapSet::EMPTY, caps::DEFAULT, CapSet::KNOWN] {
            let target = target(native, caps);
            let naive = Naive::new(Profile::builtin(), &target);
            let program = compile(Profile::builtin(), &target).unwrap();
            assert!(program.filter.len() < 1000, "{}", program.filter.len());
            for number in numbers.clone() {
                for args in args {
                    for audit in audits {
                        let call = Call::new(*audit, number, &args);
                        let expected = naive.judge(&call);
                        let got = run(&program.filter, &call);
                        assert_eq!(got, expected.code(), "{native:?} {call:?}");
                    }
                }
            }
        }
    }
}

const NAMES: [&str; 16] = [
    "read",
    "write",
    "open",
    "close",
    "stat",
    "fstat",
    "ioctl",
    "socket",
    "personality",
    "clone",
    "keyctl",
    "bpf",
    "openat2",
    "pwritev2",
    "set_tls",
    "no_such_call",
];

fn any_action() -> impl Strategy<Value = Action> {
    prop_oneof![
        Just(Action::Allow),
        Just(EPERM),
        Just(ENOSYS),
        Just(Action::Errno(4095)),
        Just(Action::Trace(7)),
        Just(Action::Trap),
        Just(Action::Log),
        Just(Action::KillThread),
        Just(KILL),
        Just(Action::Notify),
    ]
}

/// Values around the edges of the halves.
fn any_value() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..4u64,
        (0..4u64).prop_map(|n| u64::from(u32::MAX) - 1 + n),
        (0..4u64).prop_map(|n| u64::MAX - n),
        (0..3u64).prop_map(|n| (n << 32) | 2),
        any::<u64>(),
    ]
}

fn any_arg() -> impl Strategy<Value = Arg> {
    let ops =
        vec![Op::Equal, Op::NotEqual, Op::Less, Op::LessOrEqual, Op::Greater, Op::GreaterOrEqual, Op::MaskedEqual];
    (0..3u8, prop::sample::select(ops), any_value(), any_value()).prop_map(|(index, op, value, second)| Arg {
        index,
        op,
        value,
        second,
    })
}

fn any_rule() -> impl Strategy<Value = Rule> {
    let names = prop::collection::vec(prop::sample::select(NAMES.to_vec()), 1..4);
    let args = prop::collection::vec(any_arg(), 0..4);
    (names, any_action(), args, 0..8u8).prop_map(|(names, action, args, when)| {
        let mut rule = Rule {
            names: names.into_iter().map(Into::into).collect(),
            action,
            args,
            includes: Condition::default(),
            excludes: Condition::default(),
        };
        match when {
            0 => rule.includes.add_caps(&["CAP_CHOWN"]),
            1 => rule.includes.add_caps(&["CAP_SYS_ADMIN"]),
            2 => rule.excludes.add_caps(&["CAP_CHOWN"]),
            3 => rule.includes.min_kernel = Some(Kernel(6, 2)),
            4 => rule.includes.arches = vec!["amd64".into()],
            _ => {}
        }
        rule
    })
}

fn any_profile() -> impl Strategy<Value = Profile> {
    let compat =
        prop::sample::select(vec![vec![], vec![Arch::X86], vec![Arch::X32], vec![Arch::X32, Arch::X86, Arch::X86_64]]);
    let rules = prop::collection::vec(any_rule(), 0..14);
    (any_action(), compat, rules)
        .prop_map(|(default, compat, rules)| Profile::assembled(default, vec![(Arch::X86_64, compat)], rules, 0))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_program_equals_the_naive_reading(
        profile in any_profile(),
        args in prop::collection::vec(prop::array::uniform6(any_value()), 6),
    ) {
        let target = target(Arch::X86_64, caps::DEFAULT);
        let naive = Naive::new(&profile, &target);
        let program = compile(&profile, &target).unwrap();
        let numbers = (0..500).chain(0x4000_0000..0x4000_0000 + 560).chain([u32::MAX]);
        for number in numbers {
            for args in &args {
                for audit in [X86_64, X86] {
                    let call = Call::new(audit, number, args);
                    let expected = naive.judge(&call);
                    prop_assert_eq!(run(&program.filter, &call), expected.code(), "{:?}", call);
                }
            }
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[\\[\\]{}\",:a-zA-Z_0-9-]{0,200}") {
        let _ = Profile::parse(&text);
    }
}

/// One call with this many alternatives: more instructions than a conditional jump reaches.
fn alternatives(count: u64) -> Profile {
    let rules = (0..count).map(|n| Rule {
        names: vec!["keyctl".into()],
        action: Action::Errno(n as u16 % 4096),
        args: vec![Arg::new(1, Op::Equal, n << 32 | n), Arg::new(2, Op::NotEqual, n)],
        includes: Condition::default(),
        excludes: Condition::default(),
    });
    Profile::assembled(Action::Allow, Vec::new(), rules.collect(), 0)
}

#[test]
fn long_jumps_arrive() {
    let profile = alternatives(300);
    let target = target(Arch::X86_64, CapSet::EMPTY);
    let naive = Naive::new(&profile, &target);
    let program = compile(&profile, &target).unwrap();
    assert!(program.filter.len() > 1000);
    for n in 0..302u64 {
        for (args, number) in [([0, n << 32 | n, 0], 250), ([0, n << 32 | n, n], 250), ([0; 3], 251)] {
            let call = Call::new(X86_64, number, &args);
            let expected = naive.judge(&call);
            assert_eq!(run(&program.filter, &call), expected.code(), "{call:?}");
        }
    }
}

#[test]
fn a_program_that_is_too_long_is_refused() {
    let target = target(Arch::X86_64, CapSet::EMPTY);
    let error = compile(&alternatives(2000), &target).unwrap_err();
    assert!(matches!(error, Error::SeccompTooLarge(n) if n > 4096), "{error}");
}

#[test]
fn both_forms_of_json_are_read() {
    let target = target(Arch::X86_64, caps::DEFAULT);
    let docker = r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":13,
        "archMap":[{"architecture":"SCMP_ARCH_X86_64","subArchitectures":["SCMP_ARCH_X86"]},
                   {"architecture":"SCMP_ARCH_S390X","subArchitectures":null}],
        "syscalls":[{"names":["read","no_such"],"action":"SCMP_ACT_ALLOW","args":null},
                    {"name":"write","action":"SCMP_ACT_ALLOW","comment":"x",
                     "args":[{"index":0,"value":1,"op":"SCMP_CMP_EQ"}],
                     "includes":{"caps":["CAP_CHOWN"],"minKernel":"4.8"},"excludes":{}},
                    {"names":["bpf"],"action":"SCMP_ACT_ALLOW","includes":{"caps":["CAP_FROM_2040"]}}]}"#;
    let oci = r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X32"],
        "flags":["SECCOMP_FILTER_FLAG_LOG"],
        "syscalls":[{"names":["read"],"action":"SCMP_ACT_ERRNO","errnoRet":5},
                    {"names":["write"],"action":"SCMP_ACT_KILL"}]}"#;
    // profile, arch, number, first argument, expected
    let table = [
        (docker, X86_64, 0, 0, Action::Allow),
        (docker, X86_64, 1, 1, Action::Allow),
        (docker, X86_64, 1, 2, Action::Errno(13)),
        (docker, X86_64, 321, 0, Action::Errno(13)),
        (docker, X86_64, 322, 0, ENOSYS),
        (docker, X86, 3, 0, Action::Allow),
        (docker, X86_64, 0x4000_0000, 0, KILL),
        (docker, X86_64, u32::MAX, 0, ENOSYS),
        (oci, X86_64, 0, 0, Action::Errno(5)),
        (oci, X86_64, 1, 0, Action::KillThread),
        (oci, X86_64, 5000, 0, Action::Allow),
        (oci, X86_64, 0x4000_0001, 0, Action::KillThread),
        (oci, X86, 3, 0, KILL),
    ];
    for (text, arch, number, arg, expected) in table {
        let program = compile(&Profile::parse(text).unwrap(), &target).unwrap();
        let got = run(&program.filter, &Call::new(arch, number, &[arg]));
        assert_eq!(got, expected.code(), "{arch:x} {number} {arg}");
    }
    let flags = |text| compile(&Profile::parse(text).unwrap(), &target).unwrap().flags;
    assert_eq!((flags(docker), flags(oci)), (4, 2));
}

#[test]
fn bad_profiles_are_refused() {
    let with = |call: &str| format!(r#"{{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{call}]}}"#);
    let table = [
        (String::new(), "decoding seccomp profile failed: EOF while parsing"),
        ("[]".into(), "decoding seccomp profile failed"),
        ("{}".into(), "decoding seccomp profile failed: missing field `defaultAction`"),
        (r#"{"defaultAction":"ALLOW"}"#.into(), "unknown action \"ALLOW\""),
        (r#"{"defaultAction":"SCMP_ACT_NOTIFY"}"#.into(), "which hull does not support"),
        (r#"{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"/x"}"#.into(), "asks for a listener"),
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_Z80"]}"#.into(),
            "unknown architecture \"SCMP_ARCH_Z80\"",
        ),
        (r#"{"defaultAction":"SCMP_ACT_ALLOW","flags":["X"]}"#.into(), "unknown flag \"X\""),
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86"],
                "archMap":[{"architecture":"SCMP_ARCH_X86_64"}]}"#
                .into(),
            "both 'architectures' and 'archMap'",
        ),
        (with(r#"{"names":["read"]}"#), "missing field `action`"),
        (with(r#"{"name":"a","names":["b"],"action":"SCMP_ACT_ALLOW"}"#), "both 'name' and 'names'"),
        (with(r#"{"names":[""],"action":"SCMP_ACT_ALLOW"}"#), "has no name"),
        (with(r#"{"names":["a"],"action":"SCMP_ACT_ERRNO","errnoRet":4096}"#), "errnoRet 4096 is above 4095"),
        (
            with(
                r#"{"names":["a"],"action":"SCMP_ACT_ALLOW",
                    "args":[{"index":6,"value":1,"op":"SCMP_CMP_EQ"}]}"#,
            ),
            "argument index 6 is above 5",
        ),
        (
            with(
                r#"{"names":["a"],"action":"SCMP_ACT_ALLOW",
                    "args":[{"index":0,"value":1,"op":"EQ"}]}"#,
            ),
            "unknown operator \"EQ\"",
        ),
        (
            with(
                r#"{"names":["a"],"action":"SCMP_ACT_ALLOW",
                    "args":[{"index":0,"value":-1,"op":"SCMP_CMP_EQ"}]}"#,
            ),
            "decoding seccomp profile failed",
        ),
        (
            with(r#"{"names":["a"],"action":"SCMP_ACT_ALLOW","includes":{"minKernel":"new"}}"#),
            "invalid kernel version: \"new\"",
        ),
        ("[".repeat(100_000), "decoding seccomp profile failed"),
    ];
    for (text, message) in table {
        let error = Profile::parse(&text).expect_err(&text).to_string();
        assert!(error.contains(message), "{error:?} lacks {message:?}");
    }
}

#[test]
fn the_cache_compiles_once_and_stays_small() {
    let cache = Cache::new();
    let target = target(Arch::X86_64, caps::DEFAULT);
    let first = cache.program(Profile::builtin(), &target).unwrap();
    let again = cache.program(Profile::builtin(), &target).unwrap();
    assert!(std::sync::Arc::ptr_eq(&first, &again));
    for bits in 0..100 {
        let other = Target { caps: CapSet(bits), ..target };
        cache.program(Profile::builtin(), &other).unwrap();
    }
    let later = cache.program(Profile::builtin(), &target).unwrap();
    assert_eq!(first, later);
    assert!(!std::sync::Arc::ptr_eq(&first, &later));
}

#[test]
fn kernel_versions_are_read() {
    let table = [
        ("6.1.0-22-amd64", Some(Kernel(6, 1))),
        ("5.15", Some(Kernel(5, 15))),
        ("6.18-rc1", Some(Kernel(6, 18))),
        ("6", None),
        ("", None),
        ("x.y", None),
        ("99999999999.1", None),
    ];
    for (text, expected) in table {
        assert_eq!(text.parse().ok(), expected, "{text}");
    }
}
