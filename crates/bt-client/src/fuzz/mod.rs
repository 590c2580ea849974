//! Bodies for the fuzz driver, one file each; ordinary tests replay its corpus through them.

mod assembly;
mod blame;
mod candidates;
mod choker;
#[cfg(feature = "cli")]
mod command_line;
mod decide;
mod engine;
mod journal;
mod picker;
mod pipeline;
mod places;
mod rates;
mod record;
mod relief;
mod settings;
mod spread;
mod vacancy;

pub use assembly::assembly;
pub use blame::blame;
pub use candidates::candidates;
pub use choker::choker;
#[cfg(feature = "cli")]
pub use command_line::{config, globs, interfaces, values};
pub use decide::decide;
pub use engine::engine;
pub use journal::journal;
pub use picker::picker;
pub use pipeline::pipeline;
pub use places::places;
pub use rates::rates;
pub use record::record;
pub use relief::relief;
pub use settings::settings;
pub use spread::spread;
pub use vacancy::vacancy;

/// Calls `body` with every file of a target's corpus, and wants at least `least` of them.
#[cfg(test)]
pub(crate) fn replay(target: &str, least: usize, body: fn(&[u8])) {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/corpus");
    let corpus = std::path::Path::new(corpus).join(target);
    let mut replayed = 0;
    for entry in std::fs::read_dir(&corpus).unwrap() {
        body(&std::fs::read(entry.unwrap().path()).unwrap());
        replayed += 1;
    }
    assert!(replayed >= least, "only {replayed} files in {corpus:?}");
}
