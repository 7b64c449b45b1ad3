//! The expressions of a rule: what it loads, compares, looks up and does.

use crate::message::Message;

/// `NF_DROP` and `NF_ACCEPT`.
pub(super) const DROP: u32 = 0;
pub(super) const ACCEPT: u32 = 1;
const CONTINUE: u32 = -1i32 as u32;
const JUMP: u32 = -3i32 as u32;
const GOTO: u32 = -4i32 as u32;
const RETURN: u32 = -5i32 as u32;

/// `NFT_REG32_00`.
const FIRST: u32 = 8;

/// One of the sixteen registers of four bytes. A longer value takes the following ones as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Register(pub u8);

impl Register {
    fn number(self) -> u32 {
        FIRST + u32::from(self.0)
    }
}

/// The end of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The packet goes on to the next base chain.
    Accept,
    /// The packet is gone.
    Drop,
    /// On with the next rule.
    Continue,
    /// Into another chain and back.
    Jump(String),
    /// Into another chain.
    Goto(String),
    /// Back.
    Return,
}

impl Verdict {
    /// As `NFTA_DATA_VERDICT`.
    pub(super) fn put(&self, message: &mut Message) {
        let (code, chain) = match self {
            Self::Accept => (ACCEPT, None),
            Self::Drop => (DROP, None),
            Self::Continue => (CONTINUE, None),
            Self::Jump(chain) => (JUMP, Some(chain)),
            Self::Goto(chain) => (GOTO, Some(chain)),
            Self::Return => (RETURN, None),
        };
        message.nest(2, |m| {
            m.put_be32(1, code);
            if let Some(chain) = chain {
                m.put_str(2, chain);
            }
        });
    }
}

/// What can be loaded into a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// `meta nfproto`: 2 for IPv4, 10 for IPv6; one byte.
    Nfproto,
    /// `meta l4proto`; one byte.
    L4Proto,
    /// `meta iifname`; 16 bytes, padded with NUL.
    IifName,
    /// `meta oifname`; as above.
    OifName,
    /// `meta mark`; four bytes of the machine's order.
    Mark,
    /// `ip saddr`.
    Saddr4,
    /// `ip daddr`.
    Daddr4,
    /// `ip6 saddr`.
    Saddr6,
    /// `ip6 daddr`.
    Daddr6,
    /// `th dport`; two bytes in network order.
    Dport,
    /// `ct state`; four bytes, a bit each: see [`Expr::ct_state`].
    CtState,
    /// `ct status`; four bytes, a bit each.
    CtStatus,
    /// `fib daddr type`; four bytes, `RTN_LOCAL` is 2.
    FibDaddrType,
    /// `meta protocol`: the type of a frame's content; two bytes in network order.
    Protocol,
    /// `ether saddr`; six bytes, of two registers.
    EtherSaddr,
    /// `ether daddr`; as above.
    EtherDaddr,
    /// `meta pkttype`: for whom a frame is; one byte, 0 for this host.
    PacketType,
    /// `arp saddr ether`; as `ether saddr`.
    ArpSaddrEther,
    /// `arp saddr ip`.
    ArpSaddr4,
    /// `icmpv6 type`; one byte.
    Icmp6Type,
    /// `icmpv6 taddr`: whom a neighbour advertisement speaks of.
    Icmp6Target,
}

/// Which address a translation changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// `snat`.
    Source = 0,
    /// `dnat`.
    Destination = 1,
}

/// One expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expr {
    /// Loads a field into registers.
    Load(Field, Register),
    /// Changes a field to what is in registers.
    Set(Field, Register),
    /// Goes on only if the register is, or (`false`) is not, this.
    Cmp(Register, bool, Vec<u8>),
    /// `register & mask`, of as many bytes as the mask has.
    And(Register, Vec<u8>),
    /// Goes on only if the set has, or (`false`) has not, what is in the register.
    Lookup(Register, String, bool),
    /// Goes on only if the map has it; loads its data.
    Map(Register, String, Register),
    /// Does what the verdict map says of the register, or goes on.
    VerdictMap(Register, String),
    /// Loads a constant.
    Immediate(Register, Vec<u8>),
    /// Ends the rule.
    Verdict(Verdict),
    /// Translates: family (2 or 10), the register of the address, that of the port.
    Nat(Direction, u8, Register, Option<Register>),
    /// Translates the source to the address of the outgoing link.
    Masquerade,
    /// Counts packets and bytes.
    Counter,
    /// Hands a copy of the packet to whoever has bound this group (`log group`).
    Log(u16),
}

impl Expr {
    /// The two expressions of `ct state { … }`: bits of `new` 8, `established` 2, `related` 4, `invalid` 1.
    pub fn ct_state(bits: u32, register: Register) -> [Self; 3] {
        [
            Self::Load(Field::CtState, register),
            Self::And(register, bits.to_ne_bytes().to_vec()),
            Self::Cmp(register, false, vec![0; 4]),
        ]
    }

    /// `iifname`'s or `oifname`'s sixteen bytes.
    pub fn ifname(name: &str) -> Vec<u8> {
        let mut bytes = name.as_bytes().to_vec();
        bytes.resize(16, 0);
        bytes
    }

