//! Messages of rtnetlink(7), as bytes: only the four that moving a link takes.

use std::os::fd::{AsRawFd, OwnedFd};

use rustix::io::Errno;

const RTM_NEWLINK: u16 = 16;
const RTM_SETLINK: u16 = 19;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

const REQUEST: u16 = 0x1;
const ACK: u16 = 0x4;
const DUMP: u16 = 0x300;
const CREATE_OR_REPLACE: u16 = 0x500;

const IFLA_IFNAME: u16 = 3;
const IFLA_NET_NS_FD: u16 = 28;
const IFF_UP: u32 = 1;

/// An address as the kernel lists it: family, prefix length, and its attributes but for the label, which holds the
/// link's former name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    family: u8,
    prefix: u8,
    attributes: Vec<(u16, Vec<u8>)>,
}

/// A request.
pub struct Message(Vec<u8>);

impl Message {
    fn new(kind: u16, flags: u16) -> Self {
        let mut bytes = vec![0; 16];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&(REQUEST | flags).to_ne_bytes());
        Self(bytes).sized()
    }

    /// `struct ifinfomsg`.
    fn link(kind: u16, index: u32, flags: u32) -> Self {
        let mut message = Self::new(kind, ACK);
        let mut body = [0u8; 16];
        body[4..8].copy_from_slice(&index.to_ne_bytes());
        body[8..12].copy_from_slice(&flags.to_ne_bytes());
        body[12..16].copy_from_slice(&flags.to_ne_bytes());
        message.0.extend(body);
        message.sized()
    }

    /// Into another namespace, under this name.
    pub fn move_link(index: u32, namespace: &OwnedFd, name: &str) -> Self {
        let mut text = name.as_bytes().to_vec();
        text.push(0);
        Self::link(RTM_SETLINK, index, 0)
            .attribute(IFLA_NET_NS_FD, &namespace.as_raw_fd().to_ne_bytes())
            .attribute(IFLA_IFNAME, &text)
    }

    /// Up.
    pub fn set_up(index: u32) -> Self {
        Self::link(RTM_NEWLINK, index, IFF_UP)
    }

    /// All addresses of all links.
    pub fn list_addresses() -> Self {
        let mut message = Self::new(RTM_GETADDR, DUMP);
        message.0.extend([0u8; 8]);
        message.sized()
    }

    /// An address for a link.
    pub fn add_address(index: u32, address: &Address) -> Self {
        let mut message = Self::new(RTM_NEWADDR, ACK | CREATE_OR_REPLACE);
        message.0.extend([address.family, address.prefix, 0, 0]);
        message.0.extend(index.to_ne_bytes());
        address.attributes.iter().fold(message.sized(), |message, (kind, value)| message.attribute(*kind, value))
    }

    fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        let length = (value.len() + 4) as u16;
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self.sized()
    }

    fn sized(mut self) -> Self {
        let length = self.0.len() as u32;
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self
    }

    /// As it is sent.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The messages in what was received: kind and body.
fn messages(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
        let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
        let body = bytes.get(16..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, body))
    })
}

/// What the kernel says to a request.
pub fn answer(bytes: &[u8]) -> rustix::io::Result<()> {
    for (kind, body) in messages(bytes) {
        if kind == NLMSG_ERROR {
            let code = body.get(..4).and_then(|code| code.try_into().ok()).map_or(0, i32::from_ne_bytes);
            return if code == 0 { Ok(()) } else { Err(errno(code)) };
        }
    }
    Ok(())
}

fn errno(code: i32) -> Errno {
    if (-4095..0).contains(&code) { Errno::from_raw_os_error(-code) } else { Errno::BADMSG }
}

/// Adds the addresses of a link in one part of a list; whether it was the last part.
pub fn addresses(bytes: &[u8], index: u32, found: &mut Vec<Address>) -> rustix::io::Result<bool> {
    for (kind, body) in messages(bytes) {
        match kind {
            NLMSG_DONE => return Ok(true),
            NLMSG_ERROR => return answer(bytes).map(|()| true),
            RTM_NEWADDR => found.extend(address(body, index)),
            _ => {}
        }
    }
    Ok(false)
}

/// `None`: of another link, or one that the kernel makes itself (link-local).
fn address(body: &[u8], index: u32) -> Option<Address> {
    let of = u32::from_ne_bytes(body.get(4..8)?.try_into().ok()?);
    let (family, prefix, scope) = (*body.first()?, *body.get(1)?, *body.get(3)?);
    if of != index || scope != 0 {
        return None;
    }
    let mut attributes = Vec::new();
    let mut rest = body.get(8..)?;
    while rest.len() >= 4 {
        let length = usize::from(u16::from_ne_bytes([rest[0], rest[1]]));
        let kind = u16::from_ne_bytes([rest[2], rest[3]]);
        let value = rest.get(4..length)?;
        // IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST.
        if matches!(kind, 1 | 2 | 4) {
            attributes.push((kind, value.to_vec()));
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(Address { family, prefix, attributes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listed_address_is_added_as_it_was() {
        let address =
            Address { family: 2, prefix: 24, attributes: vec![(1, vec![192, 0, 2, 7]), (2, vec![192, 0, 2, 7])] };
        let listed = Message::add_address(7, &address);
        let mut found = Vec::new();
        assert_eq!(addresses(listed.bytes(), 7, &mut found), Ok(false));
        assert_eq!(addresses(listed.bytes(), 8, &mut found), Ok(false));
        assert_eq!(found, [address]);
    }

    #[test]
    fn garbage_never_panics() {
        let listed = Message::set_up(3);
        for end in 0..listed.bytes().len() {
            _ = addresses(&listed.bytes()[..end], 3, &mut Vec::new());
            _ = answer(&vec![0xff; end]);
        }
    }
}
