//! [`Batch`]: changes in order.

use super::set::{Element, Set};
use super::{
    DELCHAIN, DELELEMENT, DELRULE, DELTABLE, NEWCHAIN, NEWELEMENT, NEWRULE, NEWSET, NEWTABLE, SUBSYSTEM, Table, expr,
    header,
};
use crate::message::{APPEND, CREATE, Message};

/// `NFNL_MSG_BATCH_BEGIN` and `NFNL_MSG_BATCH_END`.
const BEGIN: u16 = 16;
const END: u16 = 17;

/// `NF_NETDEV_INGRESS`.
const INGRESS: u32 = 0;

/// `NFTA_RULE_POSITION`.
const RULE_POSITION: u16 = 6;
/// `NFTA_RULE_USERDATA` carries what nft(8) shows as a comment: type 0, length, text with NUL.
const RULE_USERDATA: u16 = 7;

/// Elements per message: an attribute holds at most 64 KiB.
const ELEMENTS: usize = 512;

/// Where a base chain stands in the way of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Before the route is chosen.
    Prerouting = 0,
    /// For this host.
    Input = 1,
    /// Through this host.
    Forward = 2,
    /// From this host.
    Output = 3,
    /// After the route is chosen.
    Postrouting = 4,
}

/// A chain.
#[derive(Clone, Copy, Debug)]
pub struct Chain<'a> {
    /// Its name.
    pub name: &'a str,
    /// Of a base chain: hook, priority (lower is sooner) and type (`filter`, `nat`, `route`). Its
    /// policy is always to accept: what is dropped is dropped by a rule that can be read.
    pub base: Option<(Hook, i32, &'a str)>,
}

/// A rule at the end of its chain.
#[derive(Clone, Copy, Debug)]
pub struct Rule<'a> {
    /// Its chain.
    pub chain: &'a str,
    /// What nft(8) shows beside it; at most 250 bytes.
    pub comment: &'a str,
    /// What it looks at and does, in order.
    pub exprs: &'a [expr::Expr],
}

/// Changes that the kernel takes whole or not at all.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    messages: Vec<Message>,
    what: Vec<String>,
}

impl Batch {
    /// No change yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Makes a table, unless it is there.
    pub fn add_table(&mut self, table: &Table) -> &mut Self {
        let mut message = Message::new(NEWTABLE, CREATE, &header(table.family as u8));
        message.put_str(1, &table.name).put_be32(2, 0);
        self.push(message, || format!("add table {table}"))
    }

    /// Deletes a table and all that is in it. One that is not there is ENOENT: [`Batch::add_table`]
    /// before makes it harmless.
    pub fn delete_table(&mut self, table: &Table) -> &mut Self {
        let mut message = Message::new(DELTABLE, 0, &header(table.family as u8));
        message.put_str(1, &table.name);
        self.push(message, || format!("delete table {table}"))
    }

    /// Makes a chain, unless it is there.
    pub fn add_chain(&mut self, table: &Table, chain: &Chain<'_>) -> &mut Self {
        let mut message = Message::new(NEWCHAIN, CREATE, &header(table.family as u8));
        message.put_str(1, &table.name).put_str(3, chain.name);
        if let Some((hook, priority, kind)) = chain.base {
            message.nest(4, |m| {
                m.put_be32(1, hook as u32).put_be32(2, priority as u32);
            });
            message.put_be32(5, expr::ACCEPT).put_str(7, kind);
        }
        self.push(message, || format!("add chain {} to table {table}", chain.name))
    }

    /// Makes a chain that sees the frames that come in by a link, before anybody else does, unless it is there; of a table of
    /// [`Family::Netdev`](super::Family). A link that is not there is ENOENT.
    pub fn add_ingress(&mut self, table: &Table, chain: &str, link: &str) -> &mut Self {
        let mut message = Message::new(NEWCHAIN, CREATE, &header(table.family as u8));
        message.put_str(1, &table.name).put_str(3, chain);
        message.nest(4, |m| {
            m.put_be32(1, INGRESS).put_be32(2, 0).put_str(3, link);
        });
        message.put_be32(5, expr::ACCEPT).put_str(7, "filter");
        self.push(message, || format!("add chain {chain} of link {link} to table {table}"))
    }

