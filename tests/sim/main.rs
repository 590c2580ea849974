//! Whole swarms of the real engine on a virtual network, disk and clock: one seed, one run.
//!
//! `SIM_SEED=N cargo test -p bt-client --test sim NAME` replays one run; `SIM_SEEDS=N` runs that many.

mod link;
mod node;
mod scenarios;
mod world;
