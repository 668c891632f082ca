//! What the functions SPLIT and REPLACE do, for patterns that are plain text.
//!
//! ActiveMQ hands these patterns to a regular expression engine. Here a pattern must say literally what it finds
//! (metacharacters escaped by a backslash); everything else is refused when the selector is parsed, never guessed at.

use super::COMPUTED_STRING_BYTES_MAX;

/// The text that a regular expression finds, if it is plain text: `','`, `'\.'`, `'::'`. `None` if it is more than that, or empty.
pub(super) fn plain_pattern(pattern: &str) -> Option<Box<str>> {
    let mut plain = String::with_capacity(pattern.len());
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => plain.push(characters.next().filter(char::is_ascii_punctuation)?),
            '^' | '$' | '.' | '|' | '?' | '*' | '+' | '(' | ')' | '[' | ']' | '{' | '}' => return None,
            literal => plain.push(literal),
        }
    }
    (!plain.is_empty()).then(|| plain.into())
}

/// The text that a replacement puts in, if it refers to no group (`$1`); a backslash takes the next character literally.
pub(super) fn plain_replacement(replacement: &str) -> Option<Box<str>> {
    let mut plain = String::with_capacity(replacement.len());
    let mut characters = replacement.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => plain.push(characters.next()?),
            '$' => return None,
            literal => plain.push(literal),
        }
    }
    Some(plain.into())
}

/// Whether `candidate` is one of the pieces of `source`.
///
/// Pieces are those of Java's `String.split`: with `limit` 0 empty pieces at the end do not count, a positive limit is
/// the largest number of pieces, a negative one keeps everything.
pub(super) fn split_contains(source: &str, separator: &str, limit: i64, candidate: &str) -> bool {
    if let Ok(pieces @ 1..) = usize::try_from(limit) {
        return source.splitn(pieces, separator).any(|piece| piece == candidate);
    }
    if limit < 0 || !candidate.is_empty() || !source.contains(separator) {
        return source.split(separator).any(|piece| piece == candidate);
    }
    // An empty piece counts only if one that is not empty follows.
    let mut empty_seen = false;
    source.split(separator).any(|piece| {
        empty_seen |= piece.is_empty();
        empty_seen && !piece.is_empty()
    })
}

/// `source` with every `pattern` replaced, from left to right; `None` if that is longer than [`COMPUTED_STRING_BYTES_MAX`].
pub(super) fn replace(source: &str, pattern: &str, replacement: &str) -> Option<String> {
    let mut replaced = String::new();
    for (index, piece) in source.split(pattern).enumerate() {
        let glue = if index == 0 { "" } else { replacement };
        if replaced.len() + glue.len() + piece.len() > COMPUTED_STRING_BYTES_MAX {
            return None;
        }
        replaced.push_str(glue);
        replaced.push_str(piece);
    }
    Some(replaced)
}
