//! Bencode by hand: values written in the order given, so that wrong ones can be written too.

/// Bytes of a string with its length.
pub(super) fn string(text: impl AsRef<[u8]>) -> Vec<u8> {
    let text = text.as_ref();
    [format!("{}:", text.len()).as_bytes(), text].concat()
}

/// Bytes of an integer.
pub(super) fn int(number: i128) -> Vec<u8> {
    format!("i{number}e").into_bytes()
}

/// Bytes of a list of encoded values.
pub(super) fn list(values: &[Vec<u8>]) -> Vec<u8> {
    [b"l".to_vec(), values.concat(), b"e".to_vec()].concat()
}

/// A dictionary under construction: keys are sorted when it is written.
#[derive(Debug, Clone, Default)]
pub(super) struct Dict(Vec<(Vec<u8>, Vec<u8>)>);

impl Dict {
    /// Sets a key to an encoded value.
    #[must_use]
    pub(super) fn set(mut self, key: &str, value: Vec<u8>) -> Self {
        self = self.without(key);
        self.0.push((key.into(), value));
        self
    }

    /// Removes a key.
    #[must_use]
    pub(super) fn without(mut self, key: &str) -> Self {
        self.0.retain(|(known, _)| known != key.as_bytes());
        self
    }

    /// The encoded dictionary.
    pub(super) fn bytes(mut self) -> Vec<u8> {
        self.0.sort();
        let entries = self
            .0
            .iter()
            .map(|(key, value)| [string(key), value.clone()].concat());
        [
            b"d".to_vec(),
            entries.collect::<Vec<_>>().concat(),
            b"e".to_vec(),
        ]
        .concat()
    }
}

/// One value of each kind that a key should not have, with the name of its kind.
pub(super) fn kinds() -> [(&'static str, &'static str, Vec<u8>); 4] {
    [
        ("int", "an integer", int(5)),
        ("string", "a string", string("x")),
        ("list", "a list", list(&[])),
        ("dict", "a dictionary", Dict::default().bytes()),
    ]
}

/// Numbers from a fixed seed (xorshift64*).
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    /// The same numbers for the same seed; 0 is no seed.
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.max(1))
    }

    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(high).unwrap_or(0) % bound.max(1)
    }

    /// Bytes of noise.
    pub(super) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count)
            .map(|_| u8::try_from(self.below(256)).unwrap_or(0))
            .collect()
    }
}
