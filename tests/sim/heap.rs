//! An allocator that books each block to the owner in whose name it was taken, until it is given back, by whomever.
//!
//! Each block carries its owner in front of it. This is the only file of the simulator with `unsafe`; see docs/UNSAFE.md.
//! It must not know who the owners are.
#![expect(
    unsafe_code,
    reason = "memory can only be measured by an allocator, and an allocator is an unsafe trait"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Owners at the same time: the largest swarm several times over.
const OWNERS: usize = 1 << 16;

/// Bytes in front of a block, at least: what a block of any usual type is aligned to.
const FRONT: usize = 16;

/// Bytes that each owner holds. Number 0 is nobody, who is not counted.
static HELD: [AtomicUsize; OWNERS] = [const { AtomicUsize::new(0) }; OWNERS];

/// Numbers that were given back, and the first that was never given.
static FREE: Mutex<(Vec<u32>, u32)> = Mutex::new((Vec::new(), 1));

thread_local! {
    /// In whose name this thread takes memory.
    static OWNER: Cell<u32> = const { Cell::new(0) };
}

/// Somebody who holds memory. All that was taken in its name has to be given back before it goes, and on the same thread.
#[derive(Debug)]
pub(crate) struct Owner(u32);

impl Owner {
    pub(crate) fn new() -> Self {
        let mut free = FREE.lock().expect("nobody panics with it");
        let number = free.0.pop().unwrap_or_else(|| {
            free.1 += 1;
            free.1 - 1
        });
        assert!((number as usize) < OWNERS, "too many owners");
        HELD[number as usize].store(0, Ordering::Relaxed);
        Self(number)
    }

    /// Bytes that it holds: those that were asked for, without what an allocator adds.
    pub(crate) fn held(&self) -> usize {
        HELD[self.0 as usize].load(Ordering::Relaxed)
    }

    /// Memory is taken in its name as long as the result lives.
    pub(crate) fn enter(&self) -> Inside {
        Inside(OWNER.replace(self.0))
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        FREE.lock().expect("nobody panics with it").0.push(self.0);
    }
}

/// See [`Owner::enter`].
#[must_use]
#[derive(Debug)]
pub(crate) struct Inside(u32);

impl Drop for Inside {
    fn drop(&mut self) {
        OWNER.set(self.0);
    }
}

#[derive(Debug)]
struct Booking;

#[global_allocator]
static ALLOCATOR: Booking = Booking;

/// Only one thread takes and gives memory of an owner, so that nothing is lost between load and store; they cost a tenth
/// of an addition that is atomic.
fn book(owner: u32, change: impl FnOnce(usize) -> usize) {
    if owner != 0
        && let Some(held) = HELD.get(owner as usize)
    {
        held.store(change(held.load(Ordering::Relaxed)), Ordering::Relaxed);
    }
}

/// What is asked of the system for a block, and where in it the block begins.
fn with_front(layout: Layout) -> Option<(Layout, usize)> {
    let front = layout.align().max(FRONT);
    let size = layout.size().checked_add(front)?;
    Some((Layout::from_size_align(size, front).ok()?, front))
}

// SAFETY: every block lies in one of the system's that is longer by `front`, a multiple of its alignment, so that it is
// aligned and has room for all of its bytes. Sizes that cannot be are answered with null. Counting neither allocates nor
// panics.
unsafe impl GlobalAlloc for Booking {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some((whole, front)) = with_front(layout) else {
            return std::ptr::null_mut();
        };
        // SAFETY: `whole` is not empty, as `front` is not 0.
        let base = unsafe { System.alloc(whole) };
        if base.is_null() {
            return base;
        }
        let owner = OWNER.get();
        book(owner, |held| held.wrapping_add(layout.size()));
        // SAFETY: the first `front` bytes of the block, at least four, are ours, and what follows is in the same block.
        unsafe {
            base.cast::<[u8; 4]>().write(owner.to_ne_bytes());
            base.add(front)
        }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let Some((whole, front)) = with_front(layout) else {
            return;
        };
        // SAFETY: `pointer` comes from `alloc` or `realloc` with this layout, so that `front` bytes before it the block of
        // the system begins, with the owner's number.
        unsafe {
            let base = pointer.sub(front);
            let owner = u32::from_ne_bytes(base.cast::<[u8; 4]>().read());
            // What a failed run has thrown may outlive its owner, whose number somebody else has by then.
            book(owner, |held| held.saturating_sub(layout.size()));
            System.dealloc(base, whole);
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let new = Layout::from_size_align(new_size, layout.align());
        let new = new.ok().and_then(with_front);
        let (Some((whole, front)), Some((new, _))) = (with_front(layout), new) else {
            return std::ptr::null_mut();
        };
        // SAFETY: as in `dealloc`; the front is of the same length before and after, as it follows from the alignment, and
        // the system moves it with the rest.
        unsafe {
            let base = System.realloc(pointer.sub(front), whole, new.size());
            if base.is_null() {
                return base;
            }
            let owner = u32::from_ne_bytes(base.cast::<[u8; 4]>().read());
            book(owner, |held| {
                held.saturating_sub(layout.size()).wrapping_add(new_size)
            });
            base.add(front)
        }
    }
}

