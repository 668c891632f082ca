//! One file's content: what readers see, and what would be left of it after a power loss.
//!
//! Invariant: `unsynced` holds, for each block whose visible content is not durable, what is durable there. A block that is in neither map is zero and durable.
//! Content is shared between copies of a world until one of them changes it.

use std::collections::BTreeMap;
use std::sync::Arc;

use platform::{BLOCK_BYTES, Blocks};

const BLOCK: u64 = BLOCK_BYTES as u64;

/// The content of one block, shared with whatever it was copied from.
#[derive(Clone, Debug)]
enum Block {
    /// Made here.
    Own(Arc<[u8; BLOCK_BYTES]>),
    /// A whole block of what was written, from this byte on: a large write is never copied.
    Written(Arc<Blocks>, usize),
}

impl Block {
    fn bytes(&self) -> &[u8] {
        match self {
            Block::Own(bytes) => &bytes[..],
            Block::Written(blocks, from) => &blocks[*from..*from + BLOCK_BYTES],
        }
    }

    fn copy(block: Option<&Block>) -> [u8; BLOCK_BYTES] {
        let mut copy = [0; BLOCK_BYTES];
        if let Some(block) = block {
            copy.copy_from_slice(block.bytes());
        }
        copy
    }

    fn flip(&mut self, within: usize, bit: u8) {
        let mut bytes = Block::copy(Some(self));
        bytes[within] ^= 1 << (bit % 8);
        *self = Block::Own(Arc::new(bytes));
    }
}

/// A file without its name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inode {
    length: u64,
    durable_length: u64,
    /// Blocks from the start whose space is reserved.
    reserved: u64,
    blocks: BTreeMap<u64, Block>,
    unsynced: BTreeMap<u64, Option<Block>>,
}

/// What becomes of one block that was not durable when the power failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    New,
    Old,
    /// The sectors whose bits are set are new.
    Sectors(u8),
}

/// Bytes that a disk writes whole, whatever happens.
const SECTOR_BYTES: usize = BLOCK_BYTES / 8;

impl Inode {
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Blocks that take space.
    pub(crate) fn allocated(&self) -> u64 {
        self.reserved + self.blocks.range(self.reserved..).count() as u64
    }

    pub(crate) fn has_space_at(&self, block: u64) -> bool {
        block < self.reserved || self.blocks.contains_key(&block)
    }

    pub(crate) fn read(&self, offset: u64, length: usize) -> Vec<u8> {
        let left = self.length.saturating_sub(offset);
        let length = usize::try_from(left).map_or(length, |left| left.min(length));
        let mut bytes = vec![0; length];
        let end = offset + length as u64;
        for (index, block) in self.blocks.range(offset / BLOCK..end.div_ceil(BLOCK)) {
            let start = index * BLOCK;
            let (from, upto) = (start.max(offset), (start + BLOCK).min(end));
            bytes[(from - offset) as usize..(upto - offset) as usize]
                .copy_from_slice(&block.bytes()[(from - start) as usize..(upto - start) as usize]);
        }
        bytes
    }

    /// Writes a part of a write into one block, visible at once and not durable.
    pub(crate) fn put_written(&mut self, block: u64, within: usize, blocks: &Arc<Blocks>, from: usize, upto: usize) {
        if upto - from == BLOCK_BYTES {
            self.replace(block, Block::Written(blocks.clone(), from), BLOCK_BYTES);
        } else {
            self.put(block, within, &blocks[from..upto]);
        }
    }

    /// Writes into one block, visible at once and not durable.
    pub(crate) fn put(&mut self, block: u64, within: usize, bytes: &[u8]) {
        let mut content = Block::copy(self.blocks.get(&block));
        content[within..within + bytes.len()].copy_from_slice(bytes);
        self.replace(block, Block::Own(Arc::new(content)), within + bytes.len());
    }