    /// Deletes a chain with its rules.
    pub fn delete_chain(&mut self, table: &Table, chain: &str) -> &mut Self {
        let mut message = Message::new(DELCHAIN, 0, &header(table.family as u8));
        message.put_str(1, &table.name).put_str(3, chain);
        self.push(message, || format!("delete chain {chain} of table {table}"))
    }

    /// Appends a rule.
    pub fn add_rule(&mut self, table: &Table, rule: &Rule<'_>) -> &mut Self {
        self.rule(table, rule, Message::new(NEWRULE, CREATE | APPEND, &header(table.family as u8)))
    }

    /// Puts a rule before another of its chain, which has the kernel's number `before`.
    pub fn insert_rule(&mut self, table: &Table, rule: &Rule<'_>, before: u64) -> &mut Self {
        let mut message = Message::new(NEWRULE, CREATE, &header(table.family as u8));
        message.put(RULE_POSITION, &before.to_be_bytes());
        self.rule(table, rule, message)
    }

    fn rule(&mut self, table: &Table, rule: &Rule<'_>, mut message: Message) -> &mut Self {
        message.put_str(1, &table.name).put_str(2, rule.chain);
        message.nest(4, |m| rule.exprs.iter().for_each(|expr| expr.put(m)));
        let mut comment = vec![0, rule.comment.len() as u8 + 1];
        comment.extend_from_slice(rule.comment.as_bytes());
        comment.push(0);
        message.put(RULE_USERDATA, &comment);
        self.push(message, || format!("add rule `{}` to chain {} of table {table}", rule.comment, rule.chain))
    }

    /// Deletes one rule, by the kernel's number.
    pub fn delete_rule(&mut self, table: &Table, chain: &str, handle: u64) -> &mut Self {
        let mut message = Message::new(DELRULE, 0, &header(table.family as u8));
        message.put_str(1, &table.name).put_str(2, chain).put(3, &handle.to_be_bytes());
        self.push(message, || format!("delete rule {handle} of chain {chain} of table {table}"))
    }

    /// Deletes all rules of a chain.
    pub fn flush_chain(&mut self, table: &Table, chain: &str) -> &mut Self {
        let mut message = Message::new(DELRULE, 0, &header(table.family as u8));
        message.put_str(1, &table.name).put_str(2, chain);
        self.push(message, || format!("flush chain {chain} of table {table}"))
    }

    /// Makes a set or map, unless it is there.
    pub fn add_set(&mut self, table: &Table, set: &Set<'_>) -> &mut Self {
        let mut message = Message::new(NEWSET, CREATE, &header(table.family as u8));
        message.put_str(1, &table.name);
        set.put(&mut message, self.messages.len() as u32);
        self.push(message, || format!("add set {} to table {table}", set.name))
    }

    /// Adds elements; one that is there already with other data is EEXIST.
    pub fn add_elements(&mut self, table: &Table, set: &str, elements: &[Element]) -> &mut Self {
        self.elements(NEWELEMENT, CREATE, table, set, elements)
    }

    /// Deletes elements by key; one that is not there is ENOENT.
    pub fn delete_elements(&mut self, table: &Table, set: &str, elements: &[Element]) -> &mut Self {
        self.elements(DELELEMENT, 0, table, set, elements)
    }

    fn elements(&mut self, kind: u16, flags: u16, table: &Table, set: &str, elements: &[Element]) -> &mut Self {
        let verb = if kind == NEWELEMENT { "add" } else { "delete" };
        for part in elements.chunks(ELEMENTS) {
            let mut message = Message::new(kind, flags, &header(table.family as u8));
            message.put_str(1, &table.name).put_str(2, set);
            message.nest(3, |m| part.iter().for_each(|element| element.put(m)));
            self.push(message, || format!("{verb} {} elements of {set} of table {table}", part.len()));
        }
        self
    }

    fn push(&mut self, message: Message, what: impl FnOnce() -> String) -> &mut Self {
        self.messages.push(message);
        self.what.push(what());
        self
    }

    /// The messages with the two that bracket them, and what each of the inner ones does.
    pub(super) fn finish(self) -> (Vec<Message>, Vec<String>) {
        // `struct nfgenmsg` with the subsystem as resource, in network order.
        let bracket = [0, 0, 0, (SUBSYSTEM >> 8) as u8];
        let mut messages = vec![Message::new(BEGIN, 0, &bracket)];
        messages.extend(self.messages);
        messages.push(Message::new(END, 0, &bracket));
        (messages, self.what)
    }
}
