//! Randomness from the kernel.

use std::fs::File;
use std::io::{self, Read};

use crate::Random;

/// Bytes fetched from the kernel at once.
const POOL_BYTES: usize = 256;

/// The kernel's random numbers (`/dev/urandom`), fetched in small pools.
#[derive(Debug)]
pub struct RealRandom {
    source: File,
    pool: [u8; POOL_BYTES],
    used: usize,
}

impl RealRandom {
    /// Opens the source and fetches the first pool; an error says that this machine has no `/dev/urandom`.
    pub fn open() -> io::Result<RealRandom> {
        let mut random = RealRandom {
            source: File::open("/dev/urandom")?,
            pool: [0; POOL_BYTES],
            used: 0,
        };
        random.source.read_exact(&mut random.pool)?;
        Ok(random)
    }
}

impl Random for RealRandom {
    fn next_u64(&mut self) -> u64 {
        if self.used == POOL_BYTES {
            self.source
                .read_exact(&mut self.pool)
                .expect("/dev/urandom, once read, never fails");
            self.used = 0;
        }
        let mut bytes = [0; 8];
        let taken = &mut self.pool[self.used..self.used + 8];
        bytes.copy_from_slice(taken);
        // Never twice, and not left behind in memory.
        taken.fill(0);
        self.used += 8;
        u64::from_le_bytes(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn numbers_do_not_repeat_across_pools_and_sources() {
        let mut seen = BTreeSet::new();
        for _ in 0..2 {
            let mut random = RealRandom::open().unwrap();
            for _ in 0..100 {
                assert!(seen.insert(random.next_u64()));
            }
        }
    }
}
