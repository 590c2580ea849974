//! Bodies for a fuzzing driver (feature `fuzz`): each panics if a property does not hold.

use crate::{
    DictEncoder, Encoder, Error, Kind, ListEncoder, Options, Reader, Value, parse, parse_prefix,
};

/// Input above this length is not copied to the heap: a tree may take a hundred times as much.
const MAX_TREE_INPUT: usize = 1024;

/// Nesting of what [`encode`] writes.
const MAX_WRITTEN_DEPTH: usize = 20;

/// Any bytes: the reader, the strict and the lenient parse agree, every view is a value by
/// itself, and what is decoded encodes to the same bytes.
pub fn decode(data: &[u8]) {
    let strict = parse(data);
    assert_eq!(
        read(Reader::new(data)),
        strict.clone().map(|value| value.raw().len())
    );
    let prefix = parse_prefix(data);
    assert_eq!(
        read(Reader::prefix(data)),
        prefix.clone().map(|(_, taken)| taken)
    );

    match (&strict, Options::lenient().parse(data)) {
        (Ok(value), Ok(parsed)) => {
            assert!(parsed.irregularities.is_empty());
            assert_eq!(*value, parsed.value);
        }
        (Err(error), Ok(parsed)) => {
            let found = parsed.irregularities;
            let firsts = [
                found.unsorted_keys,
                found.duplicate_keys,
                found.trailing_bytes,
            ];
            let first = firsts.iter().filter_map(|tally| tally.first).min();
            assert_eq!(first, Some(error.offset()));
            visit(data, parsed.value);
        }
        (Err(error), Err(_)) => assert!(error.offset() <= data.len()),
        (Ok(_), Err(error)) => panic!("strict accepts what lenient refuses: {error}"),
    }

    if let Ok((value, taken)) = prefix {
        assert_eq!(data.get(..taken), Some(value.raw()));
        visit(data, value);
        if taken <= MAX_TREE_INPUT {
            assert_eq!(value.to_owned().encode(), value.raw());
        }
    }
}

/// Reads up to the end or the error.
fn read(mut reader: Reader<'_>) -> Result<usize, Error> {
    while reader.next()?.is_some() {}
    Ok(reader.position())
}

/// Looks at each value below this one in every way there is.
fn visit(data: &[u8], value: Value<'_>) {
    let end = value.offset() + value.raw().len();
    assert_eq!(data.get(value.offset()..end), Some(value.raw()));
    let kind = value.kind();
    assert_eq!(value.as_int().is_some(), kind == Kind::Int);
    assert_eq!(value.as_bytes().is_some(), kind == Kind::Bytes);
    assert_eq!(value.as_list().is_some(), kind == Kind::List);
    assert_eq!(value.as_dict().is_some(), kind == Kind::Dict);
    if let Some(list) = value.as_list() {
        assert_eq!(list.is_empty(), list.iter().next().is_none());
        list.iter().for_each(|item| visit(data, item));
    }
    if let Some(dict) = value.as_dict() {
        assert_eq!(dict.is_empty(), dict.iter().next().is_none());
        for (key, value) in dict.iter().take(50) {
            assert!(dict.get(key).is_some());
            visit(data, value);
        }
    }
}

/// Bytes as operations on an [`Encoder`]: whatever it finishes, strict parsing accepts, and the
/// tree encodes to the same bytes.
pub fn encode(data: &[u8]) {
    let mut operations = Operations { bytes: data };
    let mut encoder = Encoder::new();
    while encoder
        .list(|list| operations.fill_list(list, MAX_WRITTEN_DEPTH))
        .is_err()
    {}
    let written = encoder.finish();
    match parse(&written) {
        Ok(value) if written.len() <= MAX_TREE_INPUT => {
            assert_eq!(value.to_owned().encode(), written);
        }
        Ok(_) => {}
        Err(error) => panic!("not canonical: {error}"),
    }
}

/// What is left of the input of [`encode`].
struct Operations<'a> {
    bytes: &'a [u8],
}

impl<'a> Operations<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    fn text(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte().unwrap_or_default() % 16);
        let (text, rest) = self
            .bytes
            .split_at_checked(length)
            .unwrap_or((self.bytes, &[]));
        self.bytes = rest;
        text
    }

    fn number(&mut self) -> i128 {
        let bits = self.byte().unwrap_or_default() % 66;
        let number = (1_i128 << bits) - i128::from(self.byte().unwrap_or_default() % 3);
        if bits.is_multiple_of(2) {
            number
        } else {
            -number
        }
    }

    /// Fails now and then, so that half-written lists are taken back.
    fn fill_list(&mut self, list: &mut ListEncoder<'_>, depth: usize) -> Result<(), Error> {
        while let Some(operation) = self.byte() {
            // Only `fail` gives up: a refused entry leaves the list as it was.
            let _ = match operation % 8 {
                0 => return Ok(()),
                1 => return Err(self.fail()),
                2 => list.int(self.number()),
                3 => list.raw(self.text()),
                4 | 5 if depth > 0 => list.list(|list| self.fill_list(list, depth - 1)),
                6 if depth > 0 => list.dict(|dict| self.fill_dict(dict, depth - 1)),
                _ => list.bytes(self.text()),
            };
        }
        Ok(())
    }

    fn fill_dict(&mut self, dict: &mut DictEncoder<'_>, depth: usize) -> Result<(), Error> {
        while let Some(operation) = self.byte() {
            let key = self.text();
            let _ = match operation % 8 {
                0 => return Ok(()),
                1 => return Err(self.fail()),
                2 => dict.int(key, self.number()),
                3 => dict.raw(key, self.text()),
                4 if depth > 0 => dict.list(key, |list| self.fill_list(list, depth - 1)),
                5 | 6 if depth > 0 => dict.dict(key, |dict| self.fill_dict(dict, depth - 1)),
                _ => dict.bytes(key, self.text()),
            };
        }
        Ok(())
    }

    fn fail(&self) -> Error {
        Error::new(crate::ErrorKind::OutOfRange, self.bytes.len())
    }
}

/// Any bytes as Rust types: conversion refuses what parsing refuses, and goes both ways.
#[cfg(feature = "serde")]
pub fn convert(data: &[u8]) {
    use std::collections::BTreeMap;

    if data.len() > MAX_TREE_INPUT {
        return;
    }
    match (parse(data), crate::from_bytes::<crate::OwnedValue>(data)) {
        (Ok(value), Ok(tree)) => {
            assert_eq!(value.to_owned(), tree);
            assert_eq!(crate::to_bytes(&tree).as_deref(), Ok(data));
        }
        (Err(one), Err(other)) => assert_eq!(one, other),
        (one, other) => panic!("{one:?} and {other:?}"),
    }
    if let Ok(map) = crate::from_bytes::<BTreeMap<String, Vec<(i64, Option<&str>)>>>(data) {
        assert_eq!(crate::to_bytes(&map).as_deref(), Ok(data));
    }
    if let Ok(map) = crate::from_bytes::<BTreeMap<&str, Value<'_>>>(data) {
        assert_eq!(crate::to_bytes(&map).as_deref(), Ok(data));
    }
}
