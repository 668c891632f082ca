//! One field of a frame, as the document shows it.

/// One field: where it lies in its frame, how long it is, and what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// What it is called.
    pub name: &'static str,
    /// First byte, from the frame's start.
    pub offset: usize,
    /// Bytes; 0: all that is left of the frame.
    pub bytes: usize,
    /// What it says.
    pub meaning: &'static str,
}

impl Field {
    pub(super) const fn new(name: &'static str, offset: usize, bytes: usize, meaning: &'static str) -> Field {
        Field {
            name,
            offset,
            bytes,
            meaning,
        }
    }
}

/// The fields as the document shows them.
pub fn markdown_table(fields: &[Field]) -> String {
    let mut table = String::from("| offset | bytes | field | meaning |\n|---|---|---|---|\n");
    for field in fields {
        let bytes = match field.bytes {
            0 => "the rest".to_string(),
            bytes => bytes.to_string(),
        };
        table.push_str(&format!(
            "| {} | {bytes} | {} | {} |\n",
            field.offset, field.name, field.meaning
        ));
    }
    table
}
