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
            book(owner, |held| held.wrapping_sub(layout.size()));
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
                held.wrapping_sub(layout.size()).wrapping_add(new_size)
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