    /// Only the chosen sectors of what is written into a block arrive.
    pub(crate) fn put_sectors(&mut self, block: u64, within: usize, bytes: &[u8], sectors: u8) {
        let mut content = Block::copy(self.blocks.get(&block));
        for (place, byte) in bytes.iter().enumerate() {
            let place = within + place;
            if sectors & (1 << (place / SECTOR_BYTES)) != 0 {
                content[place] = *byte;
            }
        }
        self.replace(block, Block::Own(Arc::new(content)), within + bytes.len());
    }

    /// The file reaches at least to `upto` in the block.
    fn replace(&mut self, block: u64, content: Block, upto: usize) {
        let before = self.blocks.insert(block, content);
        self.unsynced.entry(block).or_insert(before);
        self.length = self.length.max(block * BLOCK + upto as u64);
    }

    /// What a synchronous write promises when it returns: these bytes, and a length that covers them, last.
    pub(crate) fn make_durable(&mut self, offset: u64, length: u64) {
        let end = offset + length;
        for block in offset / BLOCK..end.div_ceil(BLOCK) {
            self.unsynced.remove(&block);
        }
        self.durable_length = self.durable_length.max(end.min(self.length));
    }

    pub(crate) fn sync(&mut self) {
        self.unsynced.clear();
        self.durable_length = self.length;
    }

    pub(crate) fn set_length(&mut self, length: u64) {
        if length < self.length {
            let first_gone = length.div_ceil(BLOCK);
            for (block, content) in self.blocks.split_off(&first_gone) {
                self.unsynced.entry(block).or_insert(Some(content));
            }
            self.reserved = self.reserved.min(first_gone);
            let within = (length % BLOCK) as usize;
            if within > 0 && self.blocks.contains_key(&(length / BLOCK)) {
                self.put(length / BLOCK, within, &[0; BLOCK_BYTES][within..]);
            }
        }
        self.length = length;
    }

    pub(crate) fn reserve(&mut self, length: u64) {
        self.reserved = self.reserved.max(length.div_ceil(BLOCK));
        self.length = self.length.max(length);
    }

    /// Blocks of space that reserving up to `length` would still take.
    pub(crate) fn missing_for(&self, length: u64) -> u64 {
        let wanted = length.div_ceil(BLOCK);
        if wanted <= self.reserved {
            0
        } else {
            wanted - self.reserved - self.blocks.range(self.reserved..wanted).count() as u64
        }
    }

    /// How many things a power loss may or may not take: each unsynced block, and the length.
    pub(crate) fn unsynced(&self) -> usize {
        self.unsynced.len() + usize::from(self.length != self.durable_length)
    }

    /// The power fails: `fate` is asked once for each unsynced thing, the length last.
    pub(crate) fn power_loss(&mut self, mut fate: impl FnMut() -> Fate) {
        let seen_length = self.length;
        for (block, old) in std::mem::take(&mut self.unsynced) {
            let fate = fate();
            let truncated = block * BLOCK >= seen_length;
            match if truncated { Fate::Old } else { fate } {
                Fate::New => {}
                Fate::Old => {
                    match old {
                        Some(old) => self.blocks.insert(block, old),
                        None => self.blocks.remove(&block),
                    };
                }
                Fate::Sectors(sectors) => {
                    let mut mixed = Block::copy(old.as_ref());
                    if let Some(new) = self.blocks.get(&block) {
                        for sector in (0..8).filter(|sector| sectors & (1 << sector) != 0) {
                            let bytes = sector * SECTOR_BYTES..(sector + 1) * SECTOR_BYTES;
                            mixed[bytes.clone()].copy_from_slice(&new.bytes()[bytes]);
                        }
                    }
                    self.blocks.insert(block, Block::Own(Arc::new(mixed)));
                }
            }
        }
        if self.length != self.durable_length {
            self.length = match fate() {
                Fate::New => seen_length,
                Fate::Old | Fate::Sectors(_) => self.durable_length,
            };
        }
        // Whatever lies behind the end that was left is gone; what was reserved there too.
        let length = self.length;
        self.length = u64::MAX;
        self.set_length(length);
        self.sync();
    }

