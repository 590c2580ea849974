//! What is known of content and how it is written down: records and their bytes, what a sequence of records comes to,
//! what to believe at the next start. Pure: no file, clock or thread, so that each rule is a table in a test.

#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

mod decide;
mod pending;
mod record;
mod replay;
mod set;
mod settings;
#[cfg(test)]
mod tests;

pub use decide::{Change, FileNow, Plan, decide, is_elsewhere};
pub use pending::{Batch, Pending, Synced};
pub use record::{Bad, HEADER_LENGTH, HeaderError, Origin, Reader, Record, Stamp, header};
pub use replay::{Fault, FileThen, Known, Replay};
pub use set::{IndexSet, Span, spans};
pub use settings::{Footing, Leaving, Moving, Settings, SettingsError, Stand};
