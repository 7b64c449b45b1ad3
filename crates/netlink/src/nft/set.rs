//! Sets and maps, and their elements.

use super::expr::{Verdict, value};
use crate::message::{Message, attribute, attributes};

/// `NFT_SET_MAP`.
const MAP: u32 = 8;
/// `NFT_SET_CONCAT`.
const CONCAT: u32 = 0x80;
/// `NFT_DATA_VERDICT`.
const VERDICT: u32 = 0xffff_ff00;

/// `NFTA_SET_USERDATA`, and in it what nft(8) needs to show a name: the key's byte order (type 0, length
/// 4) is the machine's (1).
const SET_USERDATA: u16 = 13;
const HOST_ORDER: [u8; 6] = {
    let [a, b, c, d] = 1u32.to_ne_bytes();
    [0, 4, a, b, c, d]
};

/// The types of keys and data, as nft(8) numbers and shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// `ipv4_addr`.
    Ipv4 = 7,
    /// `ipv6_addr`.
    Ipv6 = 8,
    /// `ether_addr`.
    EtherAddr = 9,
    /// `inet_proto`.
    Proto = 12,
    /// `inet_service`.
    Service = 13,
    /// `ifname`.
    IfName = 41,
}

impl Type {
    /// Bytes of a value, padded to registers.
    fn padded(self) -> u32 {
        match self {
            Self::Ipv4 | Self::Proto | Self::Service => 4,
            Self::EtherAddr => 8,
            Self::Ipv6 | Self::IfName => 16,
        }
    }
}

/// What an element's key leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// Values, each padded to four bytes.
    Value(Vec<u8>),
    /// A verdict.
    Verdict(Verdict),
}

/// A set, or a map if it has data.
#[derive(Clone, Copy, Debug)]
pub struct Set<'a> {
    /// Its name.
    pub name: &'a str,
    /// The fields of its key.
    pub key: &'a [Type],
    /// Of a map: the fields of the data. Of a verdict map: empty.
    pub data: Option<&'a [Type]>,
}

impl Set<'_> {
    pub(super) fn put(&self, message: &mut Message, id: u32) {
        let mut flags = 0;
        if self.key.len() > 1 {
            flags |= CONCAT;
        }
        if self.data.is_some() {
            flags |= MAP;
        }
        message.put_str(2, self.name).put_be32(3, flags);
        message.put_be32(4, concatenated(self.key)).put_be32(5, length(self.key));
        match self.data {
            Some([]) => {
                message.put_be32(6, VERDICT).put_be32(7, 16);
            }
            Some(data) => {
                message.put_be32(6, concatenated(data)).put_be32(7, length(data));
            }
            None => {}
        }
        if self.key.len() > 1 {
            message.nest(9, |m| {
                m.nest(2, |m| {
                    for field in self.key {
                        m.nest(1, |m| {
                            m.put_be32(1, field.padded());
                        });
                    }
                });
            });
        }
        if self.key == [Type::IfName] {
            message.put(SET_USERDATA, &HOST_ORDER);
        }
        message.put_be32(10, id);
    }
}

/// nft(8) numbers a concatenation by six bits a field.
fn concatenated(types: &[Type]) -> u32 {
    types.iter().fold(0, |all, one| all << 6 | *one as u32)
}

fn length(types: &[Type]) -> u32 {
    types.iter().map(|one| one.padded()).sum()
}

/// A key, and what it leads to in a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// The fields of the key, each padded to four bytes.
    pub key: Vec<u8>,
    /// Of a map's element.
    pub data: Option<Data>,
}

impl Element {
    pub(super) fn put(&self, message: &mut Message) {
        message.nest(1, |m| {
            m.nest(1, |m| value(m, &self.key));
            match &self.data {
                Some(Data::Value(data)) => {
                    m.nest(2, |m| value(m, data));
                }
                Some(Data::Verdict(verdict)) => {
                    m.nest(2, |m| verdict.put(m));
                }
                None => {}
            }
        });
    }
}

/// The elements in one answer to a dump: keys, and data where they are values.
pub(super) fn read_elements(body: &[u8]) -> Vec<super::SeenElement> {
    let list = attribute(body, 3).unwrap_or_default();
    let value = |element, kind| attribute(attribute(element, kind)?, 1).map(<[u8]>::to_vec);
    attributes(list).filter_map(|(_, element)| Some((value(element, 1)?, value(element, 2)))).collect()
}
