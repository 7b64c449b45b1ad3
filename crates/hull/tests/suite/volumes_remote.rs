//! Volumes that are on another machine: the kernel's own NFS server, in the test's host.
//!
//! Not every kernel has one: the virtual machine's has, and there the test must find it.

use std::fs;
use std::path::Path;
use std::process::Command;

use hull_testkit::{Host, eventually, run};

/// NFS 4.2 over TCP, with the shortest wait for clients of an earlier life; its state is in a mount namespace of its own.
const SERVE: &str = r"mount -t tmpfs state /var/lib/nfs
    mkdir -p /var/lib/nfs/v4recovery; touch /var/lib/nfs/etab /var/lib/nfs/rmtab
    mount -t nfsd nfsd /proc/fs/nfsd
    exportfs -o rw,no_root_squash,insecure,no_subtree_check,fsid=0 '*:'$1
    rpc.mountd --no-nfs-version 3 >/dev/null 2>&1
    rpc.nfsd --no-udp --no-nfs-version 3 --nfs-version 4.2 --grace-time 10 --lease-time 10 2";
const END: &str = "rpc.nfsd 0; exportfs -au; umount /proc/fs/nfsd; kill $1";

/// The server's `rpc.mountd` is found by the namespace that it answers for.
fn mountd(host: &Host) -> String {
    let of = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/net")).ok();
    let own = of(&host.engine_pid().to_string());
    let all =
        fs::read_dir("/proc").expect("proc").flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let is =
        |pid: &String| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == "rpc.mountd");
    all.filter(is).find(|pid| of(pid) == own).expect("rpc.mountd runs")
}

fn create(host: &Host, name: &str, options: &str) {
    let device = "device=:/";
    host.hull(&["volume", "create", "-o", "type=nfs", "-o", &format!("o={options}"), "-o", device, name]).ok();
}

#[test]
fn a_volume_on_an_nfs_server_is_read_and_written() {
    let known = fs::read_to_string("/proc/filesystems").is_ok_and(|all| all.contains("nfs4") && all.contains("nfsd"));
    if !known && !Path::new("/load").exists() {
        eprintln!("this kernel has no NFS: its volumes are looked at in the virtual machine");
        return;
    }
    assert!(known, "the guest's kernel has NFS");
    let host = Host::new();
    let served = host.path().join("served");
    fs::create_dir(&served).expect("mkdir");
    run(host.inside("unshare").args(["--mount", "sh", "-ec", SERVE, "sh"]).arg(&served), b"").ok();
    let mountd = mountd(&host);

    // As docker's documentation writes it, and with the server's name; what an image has where it is mounted is copied to it once.
    create(&host, "far", "addr=127.0.0.1,rw,nfsvers=4.2");
    create(&host, "named", "addr=localhost,nfsvers=4.2,soft");
    host.sleeper(&["--name", "writer", "-v", "far:/etc"]);
    assert!(served.join("passwd").exists(), "the image's files are on the server");
    host.hull(&["exec", "writer", "sh", "-c", "echo far > /etc/file; chown 7:8 /etc/file"]).ok();
    assert_eq!(fs::read_to_string(served.join("file")).expect("it is on the server"), "far\n");
    let seen = host.sh(&["-v", "named:/x:ro"], "cat /x/file; stat -c %u:%g /x/file; grep ' /x ' /proc/mounts");
    assert!(seen.starts_with("far\n7:8\n:/ /x nfs4 ro,") && seen.contains("addr=127.0.0.1"), "{seen}");
    let table = fs::read_to_string(format!("/proc/{}/mountinfo", host.engine_pid())).expect("mountinfo");
    assert!(!table.contains(" nfs4 "), "the host sees it: {table}");
    host.hull(&["cp", "writer:/etc/file", "-"]).ok();

    // The engine's next life, and the volume's end: what is on the server stays.
    let engine = host.engine_pid();
    run(Command::new("kill").args(["-9", &engine.to_string()]), b"").ok();
    eventually("the next engine answers", || host.answers() && host.engine_pid() != engine);
    assert_eq!(host.hull(&["exec", "writer", "cat", "/etc/file"]).ok(), "far");
    host.hull(&["rm", "-f", "writer"]).ok();
    host.hull(&["volume", "rm", "far", "named"]).ok();
    assert!(served.join("file").exists());

    // A server that does not answer is told as soon as the kernel knows.
    run(Command::new("nsenter").args(["--mount", "--net", "-t", &mountd, "--", "sh", "-ec", END, "sh", &mountd]), b"")
        .ok();
    create(&host, "away", "addr=127.0.0.1,nfsvers=4.2,retrans=1,timeo=10,soft");
    let refused = host.hull(&["run", "--rm", "-v", "away:/x", "busybox", "true"]).fails(125);
    let told = refused.contains("error while mounting volume 'away'") && refused.contains("connection refused");
    assert!(told, "{refused}");
    host.hull(&["volume", "rm", "away"]).ok();
    host.assert_clean();
}
