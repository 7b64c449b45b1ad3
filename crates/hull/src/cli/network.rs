//! `hull network`: one file per verb.

pub(super) mod connect;
pub(super) mod create;
pub(super) mod disconnect;
pub(super) mod inspect;
pub(super) mod ls;
pub(super) mod prune;
pub(super) mod rm;
pub(super) mod trace;
