//! `--device`, `--device-*-bps/iops`, `--blkio-weight-device`, `--ulimit`.

use hull_types::Fault;
use hull_wire::{DeviceMapping, ThrottleDevice, Ulimit, WeightDevice};

use super::{bytes, malformed};

/// `/dev/x`, `/dev/x:/dev/y`, `/dev/x:rwm` or `/dev/x:/dev/y:rwm`.
pub(crate) fn device(text: &str) -> Result<DeviceMapping, Fault> {
    let parts: Vec<&str> = text.split(':').collect();
    let (host, inside, mode) = match parts.as_slice() {
        [host] => (*host, *host, "rwm"),
        [host, mode] if permissions(mode) => (*host, *host, *mode),
        [host, inside] => (*host, *inside, "rwm"),
        [host, inside, mode] if permissions(mode) => (*host, *inside, *mode),
        [_, _, _] => return Err(malformed("device", text, "permissions are some of r, w and m")),
        _ => return Err(malformed("device", text, "it has too many colons")),
    };
    if !host.starts_with('/') {
        return Err(malformed("device", text, "it must be an absolute path"));
    }
    let inside = if inside.is_empty() { host } else { inside };
    Ok(DeviceMapping {
        path_on_host: host.to_owned(),
        path_in_container: inside.to_owned(),
        cgroup_permissions: mode.to_owned(),
    })
}

fn permissions(text: &str) -> bool {
    let once = |c| text.matches(c).count() <= 1;
    !text.is_empty() && text.chars().all(|c| "rwm".contains(c)) && "rwm".chars().all(once)
}

/// `a 1:3 rwm`: type, numbers, permissions.
pub(crate) fn cgroup_rule(text: &str) -> Result<String, Fault> {
    let number = |part: &str| part == "*" || (!part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    let parts: Vec<&str> = text.split(' ').collect();
    let fits = match parts.as_slice() {
        ["a" | "b" | "c", numbers, mode] => {
            let pair = numbers.split_once(':');
            pair.is_some_and(|(major, minor)| number(major) && number(minor)) && permissions(mode)
        }
        _ => false,
    };
    if fits {
        return Ok(text.to_owned());
    }
    Err(malformed("device-cgroup-rule", text, "write it as `c 1:3 rwm`"))
}

/// `/dev/sda:1mb` (bytes) or `/dev/sda:100` (operations).
pub(crate) fn throttle(flag: &str, text: &str, in_bytes: bool) -> Result<ThrottleDevice, Fault> {
    let (path, rate) = device_pair(flag, text)?;
    let rate = if in_bytes {
        u64::try_from(bytes(flag, rate)?).map_err(|_| malformed(flag, text, "the rate is negative"))?
    } else {
        rate.parse().map_err(|_| malformed(flag, text, "the rate must be a whole number"))?
    };
    Ok(ThrottleDevice { path: path.to_owned(), rate })
}

/// `/dev/sda:500`, 10 to 1000.
pub(crate) fn weight(text: &str) -> Result<WeightDevice, Fault> {
    let flag = "blkio-weight-device";
    let (path, weight) = device_pair(flag, text)?;
    match weight.parse() {
        Ok(weight @ (0 | 10..=1000)) => Ok(WeightDevice { path: path.to_owned(), weight }),
        _ => Err(malformed(flag, text, "the weight is a number from 10 to 1000, or 0")),
    }
}

fn device_pair<'a>(flag: &str, text: &'a str) -> Result<(&'a str, &'a str), Fault> {
    match text.split_once(':') {
        Some((path, value)) if path.starts_with("/dev/") && !value.is_empty() => Ok((path, value)),
        _ => Err(malformed(flag, text, "write it as /dev/NAME:VALUE")),
    }
}

/// `nofile=1024:2048`; -1 is unlimited.
pub(crate) fn ulimit(text: &str) -> Result<Ulimit, Fault> {
    const NAMES: [&str; 15] = [
        "core",
        "cpu",
        "data",
        "fsize",
        "locks",
        "memlock",
        "msgqueue",
        "nice",
        "nofile",
        "nproc",
        "rss",
        "rtprio",
        "rttime",
        "sigpending",
        "stack",
    ];
    let wrong = |why: &str| malformed("ulimit", text, why);
    let (name, limits) = text.split_once('=').ok_or_else(|| wrong("write it as name=soft[:hard]"))?;
    if !NAMES.contains(&name) {
        return Err(wrong("there is no such limit").hint(format!("limits are {}", NAMES.join(", "))));
    }
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let number = |part: &str| match part.parse::<i64>() {
        Ok(value) if value >= -1 => Ok(value),
        _ => Err(wrong("a limit is a number, or -1 for unlimited")),
    };
    let (soft, hard) = (number(soft)?, number(hard)?);
    if hard != -1 && (soft == -1 || soft > hard) {
        return Err(wrong("the soft limit is above the hard limit"));
    }
    Ok(Ulimit { name: name.to_owned(), hard, soft })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_a_path_and_permissions() {
        let table = [
            ("/dev/fuse", Some(("/dev/fuse", "/dev/fuse", "rwm"))),
            ("/dev/fuse:r", Some(("/dev/fuse", "/dev/fuse", "r"))),
            ("/dev/a:/dev/b", Some(("/dev/a", "/dev/b", "rwm"))),
            ("/dev/a:/dev/b:rw", Some(("/dev/a", "/dev/b", "rw"))),
            ("/dev/a:/dev/b:x", None),
            ("/dev/a:/dev/b:rr", None),
            ("fuse", None),
            ("vendor.com/gpu=all", None),
            ("/a:/b:r:w", None),
        ];
        for (text, want) in table {
            let got = device(text).ok();
            let got = got
                .as_ref()
                .map(|d| (d.path_on_host.as_str(), d.path_in_container.as_str(), d.cgroup_permissions.as_str()));
            assert_eq!(got, want, "{text}");
        }
    }

    #[test]
    fn rates_weights_rules_and_limits() {
        assert_eq!(throttle("device-read-bps", "/dev/sda:1mb", true).unwrap().rate, 1 << 20);
        assert_eq!(throttle("device-read-iops", "/dev/sda:100", false).unwrap().rate, 100);
        for wrong in ["/dev/sda", "sda:1", "/dev/sda:-1", "/dev/sda:x"] {
            assert!(throttle("device-read-bps", wrong, true).is_err(), "{wrong}");
        }
        assert_eq!(weight("/dev/sda:500").unwrap().weight, 500);
        assert!(weight("/dev/sda:5").is_err());
        assert!(cgroup_rule("c 1:* rwm").is_ok() && cgroup_rule("c 1 rwm").is_err() && cgroup_rule("x 1:3 r").is_err());
        let limit = ulimit("nofile=1024:2048").unwrap();
        assert_eq!((limit.soft, limit.hard), (1024, 2048));
        let limit = ulimit("core=-1").unwrap();
        assert_eq!((limit.soft, limit.hard), (-1, -1));
        for wrong in ["nofile", "frob=1", "nofile=2:1", "nofile=-2", "nofile=-1:5", "nofile="] {
            assert!(ulimit(wrong).is_err(), "{wrong}");
        }
    }
}
