//! Every wish → the steps it makes, and the order that all plans keep.

mod fixture;
mod flags;
mod mounting;
mod order;
mod processes;
