//! Bodies for the fuzz driver, one file each; ordinary tests replay its corpus through them.

mod engine;
mod journal;
mod settings;

pub use engine::engine;
pub use journal::journal;
pub use settings::settings;

/// Calls `body` with every file of a target's corpus, and wants at least `least` of them.
#[cfg(test)]
fn replay(target: &str, least: usize, body: fn(&[u8])) {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/corpus");
    let corpus = std::path::Path::new(corpus).join(target);
    let mut replayed = 0;
    for entry in std::fs::read_dir(&corpus).unwrap() {
        body(&std::fs::read(entry.unwrap().path()).unwrap());
        replayed += 1;
    }
    assert!(replayed >= least, "only {replayed} files in {corpus:?}");
}
