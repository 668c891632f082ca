//! An input read as a sequence of small choices.
//!
//! Invariant: every input is a valid sequence, and what is behind its end reads as zeros; so whatever the engine changes still means something.

/// What is left of an input.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    /// All of these bytes.
    pub fn new(bytes: &'a [u8]) -> Input<'a> {
        Input { rest: bytes }
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// One byte.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.rest.split_first() else {
            return 0;
        };
        self.rest = rest;
        *first
    }

    /// A number below `below`, which is at most 256.
    pub fn below(&mut self, below: usize) -> usize {
        usize::from(self.byte()) % below.max(1)
    }

    /// A bit.
    pub fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// Eight bytes, little endian.
    pub fn number(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// Mostly a small number, sometimes any, sometimes one at an edge of its type.
    pub fn count(&mut self) -> u64 {
        match self.byte() {
            small @ 0..=199 => u64::from(small),
            200..=219 => u64::from(u32::MAX) - u64::from(self.byte()),
            220..=239 => u64::MAX - u64::from(self.byte()),
            _ => self.number(),
        }
    }

    /// So many bytes, or what is left.
    pub fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(count.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    /// A length of up to 255, and that many bytes or what is left.
    pub fn block(&mut self) -> &'a [u8] {
        let length = self.byte().into();
        self.take(length)
    }

    /// A length of up to 65 535 (two bytes), and that many bytes or what is left.
    pub fn long_block(&mut self) -> &'a [u8] {
        let length = u16::from_le_bytes([self.byte(), self.byte()]);
        self.take(length.into())
    }

    /// A block as text; what is not UTF-8 is cut off.
    pub fn text(&mut self) -> &'a str {
        valid_text(self.block())
    }

    /// What is left.
    pub fn rest(self) -> &'a [u8] {
        self.rest
    }
}

/// The longest beginning that is UTF-8.
pub fn valid_text(bytes: &[u8]) -> &str {
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_that_is_too_short_reads_on_as_zeros() {
        let mut input = Input::new(&[5, b'a', b'b', 0xff]);
        assert_eq!(input.text(), "ab");
        assert!(input.is_empty());
        assert_eq!(
            (input.byte(), input.number(), input.count(), input.below(7)),
            (0, 0, 0, 0)
        );
        assert_eq!(input.take(3), b"");
    }
}
