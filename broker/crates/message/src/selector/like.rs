//! Patterns of LIKE: `_` is any one character, `%` any number of them.
//!
//! Matching remembers only the last `%` and costs at most (length of the pattern) × (length of the text); it gives up when more than it is allowed was compared.
//! Proved by `like_agrees_with_the_reference` in `tests/selector_reference.rs`.

use super::effort::Effort;

/// A parsed pattern.
#[derive(Clone, Debug)]
pub(super) struct LikePattern {
    parts: Box<[Part]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Character(char),
    One,
    Many,
}

impl LikePattern {
    /// Reads a pattern. As in ActiveMQ the escape character counts only before `_`, `%` and itself; before anything else it is an
    /// ordinary character, or the wildcard that it would be without ESCAPE.
    pub(super) fn parse(pattern: &str, escape: Option<char>) -> LikePattern {
        let mut parts = Vec::with_capacity(pattern.len());
        let mut characters = pattern.chars().peekable();
        while let Some(character) = characters.next() {
            if Some(character) == escape
                && let Some(literal) = characters.next_if(|&next| next == '_' || next == '%' || Some(next) == escape)
            {
                parts.push(Part::Character(literal));
                continue;
            }
            match character {
                '_' => parts.push(Part::One),
                '%' => parts.push(Part::Many),
                literal => parts.push(Part::Character(literal)),
            }
        }
        LikePattern { parts: parts.into() }
    }

    /// Whether the pattern describes the whole text, character by character (not byte by byte). Counts each comparison; `None` if they are too many.
    pub(super) fn matches(&self, text: &str, effort: &Effort) -> Option<bool> {
        let mut part_index = 0;
        let mut offset = 0;
        // Behind the last `%`: the part that follows it, and where in the text that part was last tried.
        let mut retry: Option<(usize, usize)> = None;
        loop {
            if !effort.add(1) {
                return None;
            }
            let next = text[offset..].chars().next();
            match (self.parts.get(part_index), next) {
                (None, None) => return Some(true),
                (Some(Part::Many), _) => {
                    part_index += 1;
                    if part_index == self.parts.len() {
                        return Some(true);
                    }
                    retry = Some((part_index, offset));
                    continue;
                }
                // The parts since the last `%` need more characters than are left: a later start leaves fewer.
                (Some(Part::One | Part::Character(_)), None) => return Some(false),
                (Some(Part::One), Some(character)) => {
                    part_index += 1;
                    offset += character.len_utf8();
                    continue;
                }
                (Some(Part::Character(literal)), Some(character)) if *literal == character => {
                    part_index += 1;
                    offset += character.len_utf8();
                    continue;
                }
                (Some(Part::Character(_)) | None, Some(_)) => {}
            }
            let Some((behind, tried)) = retry else {
                return Some(false);
            };
            let Some(skipped) = text[tried..].chars().next() else {
                return Some(false);
            };
            offset = tried + skipped.len_utf8();
            part_index = behind;
            retry = Some((behind, offset));
        }
    }
}