#[test]
fn a_block_is_its_owners_until_it_is_given_back_by_anybody() {
    let (first, second) = (Owner::new(), Owner::new());
    let mut block = {
        let _inside = first.enter();
        Vec::<u8>::with_capacity(1_000)
    };
    assert_eq!((first.held(), second.held()), (1_000, 0));
    {
        let _inside = second.enter();
        // Whoever lets it grow is not the one who has it.
        block.reserve_exact(3_000);
        let _inner = first.enter();
        drop(std::hint::black_box(vec![0_u64; 8]));
    }
    assert_eq!((first.held(), second.held()), (3_000, 0));
    drop(block);
    let nobody = std::hint::black_box(vec![0_u8; 100]);
    assert_eq!((first.held(), second.held()), (0, 0));
    drop(nobody);
}

/// Blocks of any size and alignment hold what was written to them, however they grow and shrink, and are counted to the
/// byte: the same as with the system's allocator and a sum beside it.
#[test]
fn blocks_hold_what_was_written_whatever_their_alignment() {
    let owner = Owner::new();
    let mut dice = 0x9E37_79B9_7F4A_7C15_u64;
    let mut below = |bound: usize| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (dice >> 33) as usize % bound
    };
    let mut blocks: Vec<(*mut u8, Layout, Vec<u8>)> = Vec::new();
    for step in 0..20_000_u32 {
        let mark = step.to_le_bytes()[0];
        let (what, size) = (below(4), 1 + below(5_000));
        let at = if blocks.is_empty() {
            0
        } else {
            below(blocks.len())
        };
        let _inside = owner.enter();
        match what {
            0 | 1 if blocks.len() < 64 => {
                let layout = Layout::from_size_align(size, 1 << below(13)).unwrap();
                // SAFETY: the layout is not empty.
                let block = unsafe {
                    if what == 0 {
                        Booking.alloc_zeroed(layout)
                    } else {
                        Booking.alloc(layout)
                    }
                };
                OWNER.set(0);
                assert!(!block.is_null() && block.addr() % layout.align() == 0);
                // SAFETY: `size` bytes from `block` on are ours; those of `alloc` are written before they are read.
                let bytes = unsafe {
                    if what == 1 {
                        block.write_bytes(mark, size)
                    }
                    std::slice::from_raw_parts(block, size)
                };
                let expected = vec![if what == 1 { mark } else { 0 }; size];
                assert_eq!(bytes, expected);
                blocks.push((block, layout, expected));
            }
            2 if !blocks.is_empty() => {
                let (block, layout, expected) = &mut blocks[at];
                // SAFETY: the block is of this layout, and the new size is neither 0 nor near the largest.
                let moved = unsafe { Booking.realloc(*block, *layout, size) };
                assert!(!moved.is_null() && moved.addr() % layout.align() == 0);
                let kept = size.min(expected.len());
                // SAFETY: as many bytes as were there before, or fit, were moved along.
                assert_eq!(
                    unsafe { std::slice::from_raw_parts(moved, kept) },
                    &expected[..kept]
                );
                // SAFETY: the block has `size` bytes now.
                unsafe { moved.write_bytes(mark, size) };
                OWNER.set(0);
                *expected = vec![mark; size];
                (*block, *layout) = (
                    moved,
                    Layout::from_size_align(size, layout.align()).unwrap(),
                );
            }
            _ if !blocks.is_empty() => {
                let (block, layout, expected) = blocks.swap_remove(at);
                // SAFETY: the block is of this layout and was written as far as `expected` says.
                unsafe {
                    assert_eq!(std::slice::from_raw_parts(block, layout.size()), expected);
                    Booking.dealloc(block, layout);
                }
            }
            _ => {}
        }
        let sum: usize = blocks.iter().map(|(_, layout, _)| layout.size()).sum();
        assert_eq!(owner.held(), sum, "step {step}");
    }
    for (block, layout, _) in blocks {
        // SAFETY: as above.
        unsafe { Booking.dealloc(block, layout) };
    }
    assert_eq!(owner.held(), 0);
}
