//! What is there, also of others: chains with their hooks, and what a map leads to.

use super::{GETCHAIN, GETELEMENT, GETRULE, NEWCHAIN, NEWRULE, Nft, Table, header, read_table_of, set};
use crate::error::Result;
use crate::message::{Message, attribute, text};

/// `NF_DROP`, as a policy.
const DROP: u32 = 0;

/// A base chain of any table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenChain {
    /// Its table.
    pub table: Table,
    /// Its name.
    pub name: String,
    /// `NF_INET_*`: 0 prerouting, 1 input, 2 forward, 3 output, 4 postrouting.
    pub hook: u32,
    /// The lower, the sooner.
    pub priority: i32,
    /// What none of its rules decides is dropped.
    pub drops: bool,
}

/// A key, and the data that it leads to where that is a value.
pub type SeenElement = (Vec<u8>, Option<Vec<u8>>);

/// A rule, as far as it tells of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenRule {
    /// The kernel's number, by which it is deleted.
    pub handle: u64,
    /// What nft(8) shows beside it, if anything.
    pub comment: String,
}

impl Nft {
    /// The rules of a chain, in their order.
    ///
    /// # Errors
    /// The kernel's refusal; a chain that is not there is ENOENT or has none.
    pub fn rules_of(&mut self, table: &Table, chain: &str) -> Result<Vec<SeenRule>> {
        let mut message = Message::new(GETRULE, 0, &header(table.family as u8));
        message.put_str(1, &table.name).put_str(2, chain);
        let replies = self.socket.dump(&message, || format!("rules of chain {chain} of table {table}"))?;
        let rule = |body: &[u8]| {
            let attributes = body.get(4..)?;
            let is = |kind, name: &str| attribute(attributes, kind).map(text).as_deref() == Some(name);
            // Of the user's data, type 0 is a comment: type, length, text.
            let comment = match attribute(attributes, 7) {
                Some([0, length, comment @ ..]) => text(comment.get(..usize::from(*length))?),
                _ => String::new(),
            };
            let handle = u64::from_be_bytes(attribute(attributes, 3)?.try_into().ok()?);
            Some(SeenRule { handle, comment }).filter(|_| is(1, &table.name) && is(2, chain))
        };
        Ok(replies.iter().filter(|reply| reply.kind == NEWRULE).filter_map(|reply| rule(&reply.body)).collect())
    }

    /// All base chains of the namespace.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn chains(&mut self) -> Result<Vec<SeenChain>> {
        let message = Message::new(GETCHAIN, 0, &header(0));
        let replies = self.socket.dump(&message, || "nftables chains".to_owned())?;
        let chain = |body: &[u8]| {
            let attributes = body.get(4..)?;
            let number = |bytes: Option<&[u8]>| bytes?.try_into().ok().map(u32::from_be_bytes);
            let hook = attribute(attributes, 4)?;
            Some(SeenChain {
                table: read_table_of(*body.first()?, attribute(attributes, 1)?)?,
                name: text(attribute(attributes, 3)?),
                hook: number(attribute(hook, 1))?,
                priority: number(attribute(hook, 2))? as i32,
                drops: number(attribute(attributes, 5)) == Some(DROP),
            })
        };
        Ok(replies.iter().filter(|reply| reply.kind == NEWCHAIN).filter_map(|reply| chain(&reply.body)).collect())
    }

    /// The elements of a set or map: keys, and data where they are values.
    ///
    /// # Errors
    /// The kernel's refusal; a set that is not there is ENOENT.
    pub fn elements(&mut self, table: &Table, set: &str) -> Result<Vec<SeenElement>> {
        let mut message = Message::new(GETELEMENT, 0, &header(table.family as u8));
        message.put_str(1, &table.name).put_str(2, set);
        let replies = self.socket.dump(&message, || format!("elements of {set} of table {table}"))?;
        Ok(replies.iter().flat_map(|reply| set::read_elements(reply.body.get(4..).unwrap_or_default())).collect())
    }
}
