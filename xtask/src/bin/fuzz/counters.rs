//! Counters that others drive: edges by instrumented code, bytes by the allocator.
//!
//! This is the only file of the driver with `unsafe`; see docs/UNSAFE.md. It must stay free of
//! decisions: what a count means is said elsewhere.
#![expect(
    unsafe_code,
    reason = "the compiler's counters are a bare memory range, and an allocator is an unsafe trait"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Most binaries have one range; a few are allowed for objects that are linked apart.
const MAX_RANGES: usize = 16;

/// Start and end of each range of edge counters, in the order they were announced.
static STARTS: [AtomicUsize; MAX_RANGES] = [const { AtomicUsize::new(0) }; MAX_RANGES];
static ENDS: [AtomicUsize; MAX_RANGES] = [const { AtomicUsize::new(0) }; MAX_RANGES];

/// Called before `main`, once per instrumented object, by constructors that the compiler writes.
// SAFETY: the name is the one that instrumented code calls, with this signature, and no other
// object of the binary defines it.
#[unsafe(no_mangle)]
extern "C" fn __sanitizer_cov_8bit_counters_init(start: *mut u8, end: *mut u8) {
    for (first, last) in STARTS.iter().zip(&ENDS) {
        let known = first.load(Ordering::Relaxed);
        if known == start.addr() {
            return;
        }
        if known == 0 {
            first.store(start.expose_provenance(), Ordering::Relaxed);
            last.store(end.addr(), Ordering::Relaxed);
            return;
        }
    }
}

/// Counters that are looked at together.
const STRETCH: usize = 64;

/// Shows every edge counter to `look` and sets it to zero; false if there are no counters.
///
/// `look` gets the counter's index and its value, for counters that are not zero.
pub(crate) fn drain_edges(mut look: impl FnMut(usize, u8)) -> bool {
    let mut any = false;
    each_range(|first, counters| {
        any = true;
        drain(counters, first, &mut look);
    });
    any
}

/// The same for some stretches of counters, in any order.
pub(crate) fn drain_stretches(stretches: &[usize], mut look: impl FnMut(usize, u8)) {
    each_range(|first, counters| {
        for stretch in stretches {
            let start = (stretch * STRETCH).max(first);
            let end = ((stretch + 1) * STRETCH).min(first + counters.len());
            if start < end
                && let Some(some) = counters.get_mut(start - first..end - first)
            {
                drain(some, start, &mut look);
            }
        }
    });
}

/// The stretch in which an edge lies.
pub(crate) const fn stretch_of(edge: usize) -> usize {
    edge / STRETCH
}

/// Hands out each range of counters with the index of its first.
fn each_range(mut visit: impl FnMut(usize, &mut [u8])) {
    let mut index = 0;
    for (start, end) in STARTS.iter().zip(&ENDS) {
        let start = start.load(Ordering::Relaxed);
        let length = end.load(Ordering::Relaxed).saturating_sub(start);
        if start == 0 {
            break;
        }
        // SAFETY: the compiler announced [start, end) as its array of 8-bit counters, which lives
        // as long as the program. Only instrumented code writes it, on this thread: the driver is
        // not instrumented, and targets start no threads. So nothing else touches the range while
        // this slice lives.
        let counters = unsafe {
            std::slice::from_raw_parts_mut(std::ptr::with_exposed_provenance_mut(start), length)
        };
        visit(index, counters);
        index += length;
    }
}

/// Most counters are zero, so they are skipped a stretch at a time.
fn drain(counters: &mut [u8], first: usize, look: &mut impl FnMut(usize, u8)) {
    for (block, some) in counters.chunks_mut(STRETCH).enumerate() {
        if some.iter().fold(0, |any, count| any | count) == 0 {
            continue;
        }
        for (offset, count) in some.iter_mut().enumerate() {
            if *count != 0 {
                look(first + block * STRETCH + offset, *count);
                *count = 0;
            }
        }
    }
}

/// How many edges the instrumented code has.
pub(crate) fn edge_count() -> usize {
    let pairs = STARTS.iter().zip(&ENDS);
    pairs
        .map(|(start, end)| end.load(Ordering::Relaxed) - start.load(Ordering::Relaxed))
        .sum()
}

thread_local! {
    /// Bytes that this thread has allocated and nobody has freed, and the most that were since the last reset. Below
    /// zero if it frees what another one has allocated. An input runs on one thread, and what others do meanwhile must
    /// not look like its doing.
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// The system's allocator with a count of live bytes.
#[derive(Debug)]
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A cell without a destructor can be reached at any moment of a thread's life, and reaching it allocates nothing.
fn changed(by: isize) {
    let live = LIVE.get().wrapping_add(by);
    LIVE.set(live);
    if live > PEAK.get() {
        PEAK.set(live);
    }
}

fn grown(bytes: usize) {
    changed(bytes.cast_signed());
}

fn shrunk(bytes: usize) {
    changed(bytes.cast_signed().wrapping_neg());
}

// SAFETY: every call goes to the system's allocator with the arguments as they came, so its
// guarantees are ours; the counting beside it neither allocates nor panics.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: the caller's promises about `layout` are handed on unchanged.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: the caller's promises about `layout` are handed on unchanged.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        shrunk(layout.size());
        // SAFETY: `pointer` came from this allocator, which means from the system's.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // While a block moves, both copies exist.
        grown(new_size);
        shrunk(layout.size());
        // SAFETY: `pointer` came from this allocator, which means from the system's, and the
        // caller's promises about `layout` and `new_size` are handed on unchanged.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

/// Starts a measurement on this thread; the result belongs to [`peak_since`].
pub(crate) fn start_of_memory() -> isize {
    let live = LIVE.get();
    PEAK.set(live);
    live
}

/// The most bytes that this thread held at once since the measurement started.
pub(crate) fn peak_since(start: isize) -> usize {
    usize::try_from(PEAK.get().wrapping_sub(start)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draining_shows_each_counter_once_and_clears_it() {
        let mut counters = [0_u8; 201];
        counters[3] = 7;
        counters[200] = 1;
        let mut seen = Vec::new();
        drain(&mut counters, 100, &mut |index, count| {
            seen.push((index, count));
        });
        assert_eq!(seen, [(103, 7), (300, 1)]);
        assert_eq!(counters, [0; 201]);
    }

    #[test]
    fn memory_is_measured_at_its_peak_and_on_the_thread_that_asks() {
        let start = start_of_memory();
        drop(std::hint::black_box(vec![0_u8; 1 << 20]));
        let elsewhere = std::thread::spawn(|| std::hint::black_box(vec![0_u8; 8 << 20]));
        drop(elsewhere.join().unwrap());
        let peak = peak_since(start);
        assert!((1 << 20..2 << 20).contains(&peak), "{peak}");
    }
}
