//! Messages and attributes as bytes: `struct nlmsghdr` and `struct nlattr` of linux/netlink.h.
//!
//! All header sizes of the families used here are multiples of four, so attributes stay aligned.

/// Length of `struct nlmsghdr`.
pub(crate) const HEADER: usize = 16;

/// `NLM_F_REQUEST`.
pub(crate) const REQUEST: u16 = 0x01;
/// `NLM_F_ACK`.
pub(crate) const ACK: u16 = 0x04;
/// `NLM_F_DUMP`.
pub(crate) const DUMP: u16 = 0x300;
/// `NLM_F_EXCL`: with `CREATE`, refuse what exists.
pub(crate) const EXCL: u16 = 0x200;
/// `NLM_F_REPLACE`: in the place of what exists.
pub(crate) const REPLACE: u16 = 0x100;
/// `NLM_F_CREATE`.
pub(crate) const CREATE: u16 = 0x400;
/// `NLM_F_APPEND`: of a rule, at the chain's end.
pub(crate) const APPEND: u16 = 0x800;

/// `NLM_F_DUMP_INTR`.
const DUMP_INTR: u16 = 0x10;

/// `NLA_F_NESTED`.
const NESTED: u16 = 0x8000;
/// `NLA_TYPE_MASK`.
const TYPE_MASK: u16 = 0x3fff;

/// One request under construction.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    bytes: Vec<u8>,
}

impl Message {
    /// A request of `kind` whose family header is `header` (its length a multiple of four).
    pub(crate) fn new(kind: u16, flags: u16, header: &[u8]) -> Self {
        debug_assert!(header.len().is_multiple_of(4));
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(&0u32.to_ne_bytes());
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&(flags | REQUEST).to_ne_bytes());
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(header);
        Self { bytes }
    }

    /// An attribute of bytes.
    pub(crate) fn put(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let length = 4 + value.len();
        self.bytes.extend_from_slice(&(length as u16).to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    /// An attribute in the machine's byte order.
    pub(crate) fn put_u32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.put(kind, &value.to_ne_bytes())
    }

    /// An attribute in network byte order, as nftables has them.
    pub(crate) fn put_be32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.put(kind, &value.to_be_bytes())
    }

    /// A text with the NUL that the kernel expects.
    pub(crate) fn put_str(&mut self, kind: u16, value: &str) -> &mut Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.put(kind, &bytes)
    }

    /// Bytes that stand between attributes, such as the header of a peer link.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// An attribute of attributes.
    pub(crate) fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 2]);
        self.bytes.extend_from_slice(&(kind | NESTED).to_ne_bytes());
        fill(self);
        let length = (self.bytes.len() - start) as u16;
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self
    }

    /// The finished message with its sequence number.
    pub(crate) fn finish(mut self, sequence: u32, flags: u16) -> Vec<u8> {
        let length = self.bytes.len() as u32;
        self.bytes[0..4].copy_from_slice(&length.to_ne_bytes());
        let flags = u16::from_ne_bytes([self.bytes[6], self.bytes[7]]) | flags;
        self.bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.bytes
    }
}

/// A message that the kernel sent.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// `nlmsg_type`.
    pub(crate) kind: u16,
    /// `NLM_F_DUMP_INTR`: what is dumped changed under way.
    pub(crate) interrupted: bool,
    /// `nlmsg_seq`.
    pub(crate) sequence: u32,
    /// `nlmsg_pid`: the address of the socket whose request this follows.
    pub(crate) port: u32,
    /// What follows the header.
    pub(crate) body: Vec<u8>,
}

/// Splits one datagram into messages. What is malformed ends the list.
pub(crate) fn replies(mut bytes: &[u8]) -> Vec<Reply> {
    let mut out = Vec::new();
    while let [Some(length), Some(both), Some(sequence), Some(port)] = [0, 4, 8, 12].map(|at| u32_at(bytes, at)) {
        let length = length as usize;
        let Some(body) = bytes.get(HEADER..length) else { break };
        let [a, b, c, d] = both.to_ne_bytes();
        let (kind, flags) = (u16::from_ne_bytes([a, b]), u16::from_ne_bytes([c, d]));
        out.push(Reply { kind, interrupted: flags & DUMP_INTR != 0, sequence, port, body: body.to_vec() });
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    out
}

/// The attributes in `bytes`, as (type without flags, value).
pub(crate) fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(rest, 0)?);
        let kind = u16_at(rest, 2)? & TYPE_MASK;
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The value of the first attribute of this type.
pub(crate) fn attribute(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(found, _)| *found == kind).map(|(_, value)| value)
}

/// A text attribute without its NUL.
pub(crate) fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}

/// A number in the machine's byte order.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

/// As [`u32_at`], of two bytes.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_is_read_back() {
        let mut message = Message::new(16, CREATE, &[0; 16]);
        message.put_str(3, "eth0").nest(18, |m| {
            m.put_str(1, "veth").put_u32(2, 7);
        });
        let bytes = message.finish(5, ACK);
        assert_eq!(bytes.len() % 4, 0);
        let all = replies(&bytes);
        assert_eq!(all.len(), 1);
        assert_eq!((all[0].kind, all[0].sequence), (16, 5));
        let attrs = &all[0].body[16..];
        assert_eq!(text(attribute(attrs, 3).unwrap()), "eth0");
        let nested = attribute(attrs, 18).unwrap();
        assert_eq!(text(attribute(nested, 1).unwrap()), "veth");
        assert_eq!(u32_at(attribute(nested, 2).unwrap(), 0), Some(7));
    }

    #[test]
    fn a_cut_or_lying_message_ends_the_list() {
        let bytes = Message::new(16, 0, &[0; 16]).finish(1, 0);
        for cut in 0..bytes.len() {
            assert!(replies(&bytes[..cut]).is_empty(), "{cut}");
        }
        assert!(attributes(&[255, 255, 1, 0, 0]).next().is_none());
        assert!(attributes(&[0, 0, 1, 0]).next().is_none(), "a length below the header's");
    }
}
