//! Room in the chains of others for what passes through this host, where they drop or reject what they do not know: hull's bridges
//! are let through by two rules each.
//!
//! In `FORWARD` of iptables-nft, where its policy drops, as docker's daemon and ufw set it: at the end, so that what a rule of the
//! host's owner drops stays dropped. In that of firewalld: at the beginning, since its zones reject within.
//!
//! What may reach the containers is decided by hull's own table all the same, since every table has a say.

use hull_netlink::Tolerate;
use hull_netlink::nft::{Batch, Expr, Family, Field, Nft, Register, Rule, SeenChain, SeenRule, Table, Verdict};
use rustix::io::Errno;

use super::{State, kernel};
use crate::definition::Definition;
use crate::error::Error;

/// `NF_INET_FORWARD`.
pub(super) const FORWARD: u32 = 2;

/// What a chain or table says that went meanwhile.
const GONE: &[Errno] = &[Errno::NOENT];

impl State {
    /// Lets the bridges that are up through where a policy drops, and takes back what is not needed any more. True if there
    /// was something to do. What others refuse is told in the log: containers of one bridge reach each other all the same.
    pub(super) fn make_room(&mut self, own: &Table) -> bool {
        self.try_room(own).unwrap_or_else(|error| {
            tracing::warn!(%error, "another firewall may drop what containers send and receive");
            false
        })
    }

    fn try_room(&mut self, own: &Table) -> Result<bool, Error> {
        let networks: Vec<Definition> = self.bridges().cloned().collect();
        let (_, nft) = self.sockets()?;
        let chains = nft.chains().map_err(kernel("read the ruleset"))?;
        let mut changed = false;
        for chain in chains.iter().filter(|chain| Place::of(chain).is_some()) {
            let wanted = wanted(own, chain, &networks);
            let (found, others) = found(nft, own, chain)?;
            if found.iter().map(|rule| &rule.comment).eq(wanted.iter().map(|(comment, _)| comment)) {
                continue;
            }
            let mut batch = Batch::new();
            for rule in &found {
                batch.delete_rule(&chain.table, &chain.name, rule.handle);
            }
            for (comment, exprs) in &wanted {
                let rule = Rule { chain: &chain.name, comment, exprs };
                match others.first().filter(|_| Place::of(chain) == Some(Place::Firewalld)) {
                    Some(first) => batch.insert_rule(&chain.table, &rule, first.handle),
                    None => batch.add_rule(&chain.table, &rule),
                };
            }
            let made = nft.commit(batch).tolerate(GONE);
            changed |= made.map_err(kernel(format!("change the chain {} of {}", chain.name, chain.table)))?.is_some();
        }
        Ok(changed)
    }
}

/// Whether a chain that drops lets this network through.
pub(super) fn is_made(nft: &mut Nft, own: &Table, chain: &SeenChain, network: &Definition) -> Result<bool, Error> {
    if Place::of(chain).is_none() {
        return Ok(false);
    }
    let (found, _) = found(nft, own, chain)?;
    let wanted = wanted(own, chain, std::slice::from_ref(network));
    Ok(wanted.iter().all(|(comment, _)| found.iter().any(|rule| rule.comment == *comment)))
}

/// Whose chain it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Iptables(Family),
    Firewalld,
}

impl Place {
    /// None where no room is made.
    fn of(chain: &SeenChain) -> Option<Self> {
        let SeenChain { table, name, hook: FORWARD, .. } = chain else { return None };
        match (table.family, &*table.name, &**name) {
            (Family::Ip | Family::Ip6, "filter", "FORWARD") => Some(Self::Iptables(table.family)),
            (Family::Inet, "firewalld", "filter_FORWARD") => Some(Self::Firewalld),
            _ => None,
        }
    }

    /// Whether a network needs it.
    fn is_for(self, chain: &SeenChain, network: &Definition) -> bool {
        match self {
            Self::Iptables(family) => chain.drops && network.subnet(family == Family::Ip).is_some(),
            Self::Firewalld => true,
        }
    }
}

/// The rules of this engine in a chain, and those of others.
fn found(nft: &mut Nft, own: &Table, chain: &SeenChain) -> Result<(Vec<SeenRule>, Vec<SeenRule>), Error> {
    let rules = nft.rules_of(&chain.table, &chain.name).tolerate(GONE).map_err(kernel("read the ruleset"))?;
    let prefix = format!("{}: ", own.name);
    Ok(rules.unwrap_or_default().into_iter().partition(|rule| rule.comment.starts_with(&prefix)))
}

/// Its rules as they should be: comment and expressions.
fn wanted(own: &Table, chain: &SeenChain, networks: &[Definition]) -> Vec<(String, Vec<Expr>)> {
    let here = networks.iter().filter(|network| Place::of(chain).is_some_and(|place| place.is_for(chain, network)));
    let rules = here.flat_map(|network| {
        [("from", Field::IifName), ("to", Field::OifName)].map(|(way, field)| {
            let exprs = vec![
                Expr::Load(field, Register(0)),
                Expr::Cmp(Register(0), true, Expr::ifname(&network.link)),
                Expr::Counter,
                Expr::Verdict(Verdict::Accept),
            ];
            (format!("{}: {way} {}", own.name, network.link), exprs)
        })
    });
    rules.collect()
}
