//! Names and texts from others as an error or a table shows them: cut in the middle, so that both ends can be recognised.
//!
//! Invariant: what is short enough stays as it is.

use std::borrow::Cow;

/// Characters of a foreign name that an error shows.
pub const EXCERPT_CHARS_MAX: usize = 120;

/// A text of at most `chars_max` characters (at least 1): whole, or its beginning and its end with `…` between them.
pub fn excerpt(text: &str, chars_max: usize) -> Cow<'_, str> {
    if text.len() <= chars_max {
        return text.into();
    }
    let length = text.chars().count();
    if length <= chars_max {
        return text.into();
    }
    let kept = chars_max.max(1) - 1;
    let (head, tail) = (kept.div_ceil(2), kept / 2);
    let head: String = text.chars().take(head).collect();
    let tail: String = text.chars().skip(length - tail).collect();
    format!("{head}…{tail}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_keeps_both_ends_and_a_short_one_everything() {
        assert_eq!(excerpt("queue://A", 9), "queue://A");
        assert_eq!(excerpt("queue://AB", 9), "queu…//AB");
        assert_eq!(excerpt("äöüßäöüß", 8), "äöüßäöüß");
        assert_eq!(excerpt("äöüßäöüßx", 8), "äöüß…üßx");
        assert_eq!((excerpt("abc", 1), excerpt("abc", 2)), ("…".into(), "a…".into()));
    }
}
