//! What is promised about the heap: parsing and looking take none of it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bt_bencode::{Options, Reader, Value, parse};

/// Counts what the current thread asks for.
struct Counting;

thread_local! {
    static CALLS: Cell<usize> = const { Cell::new(0) };
    static BYTES: Cell<usize> = const { Cell::new(0) };
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[expect(
    unsafe_code,
    reason = "an allocator can only be watched from an allocator"
)]
// SAFETY: every call goes to the system's allocator unchanged; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.with(|calls| calls.set(calls.get() + 1));
        BYTES.with(|bytes| bytes.set(bytes.get() + layout.size()));
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer comes from `alloc` above, and so from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// How often and how much `run` allocates.
fn allocated<T>(run: impl FnOnce() -> T) -> (usize, usize, T) {
    let (calls, bytes) = (CALLS.get(), BYTES.get());
    let result = run();
    (CALLS.get() - calls, BYTES.get() - bytes, result)
}

fn torrent() -> Vec<u8> {
    let files = "d6:lengthi123456e4:pathl6:folder8:file.txtee".repeat(1000);
    let hashes = "x".repeat(20_000);
    format!("d8:announce3:url4:infod5:filesl{files}e4:name1:n6:pieces20000:{hashes}ee").into_bytes()
}

/// Visits everything below the value.
fn visit(value: Value<'_>) -> u64 {
    if let Some(list) = value.as_list() {
        return list.iter().map(visit).sum();
    }
    if let Some(dict) = value.as_dict() {
        return dict
            .iter()
            .map(|(key, value)| key.len() as u64 + visit(value))
            .sum();
    }
    value.as_int().unwrap_or_default().unsigned_abs()
        + value.as_bytes().unwrap_or_default().len() as u64
}

#[test]
fn parsing_allocates_nothing() {
    let input = torrent();
    let (calls, _, value) = allocated(|| parse(&input));
    assert_eq!(calls, 0);
    let value = value.unwrap();
    let (calls, _, sum) = allocated(|| visit(value));
    assert_eq!(calls, 0);
    assert!(sum > 123_456_000);
    let (calls, _, parsed) = allocated(|| Options::lenient().parse(&input).unwrap().consumed);
    assert_eq!((calls, parsed), (0, input.len()));
}

#[test]
fn reading_tokens_allocates_nothing() {
    let input = torrent();
    let (calls, _, tokens) = allocated(|| {
        let mut reader = Reader::new(&input);
        let mut tokens = 0;
        while reader.next().unwrap().is_some() {
            tokens += 1;
        }
        tokens
    });
    assert_eq!(calls, 0);
    assert!(tokens > 8_000);
}

#[test]
fn lookups_allocate_nothing() {
    let input = torrent();
    let (calls, _, found) = allocated(|| {
        let info = parse(&input)?.dict()?.dict("info")?;
        let first = info.list("files")?.iter().next();
        let missing = info.opt_str("no such key")?.is_none();
        Ok::<_, bt_bencode::Error>((info.str("name")?, first.is_some(), missing))
    });
    assert_eq!(found, Ok(("n", true, true)));
    assert_eq!(calls, 0);
}

#[test]
fn broken_input_allocates_nothing_but_a_short_key() {
    let deep = b"l".repeat(100_000);
    let inputs: [&[u8]; 6] = [
        b"99999999999:x",
        b"4000000000:",
        &deep,
        b"lllllllll",
        b"i999999999999999999999e",
        b"",
    ];
    for input in inputs {
        let (calls, _, result) = allocated(|| parse(input).is_err());
        assert_eq!((calls, result), (0, true));
    }
    let key = "k".repeat(100_000);
    let input = format!("d1:z0:100000:{key}0:e");
    let (calls, bytes, result) = allocated(|| parse(input.as_bytes()).is_err());
    assert!(result && calls == 1 && bytes == bt_bencode::MAX_KEY_IN_ERROR);
}

#[test]
fn counting_duplicates_takes_no_more_than_the_input() {
    // The densest dictionary there is: an entry in four bytes and a little.
    let entries = "1:a0:0:0:".repeat(20_000);
    let input = format!("d{entries}e");
    let (calls, bytes, parsed) = allocated(|| Options::lenient().parse(input.as_bytes()));
    assert_eq!(parsed.unwrap().irregularities.duplicate_keys.count, 39_998);
    assert!(calls <= 1, "{calls} allocations");
    assert!(bytes <= input.len(), "{bytes} bytes for {}", input.len());
}
