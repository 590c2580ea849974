//! What one input of a target may cost: memory at once, and time.
//!
//! It must not know how either is measured.

use std::time::Duration;

use crate::targets::{Kind, Target};

/// How much memory a target may hold at once.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Memory {
    /// Proportional to the input: parsers and codecs, with the copies that their checks make.
    Parser,
    /// The same for what is copied into trees of its own: a map has room for eleven entries at once, so that a
    /// dictionary of one, six bytes long, takes 650.
    Trees,
    /// The same for compact peers, six bytes each: a round trip holds them twice as they are used, and once written out as
    /// dictionaries of sixty bytes.
    Peers,
    /// A fixed budget: state machines, which allocate by design but never by what a peer claims.
    Machine,
}

/// A parser may hold this much whatever the input.
const PARSER_BASE: usize = 64 * 1024;
/// And this many bytes for each byte of input: a tree of what was read, and the copies that checks make of it.
const PARSER_FACTOR: usize = 32;
/// For trees of maps: two of them are held at once, to be compared.
const TREES_FACTOR: usize = 256;
/// For peers that are written out: what was measured is 36.
const PEERS_FACTOR: usize = 64;
/// The budget of a state machine.
const MACHINE_BUDGET: usize = 64 * 1024 * 1024;

/// An execution may take this long whatever the input: a thread that is not given the processor is no fault of it.
const TIME_BASE: Duration = Duration::from_millis(20);
/// And this long for each KiB of input.
const TIME_PER_KIB: Duration = Duration::from_millis(1);
/// What a machine may take: its operations are short, but many.
const MACHINE_TIME: Duration = Duration::from_millis(250);

impl Target {
    /// The longest that it may take for an input of this length.
    pub(crate) fn time_limit(&self, length: usize) -> Duration {
        match self.kind {
            Kind::Parser => {
                TIME_BASE + TIME_PER_KIB * u32::try_from(length.div_ceil(1024)).unwrap_or(u32::MAX)
            }
            Kind::Machine => MACHINE_TIME,
        }
    }

    /// The most bytes it may hold for an input of this length.
    pub(crate) const fn memory_limit(&self, length: usize) -> usize {
        match self.memory {
            Memory::Parser => PARSER_BASE + PARSER_FACTOR * length,
            Memory::Trees => PARSER_BASE + TREES_FACTOR * length,
            Memory::Peers => PARSER_BASE + PEERS_FACTOR * length,
            Memory::Machine => MACHINE_BUDGET,
        }
    }
}
