//! Options of tmpfs mounts: `--tmpfs /x:size=1m,noexec` and `--mount type=tmpfs`.

use hull_launch::spec::MountKind;
use hull_types::{ByteSize, Fault};
use hull_wire as wire;

use super::text::shown;

const RDONLY: u64 = 0x1;
const NOSUID: u64 = 0x2;
const NODEV: u64 = 0x4;
const NOEXEC: u64 = 0x8;
const NOATIME: u64 = 0x10;
const STRICTATIME: u64 = 0x20;
const NODIRATIME: u64 = 0x80;
const ATIME: u64 = 0x70;

struct Parsed {
    options: Vec<(String, Option<String>)>,
    attrs: u64,
    copy_up: bool,
}

/// From the comma-separated text; docker's defaults are noexec, nosuid, nodev.
pub(super) fn from_text(text: &str) -> Result<MountKind, Fault> {
    let mut parsed = Parsed { options: Vec::new(), attrs: NOEXEC | NOSUID | NODEV, copy_up: false };
    text.split(',').filter(|option| !option.is_empty()).try_for_each(|option| parsed.apply(option))?;
    Ok(parsed.done())
}

/// From the structured form.
pub(super) fn from_options(asked: &wire::TmpfsOptions) -> Result<MountKind, Fault> {
    let mut parsed = Parsed { options: Vec::new(), attrs: NOEXEC | NOSUID | NODEV, copy_up: false };
    if asked.size_bytes < 0 {
        return Err(Fault::invalid(format!("invalid tmpfs size: {}", asked.size_bytes)));
    }
    if asked.size_bytes > 0 {
        parsed.set("size", &asked.size_bytes.to_string());
    }
    if asked.mode > 0o7777 {
        return Err(Fault::invalid(format!("invalid tmpfs mode: {:o}", asked.mode)));
    }
    if asked.mode != 0 {
        parsed.set("mode", &format!("{:o}", asked.mode));
    }
    for option in &asked.options {
        match &option[..] {
            [flag] => parsed.apply(flag)?,
            [key, value] => parsed.apply(&format!("{key}={value}"))?,
            _ => return Err(Fault::invalid("a tmpfs option is a flag or a key with a value")),
        }
    }
    Ok(parsed.done())
}

impl Parsed {
    fn apply(&mut self, option: &str) -> Result<(), Fault> {
        let bad = || Fault::invalid(format!("invalid tmpfs option {}", shown(option)));
        if let Some((key, value)) = option.split_once('=') {
            let value = value_of(key, value).ok_or_else(bad)?;
            self.set(key, &value);
            return Ok(());
        }
        match option {
            "rw" | "defaults" | "async" | "relatime" | "diratime" | "nomand" | "norelatime" => {}
            "ro" => self.attrs |= RDONLY,
            "exec" => self.attrs &= !NOEXEC,
            "noexec" => self.attrs |= NOEXEC,
            "suid" => self.attrs &= !NOSUID,
            "nosuid" => self.attrs |= NOSUID,
            "dev" => self.attrs &= !NODEV,
            "nodev" => self.attrs |= NODEV,
            "atime" | "nostrictatime" => self.attrs &= !ATIME,
            "noatime" => self.attrs = self.attrs & !ATIME | NOATIME,
            "strictatime" => self.attrs = self.attrs & !ATIME | STRICTATIME,
            "nodiratime" => self.attrs |= NODIRATIME,
            "tmpcopyup" => self.copy_up = true,
            "notmpcopyup" => self.copy_up = false,
            _ => return Err(bad()),
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: &str) {
        self.options.retain(|(other, _)| other != key);
        self.options.push((key.to_owned(), Some(value.to_owned())));
    }

    fn done(self) -> MountKind {
        MountKind::Tmpfs { options: self.options, attrs: self.attrs, copy_up: self.copy_up }
    }
}

/// The value as the kernel takes it, if it is one.
fn value_of(key: &str, value: &str) -> Option<String> {
    let digits = |radix| u64::from_str_radix(value, radix).is_ok() && !value.starts_with('+');
    match key {
        "size" if value.ends_with('%') => {
            let percent: u64 = value.trim_end_matches('%').parse().ok()?;
            (percent > 0 && percent <= 100).then(|| value.to_owned())
        }
        "size" => value.parse::<ByteSize>().ok().map(|size| size.bytes().to_string()),
        "mode" => (digits(8) && u32::from_str_radix(value, 8).ok()? <= 0o7777).then(|| value.to_owned()),
        "uid" | "gid" => value.parse::<u32>().ok().map(|id| id.to_string()),
        "nr_inodes" | "nr_blocks" => value.parse::<ByteSize>().ok().map(|count| count.bytes().to_string()),
        "huge" => matches!(value, "never" | "always" | "within_size" | "advise").then(|| value.to_owned()),
        "mpol" => {
            value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":,-=".contains(&byte)).then(|| value.to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(Vec<String>, u64, bool), Fault> {
        from_text(text).map(|kind| match kind {
            MountKind::Tmpfs { options, attrs, copy_up } => {
                let options = options.into_iter().map(|(k, v)| format!("{k}={}", v.unwrap_or_default())).collect();
                (options, attrs, copy_up)
            }
            _ => panic!("not a tmpfs"),
        })
    }

    #[test]
    fn options_as_dockers() {
        let default = NOEXEC | NOSUID | NODEV;
        let rows: &[(&str, &[&str], u64)] = &[
            ("", &[], default),
            ("rw,size=64k,mode=1777", &["size=65536", "mode=1777"], default),
            ("exec,suid,dev", &[], 0),
            ("ro,noatime", &[], default | RDONLY | NOATIME),
            ("size=50%,uid=5,gid=6,nr_inodes=10", &["size=50%", "uid=5", "gid=6", "nr_inodes=10"], default),
            ("size=1m,size=2m", &["size=2097152"], default),
        ];
        for (text, options, attrs) in rows {
            let (got, bits, _) = parse(text).unwrap();
            assert_eq!(
                (&got[..], bits),
                (&options.iter().map(|o| (*o).to_owned()).collect::<Vec<_>>()[..], *attrs),
                "{text}"
            );
        }
        assert!(parse("tmpcopyup").unwrap().2);
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "bogus",
            "size=x",
            "size=-1",
            "size=0%",
            "mode=99999",
            "mode=rwx",
            "uid=-1",
            "context=x",
            "huge=maybe",
            "a=b",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        let options = wire::TmpfsOptions { size_bytes: -1, ..Default::default() };
        assert!(from_options(&options).is_err());
        let options = wire::TmpfsOptions { size_bytes: 5, mode: 0o700, options: vec![vec!["exec".into()]] };
        assert!(matches!(from_options(&options), Ok(MountKind::Tmpfs { attrs, .. }) if attrs == NOSUID | NODEV));
    }
}
