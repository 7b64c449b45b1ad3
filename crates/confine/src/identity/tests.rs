//! Tables for [`resolve`]: docker's own cases, and every way an image has tried to become root.

use super::*;

const PASSWD: &[u8] = b"root:x:0:0:root user:/root:/bin/bash
adm:x:42:43:adm:/var/adm:/bin/false
# a comment
111:x:222:333::/var/garbage
odd:x:111:112::/home/odd:::::
  spaced:x:7:8::/home/spaced:/bin/sh
user7456:x:7456:100:Vasya:/home/user7456
nohome:x:9:9
relative:x:10:10::home/x:/bin/sh
dup:x:50:50::/first:
dup:x:51:51::/second:
";

const GROUP: &[u8] = b"root:x:0:root
adm:x:43:
grp:x:1234:root,adm,user7456
444:x:555:111
odd:x:444:
wheel:x:10:root,adm
this is just some garbage data
";

fn run(spec: &str) -> Result<(u32, u32, Vec<u32>, String), Error> {
    let who = resolve(spec, PASSWD, GROUP, &[])?;
    Ok((who.uid, who.gid, who.groups, who.home.display().to_string()))
}

#[test]
fn specifications_resolve_as_dockers() {
    // spec, uid, gid, groups, home
    let table: &[(&str, u32, u32, &[u32], &str)] = &[
        ("", 0, 0, &[0, 1234, 10], "/root"),
        ("root", 0, 0, &[0, 1234, 10], "/root"),
        ("0", 0, 0, &[0, 1234, 10], "/root"),
        ("adm", 42, 43, &[43, 1234, 10], "/var/adm"),
        ("42", 42, 43, &[43, 1234, 10], "/var/adm"),
        ("adm:grp", 42, 1234, &[1234], "/var/adm"),
        ("adm:10", 42, 10, &[10], "/var/adm"),
        ("adm:77777", 42, 77777, &[77777], "/var/adm"),
        ("root:0", 0, 0, &[0], "/root"),
        (":grp", 0, 1234, &[1234], "/root"),
        (":5", 0, 5, &[5], "/root"),
        ("adm:", 42, 43, &[43, 1234, 10], "/var/adm"),
        ("1000", 1000, 0, &[0], "/"),
        ("1000:1000", 1000, 1000, &[1000], "/"),
        ("1000:grp", 1000, 1234, &[1234], "/"),
        ("111", 111, 112, &[112], "/home/odd"),
        ("222", 222, 333, &[333, 555], "/var/garbage"),
        ("odd:444", 111, 444, &[444], "/home/odd"),
        ("spaced", 7, 8, &[8], "/home/spaced"),
        ("nohome", 9, 9, &[9], "/"),
        ("relative", 10, 10, &[10], "/"),
        ("dup", 50, 50, &[50], "/first"),
        ("2147483647:2147483647", 2147483647, 2147483647, &[2147483647], "/"),
        ("007", 7, 8, &[8], "/home/spaced"),
        (" adm ", 42, 43, &[43, 1234, 10], "/var/adm"),
    ];
    for (spec, uid, gid, groups, home) in table {
        let expected = (*uid, *gid, groups.to_vec(), (*home).to_owned());
        assert_eq!(run(spec), Ok(expected), "{spec:?}");
    }
}

#[test]
fn what_cannot_be_resolved_is_refused_and_never_root() {
    let range = "uids and gids must be in range 0-2147483647";
    let table = [
        ("nobody", "unable to find user nobody: no matching entries in passwd file"),
        ("adm:nogroup", "unable to find group nogroup: no matching entries in group file"),
        ("1000:nogroup", "unable to find group nogroup: no matching entries in group file"),
        ("-1", range),
        ("1:-1", range),
        ("-0x1", "unable to find user -0x1: no matching entries in passwd file"),
        ("2147483648", range),
        ("4294967295", range),
        ("4294967296", range),
        ("0:4294967296", range),
        ("18446744073709551616", range),
        ("99999999999999999999999999", range),
        ("0x0", "unable to find user 0x0: no matching entries in passwd file"),
        ("1e3", "unable to find user 1e3: no matching entries in passwd file"),
        ("-", "unable to find user -: no matching entries in passwd file"),
        ("a:b:c", "invalid user specification \"a:b:c\""),
        ("1:2:3", "invalid user specification \"1:2:3\""),
        ("adm\0", "invalid user specification \"adm\\0\""),
        ("ad\nm", "invalid user specification \"ad\\nm\""),
        ("# a comment", "unable to find user # a comment: no matching entries in passwd file"),
    ];
    for (spec, message) in table {
        assert_eq!(run(spec).expect_err(spec).to_string(), message, "{spec:?}");
    }
}