    /// As an element of `NFTA_RULE_EXPRESSIONS`.
    pub(super) fn put(&self, message: &mut Message) {
        let name = self.name();
        message.nest(1, |m| {
            m.put_str(1, name);
            m.nest(2, |m| self.put_data(m));
        });
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Load(field, _) | Self::Set(field, _) => field.source().0,
            Self::Cmp(..) => "cmp",
            Self::And(..) => "bitwise",
            Self::Lookup(..) | Self::Map(..) | Self::VerdictMap(..) => "lookup",
            Self::Immediate(..) | Self::Verdict(_) => "immediate",
            Self::Nat(..) => "nat",
            Self::Masquerade => "masq",
            Self::Counter => "counter",
            Self::Log(_) => "log",
        }
    }

    fn put_data(&self, m: &mut Message) {
        match self {
            Self::Load(field, register) => field.put(*register, m),
            Self::Set(field, register) => field.change(*register, m),
            Self::Cmp(register, equal, data) => {
                m.put_be32(1, register.number()).put_be32(2, u32::from(!equal));
                m.nest(3, |m| value(m, data));
            }
            Self::And(register, mask) => {
                m.put_be32(1, register.number()).put_be32(2, register.number()).put_be32(3, mask.len() as u32);
                m.nest(4, |m| value(m, mask));
                m.nest(5, |m| value(m, &vec![0; mask.len()]));
            }
            Self::Lookup(register, set, has) => {
                m.put_str(1, set).put_be32(2, register.number());
                if !has {
                    m.put_be32(5, 1);
                }
            }
            Self::Map(register, map, into) => {
                m.put_str(1, map).put_be32(2, register.number()).put_be32(3, into.number());
            }
            Self::VerdictMap(register, map) => {
                m.put_str(1, map).put_be32(2, register.number()).put_be32(3, 0);
            }
            Self::Immediate(register, data) => {
                m.put_be32(1, register.number());
                m.nest(2, |m| value(m, data));
            }
            Self::Verdict(verdict) => {
                m.put_be32(1, 0);
                m.nest(2, |m| verdict.put(m));
            }
            Self::Nat(direction, family, address, port) => {
                m.put_be32(1, *direction as u32).put_be32(2, u32::from(*family)).put_be32(3, address.number());
                if let Some(port) = port {
                    m.put_be32(5, port.number());
                }
            }
            Self::Log(group) => {
                m.put(1, &group.to_be_bytes()).put_be32(3, 0xffff);
            }
            Self::Masquerade | Self::Counter => {}
        }
    }
}

/// `NFTA_DATA_VALUE`.
pub(super) fn value(message: &mut Message, data: &[u8]) {
    message.put(1, data);
}

/// How a field is loaded: by which expression.
enum Source {
    /// `NFT_META_*`.
    Meta(u32),
    /// Base (0 link, 1 network, 2 transport), offset, length.
    Payload(u32, u32, u32),
    /// `NFT_CT_*`.
    Ct(u32),
    /// `NFT_FIB_RESULT_*` and `NFTA_FIB_F_*`.
    Fib(u32, u32),
}

impl Field {
    fn source(self) -> (&'static str, Source) {
        match self {
            Self::Nfproto => ("meta", Source::Meta(15)),
            Self::L4Proto => ("meta", Source::Meta(16)),
            Self::IifName => ("meta", Source::Meta(6)),
            Self::OifName => ("meta", Source::Meta(7)),
            Self::Mark => ("meta", Source::Meta(3)),
            Self::Saddr4 => ("payload", Source::Payload(1, 12, 4)),
            Self::Daddr4 => ("payload", Source::Payload(1, 16, 4)),
            Self::Saddr6 => ("payload", Source::Payload(1, 8, 16)),
            Self::Daddr6 => ("payload", Source::Payload(1, 24, 16)),
            Self::Dport => ("payload", Source::Payload(2, 2, 2)),
            Self::CtState => ("ct", Source::Ct(0)),
            Self::CtStatus => ("ct", Source::Ct(2)),
            Self::FibDaddrType => ("fib", Source::Fib(3, 2)),
            Self::Protocol => ("meta", Source::Meta(1)),
            Self::EtherSaddr => ("payload", Source::Payload(0, 6, 6)),
            Self::EtherDaddr => ("payload", Source::Payload(0, 0, 6)),
            Self::PacketType => ("meta", Source::Meta(19)),
            Self::ArpSaddrEther => ("payload", Source::Payload(1, 8, 6)),
            Self::ArpSaddr4 => ("payload", Source::Payload(1, 14, 4)),
            Self::Icmp6Type => ("payload", Source::Payload(2, 0, 1)),
            Self::Icmp6Target => ("payload", Source::Payload(2, 8, 16)),
        }
    }

    fn put(self, register: Register, m: &mut Message) {
        let register = register.number();
        match self.source().1 {
            Source::Meta(key) => m.put_be32(1, register).put_be32(2, key),
            Source::Payload(base, offset, length) => {
                m.put_be32(1, register).put_be32(2, base).put_be32(3, offset).put_be32(4, length)
            }
            Source::Ct(key) => m.put_be32(1, register).put_be32(2, key),
            Source::Fib(result, flags) => m.put_be32(1, register).put_be32(2, result).put_be32(3, flags),
        };
    }

    /// Of those that can be changed: the kernel refuses the others.
    fn change(self, register: Register, m: &mut Message) {
        let register = register.number();
        match self.source().1 {
            Source::Meta(key) => m.put_be32(2, key).put_be32(3, register),
            Source::Ct(key) => m.put_be32(2, key).put_be32(4, register),
            Source::Payload(base, offset, length) => {
                m.put_be32(2, base).put_be32(3, offset).put_be32(4, length).put_be32(5, register)
            }
            Source::Fib(..) => m,
        };
    }
}
