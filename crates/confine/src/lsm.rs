//! `--security-opt`, and which security modules the kernel runs.
//!
//! Owns docker's spellings and the syntax of labels. Must not read or write `/sys` or `/proc`: the
//! caller passes the text. An option that is not understood is an error, never ignored.

use serde::{Deserialize, Serialize};

use crate::Error;

/// The security modules that matter to a container, from the text of `/sys/kernel/security/lsm`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Active {
    /// SELinux is loaded.
    pub selinux: bool,
    /// AppArmor is loaded.
    pub apparmor: bool,
}

impl Active {
    /// From the comma-separated text of `/sys/kernel/security/lsm`; empty text where it is unreadable.
    pub fn parse(lsm: &str) -> Self {
        let has = |name: &str| lsm.trim().split(',').any(|module| module == name);
        Self { selinux: has("selinux"), apparmor: has("apparmor") }
    }

    /// AppArmor is loaded and on: also asks the text of `/sys/module/apparmor/parameters/enabled`.
    #[must_use]
    pub fn with_apparmor_parameter(mut self, enabled: &str) -> Self {
        self.apparmor &= enabled.trim_start().starts_with('Y');
        self
    }
}

/// The AppArmor profile in the text of `/proc/PID/attr/apparmor/current` (`name (mode)`).
/// `None` when unconfined.
pub fn apparmor_profile(current: &str) -> Option<&str> {
    let current = current.trim_end_matches(['\0', '\n']);
    let name = current.rsplit_once(" (").map_or(current, |(name, _)| name);
    (!name.is_empty() && name != "unconfined").then_some(name)
}

/// Which seccomp filter a container gets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Seccomp {
    /// hull's default profile (`builtin`, or nothing said).
    #[default]
    Builtin,
    /// No filter.
    Unconfined,
    /// A profile's JSON text, as the API carries it.
    Json(String),
    /// A file: the command line reads it and sends the text; the engine refuses it.
    File(String),
}

/// Which AppArmor profile a container gets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AppArmor {
    /// The default where one is loaded.
    #[default]
    Default,
    /// None.
    Unconfined,
    /// This one.
    Named(String),
}

/// The parts of a SELinux label that were asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// `label=disable`
    pub disable: bool,
    /// `label=user:`
    pub user: Option<String>,
    /// `label=role:`
    pub role: Option<String>,
    /// `label=type:`
    pub kind: Option<String>,
    /// `label=level:`
    pub level: Option<String>,
    /// `label=filetype:`
    pub filetype: Option<String>,
}

/// All `--security-opt` of one container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityOptions {
    /// `no-new-privileges`, as far as said.
    pub no_new_privileges: Option<bool>,
    /// `seccomp=`
    pub seccomp: Seccomp,
    /// `apparmor=`
    pub apparmor: AppArmor,
    /// `label=`
    pub label: Label,
    /// `systempaths=unconfined`: nothing is masked or read-only.
    pub system_paths_unconfined: bool,
    /// `writable-cgroups`, as far as said.
    pub writable_cgroups: Option<bool>,
}

impl SecurityOptions {
    /// Parses every option in order; a later one wins.
    pub fn parse<S: AsRef<str>>(options: &[S]) -> Result<Self, Error> {
        let mut parsed = Self::default();
        for option in options {
            parsed.apply(option.as_ref())?;
        }
        Ok(parsed)
    }

    fn apply(&mut self, option: &str) -> Result<(), Error> {
        match option {
            "no-new-privileges" => self.no_new_privileges = Some(true),
            "writable-cgroups" => self.writable_cgroups = Some(true),
            "disable" => self.label.disable = true,
            _ => {
                // COMPAT(docker 28): `:` separates too, when there is no `=`.
                let (key, value) = option
                    .split_once('=')
                    .or_else(|| option.split_once(':'))
                    .ok_or_else(|| Error::SecurityOptSyntax(shorten(option)))?;
                self.set(option, key, value)?;
            }
        }
        Ok(())
    }

    fn set(&mut self, option: &str, key: &str, value: &str) -> Result<(), Error> {
        let unknown = || Error::SecurityOpt(shorten(option));
        match key {
            "no-new-privileges" => {
                self.no_new_privileges = Some(boolean(value).ok_or_else(unknown)?);
            }
            "writable-cgroups" => {
                self.writable_cgroups = Some(boolean(value).ok_or_else(unknown)?);
            }
            "systempaths" if value == "unconfined" => self.system_paths_unconfined = true,
            "seccomp" => {
                self.seccomp = match value {
                    "" => return Err(unknown()),
                    "builtin" | "default" => Seccomp::Builtin,
                    "unconfined" => Seccomp::Unconfined,
                    text if text.trim_start().starts_with('{') => Seccomp::Json(text.to_owned()),
                    path => Seccomp::File(path.to_owned()),
                }
            }
            "apparmor" => {
                self.apparmor = match value {
                    "" => return Err(unknown()),
                    "unconfined" => AppArmor::Unconfined,
                    name if name.contains(char::is_control) => return Err(unknown()),
                    name => AppArmor::Named(name.to_owned()),
                }
            }
            "label" => self.label.apply(value)?,
            _ => return Err(unknown()),
        }
        Ok(())
    }
}

