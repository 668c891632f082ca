//! The key that the members of a group share.

use std::fmt;

use platform::Random;

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;

/// A key that the members of a group share. Whoever has it is one of them.
#[derive(Clone, PartialEq, Eq)]
pub struct Key([u8; KEY_BYTES]);

/// Why some bytes are no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// They are not [`KEY_BYTES`].
    Length {
        /// How many they are.
        bytes: usize,
    },
    /// All of them are zero: what a file reads as that was never written, and what anybody would try first.
    Blank,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyError::Length { bytes } => write!(f, "A key has {KEY_BYTES} bytes; these are {bytes}."),
            KeyError::Blank => f.write_str("The key is all zeros: it was never written."),
        }
    }
}

impl std::error::Error for KeyError {}

impl Key {
    /// A fresh one.
    pub fn generate(random: &mut dyn Random) -> Key {
        Key(bytes(random))
    }

    /// The key that some bytes are.
    pub fn from_bytes(bytes: &[u8]) -> Result<Key, KeyError> {
        let key = <[u8; KEY_BYTES]>::try_from(bytes).map_err(|_| KeyError::Length { bytes: bytes.len() })?;
        if key == [0; KEY_BYTES] {
            return Err(KeyError::Blank);
        }
        Ok(Key(key))
    }

    /// Its bytes, to be kept where nobody else can read them.
    pub fn as_bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

impl fmt::Debug for Key {
    /// None of it: logs travel.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// 32 fresh bytes.
pub(super) fn bytes(random: &mut dyn Random) -> [u8; KEY_BYTES] {
    let mut bytes = [0; KEY_BYTES];
    for chunk in bytes.chunks_exact_mut(8) {
        chunk.copy_from_slice(&random.next_u64().to_le_bytes());
    }
    bytes
}
