//! Who the process is: a user specification resolved against the image's passwd and group files.
//!
//! Owns docker's rules (`moby/sys/user`). The files are hostile: the caller bounds their size and
//! passes bytes (nothing, where a file is missing). Invariants: an id that was not asked for is never
//! returned; above all, a line or number that cannot be read never becomes 0.
//!
//! Stricter than docker in four places, each a way to become root by accident: a passwd line with a
//! missing or malformed number is skipped (docker reads 0); digits are always an id, however many (docker takes
//! twenty of them for a name); so they are in `--group-add` (docker prefers a group of that name); a
//! specification of three parts is refused (docker ignores the third).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::Error;

/// The largest uid and gid that docker accepts.
const LARGEST: u32 = 0x7fff_ffff;

/// What a process runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Supplementary groups: the primary one first, as docker has it (CVE-2022-36109), then those of
    /// the user, then the added ones; none twice.
    pub groups: Vec<u32>,
    /// Home directory, absolute; `/` when the user has none.
    pub home: PathBuf,
}

/// A line of passwd(5) that can be relied on.
struct User<'a> {
    name: &'a [u8],
    uid: u32,
    gid: u32,
    home: &'a [u8],
}

/// A line of group(5) that can be relied on.
struct Group<'a> {
    name: &'a [u8],
    gid: u32,
    members: &'a [u8],
}

/// One side of `user:group`.
#[derive(Clone, Copy)]
enum Wish<'a> {
    Absent,
    Id(u32),
    Name(&'a str),
}

/// Resolves `""`, `user`, `uid`, `user:group`, `:group` and the like, plus `--group-add`.
///
/// A number is always an id, never a name. An empty user is root, the caller having put the image's
/// `USER` in its place. Groups of which the user is a member count only if no group was named.
pub fn resolve(spec: &str, passwd: &[u8], group: &[u8], group_add: &[String]) -> Result<Identity, Error> {
    let (user, explicit) = split(spec)?;
    let found = users(passwd).find(|line| match user {
        Wish::Absent => line.uid == 0,
        Wish::Id(uid) => line.uid == uid,
        Wish::Name(name) => line.name == name.as_bytes(),
    });
    let uid = match (&found, user) {
        (Some(line), _) => line.uid,
        (None, Wish::Absent) => 0,
        (None, Wish::Id(uid)) => uid,
        (None, Wish::Name(name)) => return Err(Error::UnknownUser(name.to_owned())),
    };
    let (gid, memberships) = match explicit {
        Wish::Absent => (
            found.as_ref().map_or(0, |line| line.gid),
            found.as_ref().map_or(Vec::new(), |line| member_of(group, line.name)),
        ),
        wish => (gid_of(group, wish)?, Vec::new()),
    };
    let mut all = vec![gid];
    let added = added_groups(group, group_add)?;
    for candidate in memberships.into_iter().chain(added) {
        if !all.contains(&candidate) {
            all.push(candidate);
        }
    }
    Ok(Identity { uid, gid, groups: all, home: home_of(found.as_ref()) })
}

fn split(spec: &str) -> Result<(Wish<'_>, Wish<'_>), Error> {
    let spec = spec.trim();
    let mut parts = spec.split(':');
    let (user, group) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    if parts.next().is_some() || spec.contains(char::is_control) || spec.len() > 512 {
        return Err(Error::UserSpec(spec.chars().take(64).collect()));
    }
    Ok((wish(user)?, wish(group)?))
}

/// A sign and digits, or digits alone, are a number as Go's strconv.Atoi reads it, of any length.
fn wish(text: &str) -> Result<Wish<'_>, Error> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if text.is_empty() {
        return Ok(Wish::Absent);
    }
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(Wish::Name(text));
    }
    match digits.parse::<u32>() {
        Ok(id) if id <= LARGEST && (id == 0 || !text.starts_with('-')) => Ok(Wish::Id(id)),
        _ => Err(Error::IdRange(text.to_owned())),
    }
}

fn gid_of(group: &[u8], wish: Wish<'_>) -> Result<u32, Error> {
    match wish {
        Wish::Absent => Ok(0),
        Wish::Id(gid) => Ok(gid),
        Wish::Name(name) => groups(group)
            .find(|line| line.name == name.as_bytes())
            .map(|line| line.gid)
            .ok_or_else(|| Error::UnknownGroup(name.to_owned())),
    }
}

fn added_groups(group: &[u8], names: &[String]) -> Result<Vec<u32>, Error> {
    names
        .iter()
        .map(|name| match wish(name)? {
            Wish::Absent => Err(Error::UnknownGroup(String::new())),
            wish => gid_of(group, wish),
        })
        .collect()
}

fn member_of(group: &[u8], user: &[u8]) -> Vec<u32> {
    groups(group)
        .filter(|line| line.members.split(|b| *b == b',').any(|name| name == user))
        .map(|line| line.gid)
        .collect()
}

fn home_of(user: Option<&User<'_>>) -> PathBuf {
    let home = user.map_or(&b""[..], |line| line.home);
    if home.starts_with(b"/") && !home.contains(&0) {
        PathBuf::from(OsStr::from_bytes(home))
    } else {
        PathBuf::from("/")
    }
}

fn users(passwd: &[u8]) -> impl Iterator<Item = User<'_>> {
    lines(passwd).filter_map(|line| {
        let mut fields = line.split(|b| *b == b':');
        let (name, _, uid, gid) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let (_, home) = (fields.next(), fields.next());
        Some(User { name: named(name)?, uid: id(uid)?, gid: id(gid)?, home: home.unwrap_or_default() })
    })
}

fn groups(group: &[u8]) -> impl Iterator<Item = Group<'_>> {
    lines(group).filter_map(|line| {
        let mut fields = line.split(|b| *b == b':');
        let (name, _, gid) = (fields.next()?, fields.next()?, fields.next()?);
        Some(Group { name: named(name)?, gid: id(gid)?, members: fields.next().unwrap_or_default() })
    })
}

fn lines(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    file.split(|b| *b == b'\n').map(<[u8]>::trim_ascii)
}

/// An empty name matches nobody: else every group would have an unnamed member.
fn named(name: &[u8]) -> Option<&[u8]> {
    (!name.is_empty()).then_some(name)
}

/// Digits within range; anything else makes the line worthless.
fn id(field: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(field).ok()?;
    let sound = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|id| sound && *id <= LARGEST)
}

#[cfg(test)]
mod tests;