impl Label {
    fn apply(&mut self, text: &str) -> Result<(), Error> {
        if text == "disable" {
            self.disable = true;
            return Ok(());
        }
        let bad = || Error::LabelOpt(shorten(text));
        let (key, value) = text.split_once(':').ok_or_else(bad)?;
        if value.is_empty() || value.contains(char::is_control) {
            return Err(bad());
        }
        let field = match key {
            "user" => &mut self.user,
            "role" => &mut self.role,
            "type" => &mut self.kind,
            "level" => &mut self.level,
            "filetype" => &mut self.filetype,
            _ => return Err(bad()),
        };
        *field = Some(value.to_owned());
        Ok(())
    }

    /// The process label: `base` (`user:role:type:level`) with what was asked for put in its place.
    /// `None` when `base` is no label.
    pub fn process(&self, base: &str) -> Option<String> {
        let mut parts = base.trim_end_matches(['\0', '\n']).splitn(4, ':');
        let (user, role, kind) = (parts.next()?, parts.next()?, parts.next()?);
        let level = self.level.as_deref().or(parts.next());
        let pick = |own: &Option<String>, base: &str| own.clone().unwrap_or_else(|| base.to_owned());
        let label = [pick(&self.user, user), pick(&self.role, role), pick(&self.kind, kind)].join(":");
        Some(match level {
            Some(level) => format!("{label}:{level}"),
            None => label,
        })
    }
}

/// Go's strconv.ParseBool.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &[&str]) -> Result<SecurityOptions, Error> {
        SecurityOptions::parse(options)
    }

    #[test]
    fn every_form() {
        let none = SecurityOptions::default();
        let table = [
            ("no-new-privileges", SecurityOptions { no_new_privileges: Some(true), ..none.clone() }),
            ("no-new-privileges:true", SecurityOptions { no_new_privileges: Some(true), ..none.clone() }),
            ("no-new-privileges=false", SecurityOptions { no_new_privileges: Some(false), ..none.clone() }),
            ("seccomp=unconfined", SecurityOptions { seccomp: Seccomp::Unconfined, ..none.clone() }),
            ("seccomp:unconfined", SecurityOptions { seccomp: Seccomp::Unconfined, ..none.clone() }),
            ("seccomp=builtin", none.clone()),
            ("seccomp=/p/x.json", SecurityOptions { seccomp: Seccomp::File("/p/x.json".into()), ..none.clone() }),
            ("seccomp={\"a\":1}", SecurityOptions { seccomp: Seccomp::Json("{\"a\":1}".into()), ..none.clone() }),
            ("apparmor=unconfined", SecurityOptions { apparmor: AppArmor::Unconfined, ..none.clone() }),
            ("apparmor=mine", SecurityOptions { apparmor: AppArmor::Named("mine".into()), ..none.clone() }),
            ("label=disable", SecurityOptions { label: Label { disable: true, ..Label::default() }, ..none.clone() }),
            (
                "label:level:s0:c1,c2",
                SecurityOptions { label: Label { level: Some("s0:c1,c2".into()), ..Label::default() }, ..none.clone() },
            ),
            ("systempaths=unconfined", SecurityOptions { system_paths_unconfined: true, ..none.clone() }),
            ("writable-cgroups=true", SecurityOptions { writable_cgroups: Some(true), ..none.clone() }),
        ];
        for (option, expected) in table {
            assert_eq!(parse(&[option]), Ok(expected), "{option}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let table = [
            ("", "invalid --security-opt 1: \"\""),
            ("nonsense", "invalid --security-opt 1: \"nonsense\""),
            ("seccomp=", "invalid --security-opt 2: \"seccomp=\""),
            ("apparmor=", "invalid --security-opt 2: \"apparmor=\""),
            ("apparmor=a\nb", "invalid --security-opt 2: \"apparmor=a\\nb\""),
            ("no-new-privileges=yes", "invalid --security-opt 2: \"no-new-privileges=yes\""),
            ("systempaths=confined", "invalid --security-opt 2: \"systempaths=confined\""),
            ("Seccomp=unconfined", "invalid --security-opt 2: \"Seccomp=unconfined\""),
        ];
        for (option, message) in table {
            assert_eq!(parse(&[option]).unwrap_err().to_string(), message);
        }
        for label in ["label=", "label=x", "label=typo:x", "label=type:"] {
            assert!(matches!(parse(&[label]), Err(Error::LabelOpt(_))), "{label}");
        }
    }

    #[test]
    fn labels_replace_parts() {
        let options = parse(&["label=type:svirt_apache_t", "label=level:s0:c100,c200"]).unwrap();
        let base = "system_u:system_r:container_t:s0:c1,c2\0";
        assert_eq!(options.label.process(base).as_deref(), Some("system_u:system_r:svirt_apache_t:s0:c100,c200"));
        assert_eq!(Label::default().process("a:b:c").as_deref(), Some("a:b:c"));
        assert_eq!(Label::default().process("kernel"), None);
    }

    #[test]
    fn modules_are_detected() {
        let active = Active::parse("lockdown,capability,landlock,yama,apparmor,bpf\n");
        assert!(active.apparmor && !active.selinux);
        assert!(active.with_apparmor_parameter("Y\n").apparmor);
        assert!(!active.with_apparmor_parameter("N\n").apparmor);
        assert!(!active.with_apparmor_parameter("").apparmor);
        assert!(Active::parse("selinux").selinux);
        assert_eq!(Active::parse("notselinux,apparmor2"), Active::default());
        assert_eq!(apparmor_profile("docker-default (enforce)\n"), Some("docker-default"));
        assert_eq!(apparmor_profile("unconfined\n"), None);
        assert_eq!(apparmor_profile(""), None);
    }
}
