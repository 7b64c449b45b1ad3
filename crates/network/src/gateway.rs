//! [`Gateways`]: how the containers of a bridge meet other machines. docker's words and meanings, asked of its engine 28.5.

use serde::{Deserialize, Serialize};

/// How containers are met in one family of addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum GatewayMode {
    /// Under this host's address, both ways; nobody else's route leads to them.
    #[default]
    Nat,
    /// The same, and every port of theirs is open to whom a route leads to them.
    NatUnprotected,
    /// Under their own addresses: who has a route reaches the ports that are published, and no others.
    Routed,
    /// Not at all, also by this host: its bridge has no address. For internal networks.
    Isolated,
}

impl GatewayMode {
    /// From docker's word.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "nat" => Self::Nat,
            "nat-unprotected" => Self::NatUnprotected,
            "routed" => Self::Routed,
            "isolated" => Self::Isolated,
            _ => return None,
        })
    }

    /// Whether addresses are translated.
    pub fn translates(self) -> bool {
        matches!(self, Self::Nat | Self::NatUnprotected)
    }
}

/// What a bridge network asks for besides the ordinary.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gateways {
    /// Of IPv4.
    pub v4: GatewayMode,
    /// Of IPv6.
    pub v6: GatewayMode,
    /// The bridge has no IPv4 address: somebody on it is the containers' router.
    pub inhibit_v4: bool,
    /// Links of this host: who comes in by them may go to published ports at the containers' own addresses.
    pub trusted: Vec<String>,
}

impl Gateways {
    /// Of this family.
    pub fn mode(&self, v4: bool) -> GatewayMode {
        if v4 { self.v4 } else { self.v6 }
    }
}
