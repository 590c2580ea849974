//! What we give: whom to unchoke, and how an initial seeder spreads its pieces.

mod choker;
mod spread;

pub(crate) use choker::{ChokeCandidate, Choker, NO_RATE};
pub(crate) use spread::{Listener, Spread};
