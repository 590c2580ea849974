//! Another parser of bencode beside ours, `bencode-rs`: both take and refuse the same bytes, and read the same value.
//!
//! It is linked here and into tests of bt-bencode only, never into what is released. Where it is wrong is listed below;
//! all else that they see differently is a find.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::OnceLock;

use bencode_rs::Value as Theirs;
use bt_bencode::{ErrorKind, OwnedValue, parse};
use rustix::fd::OwnedFd;

/// Numbers with more digits wrap round in it, or panic where overflow is checked: it is not asked about them.
const MAX_DIGITS: usize = 18;

/// Input with more bytes that may begin a list or a dictionary is not shown to it: it goes down by recursion.
const MAX_OPENINGS: usize = 1_000;

/// Any bytes. What the other parser sees differently, and is allowed to:
///
/// - it takes several values, or none, where we want one;
/// - any value may be a key of a dictionary, and keys may stand in any order and several times;
/// - `-0` is a number;
/// - values may be nested as deep as its stack allows, and no number is too large, so that it is not asked about either.
///
/// # Panics
/// If anything else differs.
pub(crate) fn oracle(data: &[u8]) {
    compare(data, |data| quietly(|| bencode_rs::parse_all(data).ok()));
}

fn compare(data: &[u8], theirs: impl FnOnce(&[u8]) -> Option<Vec<Theirs>>) {
    let mut numbers = data.chunk_by(|a, b| a.is_ascii_digit() && b.is_ascii_digit());
    if numbers.any(|number| number.len() > MAX_DIGITS && number[0].is_ascii_digit()) {
        return;
    }
    // It goes down by itself, and we may have refused the input for something else before that.
    let openings = data.iter().filter(|byte| matches!(byte, b'l' | b'd'));
    if openings.count() > MAX_OPENINGS {
        return;
    }
    match parse(data) {
        Ok(value) => {
            let theirs = theirs(data).expect("what we take is bencode");
            let [theirs] = theirs.as_slice() else {
                panic!("{} values where we see one", theirs.len());
            };
            assert_eq!(ours(theirs).as_ref(), Some(&value.to_owned()));
        }
        Err(error) if matches!(error.kind(), ErrorKind::TooDeep { .. }) => {}
        Err(error) => {
            let Some(theirs) = theirs(data) else {
                return;
            };
            let [theirs] = theirs.as_slice() else {
                return;
            };
            if let Some(value) = ours(theirs) {
                let is_other = value.encode() != data;
                let has_minus_zero = data.windows(3).any(|three| three == b"i-0");
                assert!(is_other && has_minus_zero, "we refuse this: {error}");
            }
        }
    }
}

/// The same value, if its keys are as they have to be.
fn ours(theirs: &Theirs) -> Option<OwnedValue> {
    Some(match theirs {
        Theirs::Integer(number) => OwnedValue::Int(*number),
        Theirs::ByteString(bytes) => OwnedValue::Bytes(bytes.clone()),
        Theirs::List(items) => OwnedValue::List(items.iter().map(ours).collect::<Option<_>>()?),
        Theirs::Dictionary(entries) => {
            let mut tree = BTreeMap::new();
            for (key, value) in entries {
                let Theirs::ByteString(key) = key else {
                    return None;
                };
                if tree.last_key_value().is_some_and(|(last, _)| last >= key) {
                    return None;
                }
                tree.insert(key.clone(), ours(value)?);
            }
            OwnedValue::Dict(tree)
        }
    })
}

/// Its standard output and one that leads nowhere.
static OUTPUTS: OnceLock<Option<(OwnedFd, File)>> = OnceLock::new();

/// It prints whatever it refuses, which is most of what a fuzzer tries.
fn quietly<T>(ask: impl FnOnce() -> T) -> T {
    let outputs = OUTPUTS.get_or_init(|| {
        let nowhere = File::options().write(true).open("/dev/null").ok()?;
        let output = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3).ok()?;
        Some((output, nowhere))
    });
    let Some((output, nowhere)) = outputs else {
        return ask();
    };
    // Should either fail, somebody reads more than there is to see.
    let _ = rustix::stdio::dup2_stdout(nowhere);
    let answer = ask();
    let _ = rustix::stdio::dup2_stdout(output);
    answer
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::compare;

    fn check(data: &[u8]) {
        // The harness keeps what is printed.
        compare(data, |data| bencode_rs::parse_all(data).ok());
    }

    #[test]
    fn the_corpus_holds() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus");
        for target in ["bencode_oracle", "bencode_decode"] {
            let files = std::fs::read_dir(root.join(target)).unwrap();
            let files = files.map(|file| check(&std::fs::read(file.unwrap().path()).unwrap()));
            assert!(files.count() >= 5, "{target} has few seeds");
        }
    }

    #[test]
    fn what_it_takes_and_we_do_not_is_what_is_listed() {
        for allowed in [
            "",
            "i1ei2e",
            "di1ei2ee",
            "d1:bi1e1:ai1ee",
            "d1:ai1e1:ai1ee",
            "i-0e",
        ] {
            assert!(
                bencode_rs::parse_all(allowed.as_bytes()).is_ok(),
                "{allowed}"
            );
            assert!(bt_bencode::parse(allowed.as_bytes()).is_err(), "{allowed}");
            check(allowed.as_bytes());
        }
    }

    #[test]
    #[should_panic(expected = "where we see one")]
    fn another_verdict_is_a_find() {
        compare(b"4:spam", |_| Some(Vec::new()));
    }

    #[test]
    #[should_panic(expected = "we refuse this")]
    fn what_it_takes_alone_is_a_find() {
        compare(b"i01e", |_| bencode_rs::parse_all(b"i1e").ok());
    }
}