#[test]
fn a_malformed_passwd_line_never_makes_root() {
    let lines = [
        "app",
        "app:x",
        "app:x:",
        "app:x::",
        "app:x:abc:5::/:",
        "app:x:5:abc::/:",
        "app:x:5:::/:",
        "app:x:-1:5::/:",
        "app:x:4294967296:0::/:",
        "app:x:4294967295:0::/:",
        "app:x:2147483648:0::/:",
        "app:x:0x0:0::/:",
        "app:x: 0:0::/:",
        "app:x:0\0:0::/:",
        "app:x:+0:0::/:",
    ];
    for line in lines {
        let error = resolve("app", line.as_bytes(), b"", &[]).expect_err(line);
        assert_eq!(error, Error::UnknownUser("app".into()), "{line:?}");
    }
    // A later, sound line of the same name counts.
    let both = b"app:x:abc:5\napp:x:5:6::/app:";
    assert_eq!(resolve("app", both, b"", &[]).unwrap().uid, 5);
}

#[test]
fn numbers_are_ids_even_where_the_files_use_them_as_names() {
    let passwd = b"1000:x:0:0::/root:\n99999999999999999999:x:0:0::/root:\n-1:x:0:0::/:\n";
    let group = b"1000:x:0:\n4294967296:x:0:\n";
    assert_eq!(resolve("1000", passwd, group, &[]).unwrap().uid, 1000);
    assert_eq!(resolve("5:1000", passwd, group, &[]).unwrap().gid, 1000);
    let added = resolve("5", passwd, group, &["1000".into()]).unwrap();
    assert_eq!(added.groups, [0, 1000]);
    for spec in ["99999999999999999999", "-1", "5:4294967296"] {
        assert!(matches!(resolve(spec, passwd, group, &[]), Err(Error::IdRange(_))), "{spec}");
    }
}

#[test]
fn groups_are_added_by_name_and_number() {
    let table: &[(&[&str], &[u32])] =
        &[(&["grp"], &[43, 1234, 10]), (&["root", "77"], &[43, 1234, 10, 0, 77]), (&["77", "77"], &[43, 1234, 10, 77])];
    for (names, expected) in table {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let who = resolve("adm", PASSWD, GROUP, &names).unwrap();
        assert_eq!(who.groups, *expected, "{names:?}");
    }
    let refused = [
        ("nogroup", "unable to find group nogroup: no matching entries in group file"),
        ("", "unable to find group : no matching entries in group file"),
        ("-1", "uids and gids must be in range 0-2147483647"),
        ("2147483648", "uids and gids must be in range 0-2147483647"),
    ];
    for (name, message) in refused {
        let error = resolve("adm", PASSWD, GROUP, &[name.to_owned()]).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn missing_and_binary_files_are_survived() {
    assert_eq!(resolve("", b"", b"", &[]).unwrap().home, PathBuf::from("/"));
    assert_eq!(resolve("5:6", b"", b"", &[]).unwrap().gid, 6);
    assert!(resolve("root", b"", b"", &[]).is_err());
    let noise: Vec<u8> = (0..=255).cycle().take(1 << 16).collect();
    assert!(resolve("root", &noise, &noise, &[]).is_err());
    let colons = vec![b':'; 1 << 20];
    assert!(resolve("root", &colons, &colons, &[]).is_err());
    let unnamed = resolve("5", b":x:5:5::/:", b"grp:x:0:", &[]).unwrap();
    assert_eq!(unnamed.groups, [0], "no user line, so docker's group 0, and no membership");
    let nul = resolve("a", b"a:x:1:1::/x\0y:", b"", &[]).unwrap();
    assert_eq!(nul.home, PathBuf::from("/"));
}
