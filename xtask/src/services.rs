//! The tree that the tests of a real stack run: nginx, redis and PostgreSQL of Debian's packages, unpacked and not configured.
//!
//! Made once, beneath target/services: the whole of it or nothing.

use std::fs;

use anyhow::{Context, Result};

use crate::sh;

const PACKAGES: &str = "base-files,busybox,coreutils,dash,nginx-light,redis-server,redis-tools,postgresql-15";
/// What no service here reads, and what packages would have made while they were configured.
const TRIM: &str = r#"cd "$1" && rm -rf usr/share/doc usr/share/man usr/share/locale usr/share/i18n usr/share/perl* usr/bin/perl* \
    usr/lib/*/perl* usr/lib/*/libperl* usr/lib/*/libLLVM* usr/lib/*/libz3* \
&& printf 'root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/:/bin/sh\nredis:x:99:99::/:/bin/sh\npostgres:x:100:100::/:/bin/sh\n' >etc/passwd \
&& printf 'root:x:0:\nwww-data:x:33:\nredis:x:99:\npostgres:x:100:\n' >etc/group \
&& ln -sf dash usr/bin/sh && mkdir -p tmp run/postgresql var/lib/nginx && chmod 1777 tmp run/postgresql"#;

/// Makes `target/services/services.tar`.
pub fn fetch() -> Result<()> {
    let dir = sh::target().join("services");
    let done = dir.join("services.tar");
    if done.is_file() {
        return Ok(());
    }
    fs::create_dir_all(&dir)?;
    let part = dir.join("part.tar");
    let mut command = sh::cmd("mmdebstrap", &["--variant=extract", "--quiet", "--format=tar"]);
    command.arg(format!("--include={PACKAGES}")).arg(r#"--aptopt=APT::Install-Recommends "false""#);
    command.arg(format!("--extract-hook={TRIM}")).arg("bookworm").arg(&part);
    sh::run(&mut command).context("Debian's mirror did not bring nginx, redis and PostgreSQL")?;
    Ok(fs::rename(&part, &done)?)
}