    /// Flips one bit at rest; `false` if the file holds no such byte.
    pub(crate) fn flip(&mut self, offset: u64, bit: u8) -> bool {
        if offset >= self.length {
            return false;
        }
        let within = (offset % BLOCK) as usize;
        let index = offset / BLOCK;
        let zero = || Block::Own(Arc::new([0; BLOCK_BYTES]));
        self.blocks.entry(index).or_insert_with(zero).flip(within, bit);
        if let Some(Some(old)) = self.unsynced.get_mut(&index) {
            old.flip(within, bit);
        }
        true
    }

    /// Indexes of the blocks that hold something.
    pub(crate) fn written_blocks(&self) -> impl ExactSizeIterator<Item = u64> + '_ {
        self.blocks.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsynced_blocks_go_or_stay_each_by_itself_and_synced_ones_stay() {
        let mut inode = Inode::default();
        inode.put(0, 0, &[1; 4096]);
        inode.sync();
        inode.put(0, 0, &[2; 4096]);
        inode.put(1, 0, &[3; 4096]);
        inode.put(2, 0, &[4; 4096]);
        inode.make_durable(4096, 4096);
        assert_eq!(inode.unsynced(), 3, "two blocks and the length");
        let mut copy = inode.clone();
        copy.power_loss(|| Fate::Old);
        assert_eq!(copy.read(0, 99_999), [[1; 4096], [3; 4096]].concat());
        let mut copy = inode.clone();
        let mut fates = [Fate::Old, Fate::New, Fate::New].into_iter();
        copy.power_loss(|| fates.next().unwrap());
        assert_eq!(copy.read(0, 99_999), [[1; 4096], [3; 4096], [4; 4096]].concat());
        let mut fates = [Fate::Sectors(0b1000_0001), Fate::Old, Fate::New].into_iter();
        inode.power_loss(|| fates.next().unwrap());
        let torn = inode.read(0, 4096);
        assert_eq!(
            (torn[0], torn[511], torn[512], torn[3583], torn[3584], torn[4095]),
            (2, 2, 1, 1, 2, 2)
        );
        assert_eq!(
            inode.read(8192, 4096),
            [0; 4096],
            "the length stayed, the block did not"
        );
        assert_eq!(inode.unsynced(), 0);
    }

    #[test]
    fn a_truncation_that_is_lost_brings_everything_back() {
        let mut inode = Inode::default();
        inode.put(0, 0, &[1; 4096]);
        inode.put(1, 0, &[1; 4096]);
        inode.sync();
        inode.set_length(100);
        assert_eq!(inode.read(0, 9000), [1; 100]);
        inode.set_length(300);
        assert_eq!(inode.read(100, 200), [0; 200]);
        let mut lost = inode.clone();
        lost.power_loss(|| Fate::Old);
        assert_eq!(lost.read(0, 9000), [1; 8192]);
        inode.power_loss(|| Fate::New);
        assert_eq!(inode.read(0, 9000).len(), 300);
    }

    #[test]
    fn reads_cross_blocks_and_holes_and_end_at_the_length() {
        let mut inode = Inode::default();
        inode.put(2, 10, &[5; 20]);
        assert_eq!(inode.read(0, 8192), [0; 8192]);
        assert_eq!(inode.read(8200, 100), [[0; 2].as_slice(), &[5; 20]].concat());
        assert!(inode.read(9000, 1).is_empty() && inode.read(u64::MAX, usize::MAX).is_empty());
        assert_eq!((inode.allocated(), inode.missing_for(3 * 4096)), (1, 2));
        inode.reserve(3 * 4096);
        assert_eq!((inode.allocated(), inode.length()), (3, 3 * 4096));
    }
}
