//! Which blocks to ask of a peer now: what is under way, how rare each piece is, and the choice between them.

mod availability;
mod picker;
mod pieces;
mod pipeline;

pub(crate) use availability::Availability;
pub(crate) use picker::{Ask, next_blocks};
pub(crate) use pieces::{Pieces, Received};
pub(crate) use pipeline::Pipeline;
