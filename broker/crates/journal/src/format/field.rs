//! One field of a structure on disk, and the seed of checksums.

use mutant::Mutant;
use record::Nonce;

/// One field: where it lies in its structure, how long it is, and what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// What it is called.
    pub name: &'static str,
    /// First byte, from the structure's start.
    pub offset: usize,
    /// Bytes.
    pub bytes: usize,
    /// What it says.
    pub meaning: &'static str,
}

impl Field {
    pub(crate) const fn new(name: &'static str, offset: usize, bytes: usize, meaning: &'static str) -> Field {
        Field {
            name,
            offset,
            bytes,
            meaning,
        }
    }

    pub(crate) fn put(self, structure: &mut [u8], value: &[u8]) {
        structure[self.offset..self.offset + self.bytes].copy_from_slice(value);
    }

    pub(crate) fn put_u32(self, structure: &mut [u8], value: u32) {
        self.put(structure, &value.to_le_bytes());
    }

    pub(crate) fn put_u64(self, structure: &mut [u8], value: u64) {
        self.put(structure, &value.to_le_bytes());
    }

    pub(crate) fn get(self, structure: &[u8]) -> &[u8] {
        &structure[self.offset..self.offset + self.bytes]
    }

    pub(crate) fn u8(self, structure: &[u8]) -> u8 {
        structure[self.offset]
    }

    pub(crate) fn u32(self, structure: &[u8]) -> u32 {
        u32::from_le_bytes(self.get(structure).try_into().expect("the field is four bytes long"))
    }

    pub(crate) fn u64(self, structure: &[u8]) -> u64 {
        u64::from_le_bytes(self.get(structure).try_into().expect("the field is eight bytes long"))
    }

    pub(crate) fn is_zero(self, structure: &[u8]) -> bool {
        self.get(structure).iter().all(|byte| *byte == 0)
    }
}

/// The fields as the document shows them.
pub fn markdown_table(fields: &[Field]) -> String {
    let mut table = String::from("| offset | bytes | field | meaning |\n|---|---|---|---|\n");
    for field in fields {
        table.push_str(&format!(
            "| {} | {} | {} | {} |\n",
            field.offset, field.bytes, field.name, field.meaning
        ));
    }
    table
}

/// What a claim's checksums start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(u32);

impl Seed {
    /// The CRC-32 of the nonce: a checksum that starts from it is the CRC-32 of the nonce and what follows.
    pub fn of(nonce: Nonce) -> Seed {
        if Mutant::AcceptWrongNonce.is_at_work() {
            return Seed(0);
        }
        Seed(crc32fast::hash(&nonce.0))
    }

    pub(crate) fn hasher(self) -> crc32fast::Hasher {
        crc32fast::Hasher::new_with_initial(self.0)
    }
}
