//! The tree with the firewalls that the tests of networks run beside: ufw and firewalld of Debian's packages, unpacked and not
//! configured. Nothing is installed: firewalld's package would start it on this machine.
//!
//! Made once, beneath target/firewalls: the whole of it or nothing.

use std::fs;

use anyhow::{Context, Result};

use crate::sh;

const PACKAGES: &str =
    "base-files,dash,coreutils,grep,sed,mawk,procps,iproute2,iptables,nftables,ufw,firewalld,dbus-daemon,dbus-bin";
/// What packages would have made while they were configured; a bus that lets everybody talk, and no service that it would start.
const MEND: &str = r#"cd "$1" && rm -rf usr/share/doc usr/share/man usr/share/locale usr/share/dbus-1/system-services/* \
&& cp -n usr/share/ufw/iptables/*.rules usr/share/ufw/ufw.conf etc/ufw/ \
&& for tool in iptables ip6tables; do for part in "" -save -restore; do ln -sf xtables-nft-multi usr/sbin/$tool$part; done; done \
&& printf 'root:x:0:0:root:/root:/bin/sh\n' >etc/passwd && printf 'root:x:0:\n' >etc/group \
&& mkdir -p var/lib/dbus && cat >etc/dbus-1/plain.conf <<END
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=/run/dbus/system_bus_socket</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/> <allow own="*"/> <allow send_type="method_call"/> <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/> <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/> <allow receive_type="method_return"/> <allow receive_type="error"/>
    <allow receive_type="signal"/>
  </policy>
</busconfig>
END"#;

/// Makes `target/firewalls/root`.
pub fn fetch() -> Result<()> {
    let dir = sh::target().join("firewalls");
    let done = dir.join("root");
    if done.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(&dir)?;
    let part = dir.join("part");
    let _ = fs::remove_dir_all(&part);
    let mut command = sh::cmd("mmdebstrap", &["--variant=extract", "--quiet", "--format=directory"]);
    command.arg(format!("--include={PACKAGES}")).arg(r#"--aptopt=APT::Install-Recommends "false""#);
    command.arg(format!("--extract-hook={MEND}")).arg("bookworm").arg(&part);
    sh::run(&mut command).context("Debian's mirror did not bring ufw and firewalld")?;
    Ok(fs::rename(&part, &done)?)
}
