//! Byte buffers whose memory starts on a block boundary, as direct I/O needs.
//!
//! Invariant: the first byte's address is a multiple of [`BLOCK_BYTES`]; capacity is a whole number of blocks; every byte up to the capacity is initialised.

#![allow(unsafe_code)]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// The unit of disk I/O, cells and batches: 4 KiB.
pub const BLOCK_BYTES: usize = 4096;

/// A growable byte buffer, aligned to [`BLOCK_BYTES`].
pub struct Blocks {
    start: NonNull<u8>,
    length: usize,
    capacity: usize,
}

// SAFETY: `Blocks` owns its memory alone, like `Vec<u8>`.
unsafe impl Send for Blocks {}
// SAFETY: shared access only reads, like `Vec<u8>`.
unsafe impl Sync for Blocks {}

impl Blocks {
    /// An empty buffer with room for at least `bytes`, rounded up to whole blocks (at least one).
    pub fn with_capacity(bytes: usize) -> Blocks {
        let capacity = bytes.max(1).next_multiple_of(BLOCK_BYTES);
        Blocks {
            start: allocate(capacity),
            length: 0,
            capacity,
        }
    }

    /// A buffer of `bytes` zero bytes.
    pub fn zeroed(bytes: usize) -> Blocks {
        let mut blocks = Blocks::with_capacity(bytes);
        blocks.length = bytes;
        blocks
    }

    /// Appends `bytes`, growing as `Vec` does.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        let length = self.length + bytes.len();
        if length > self.capacity {
            self.grow(length.max(self.capacity * 2));
        }
        self.length = length;
        let from = length - bytes.len();
        self[from..].copy_from_slice(bytes);
    }

    /// Appends zero bytes up to the next block boundary.
    pub fn pad_to_block(&mut self) {
        self.resize(self.length.next_multiple_of(BLOCK_BYTES));
    }

    /// Sets the length; bytes gained are zero.
    pub fn resize(&mut self, length: usize) {
        if length > self.capacity {
            self.grow(length);
        }
        let before = self.length;
        self.length = length;
        if length > before {
            self[before..].fill(0);
        }
    }

    /// Bytes that fit without growing.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    fn grow(&mut self, bytes: usize) {
        let mut larger = Blocks::with_capacity(bytes);
        larger.length = self.length;
        larger.copy_from_slice(self);
        *self = larger;
    }
}

fn allocate(capacity: usize) -> NonNull<u8> {
    let layout = layout(capacity);
    // SAFETY: the layout has a size of at least one block, never zero.
    let start = unsafe { alloc_zeroed(layout) };
    NonNull::new(start).unwrap_or_else(|| handle_alloc_error(layout))
}

fn layout(capacity: usize) -> Layout {
    Layout::from_size_align(capacity, BLOCK_BYTES).expect("a buffer is smaller than half the address space")
}

impl Drop for Blocks {
    fn drop(&mut self) {
        // SAFETY: allocated by `allocate` with this same layout, and freed once.
        unsafe { dealloc(self.start.as_ptr(), layout(self.capacity)) }
    }
}

impl Deref for Blocks {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        // SAFETY: `length` ≤ `capacity` bytes from `start` are owned and initialised.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl DerefMut for Blocks {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `deref`, and `&mut self` makes the access unique.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}

impl AsRef<[u8]> for Blocks {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl std::fmt::Debug for Blocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Blocks({} bytes)", self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_starts_on_a_block_boundary_also_after_growth() {
        let mut blocks = Blocks::with_capacity(1);
        for round in 0..5000u32 {
            blocks.extend_from_slice(&round.to_le_bytes());
            assert_eq!(blocks.as_ptr() as usize % BLOCK_BYTES, 0);
        }
        assert_eq!(blocks.len(), 20_000);
        assert_eq!(&blocks[4 * 4999..], &4999u32.to_le_bytes());
        blocks.pad_to_block();
        assert_eq!(blocks.len(), 20_480);
        assert!(blocks[20_000..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn bytes_gained_by_resize_are_zero_also_over_old_content() {
        let mut blocks = Blocks::with_capacity(16);
        blocks.extend_from_slice(&[7; 16]);
        blocks.resize(4);
        blocks.resize(16);
        assert_eq!(&blocks[..], &[7, 7, 7, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
}
