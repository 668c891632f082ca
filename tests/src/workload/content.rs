//! What the message of a number looks like: everything follows from the number, so that whoever receives it can check it.

use simulated::Prng;

use crate::history::Body;

/// Selectors of the workload ask for this colour.
pub(crate) const SELECTED: &str = "red";

/// The body and the property of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Its number.
    pub body: Body,
    /// The property that selectors look at.
    pub color: &'static str,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Content {
    /// The message of a number; `large` is about the size in bytes of the rare large ones.
    pub fn of(body: Body, large: usize) -> Content {
        let (mut prng, color) = Content::begin(body);
        let size = match prng.below(200) {
            0 => large / 2 + prng.index(large),
            1..=8 => prng.index(20_000),
            9..=40 => prng.index(2_000),
            _ => prng.index(80),
        };
        let mut bytes = format!("{}:", body.0).into_bytes();
        let filler = prng.below(256) as u8;
        // Zeros, newlines and what looks like frames, all over the byte range.
        bytes.extend((0..size).map(|at| (at as u8).wrapping_mul(7).wrapping_add(filler)));
        Content { body, color, bytes }
    }

    /// The source of what follows from a number, and the first that does.
    fn begin(body: Body) -> (Prng, &'static str) {
        let mut prng = Prng::new(body.0.wrapping_mul(0x5851_f42d_4c95_7f2d));
        let color = if prng.below(3) == 0 { SELECTED } else { "blue" };
        (prng, color)
    }

    /// The property of the message of a number.
    pub(crate) fn color_of(body: Body) -> &'static str {
        Content::begin(body).1
    }

    /// The number that a body claims to have; `None` for what is not of this workload.
    pub fn number(bytes: &[u8]) -> Option<Body> {
        let end = bytes.iter().take(21).position(|byte| *byte == b':')?;
        std::str::from_utf8(&bytes[..end]).ok()?.parse().ok().map(Body)
    }

    /// Whether the workload's selector matches it.
    pub fn is_selected(&self) -> bool {
        self.color == SELECTED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_carries_its_number_and_is_made_again_from_it() {
        for number in [1, 7, 1_000_000_007] {
            let content = Content::of(Body(number), 100_000);
            assert_eq!(Content::number(&content.bytes), Some(Body(number)));
            assert_eq!(Content::of(Body(number), 100_000), content);
            assert_eq!(Content::color_of(Body(number)), content.color);
        }
        assert_eq!(Content::number(b"end:1"), None);
        assert_eq!(Content::number(b""), None);
    }

    #[test]
    fn sizes_and_colors_are_mixed() {
        let contents: Vec<_> = (0..2_000).map(|number| Content::of(Body(number), 100_000)).collect();
        assert!(contents.iter().any(|content| content.bytes.len() > 50_000));
        assert!(contents.iter().filter(|content| content.bytes.len() < 100).count() > 1_000);
        let selected = contents.iter().filter(|content| content.is_selected()).count();
        assert!((500..900).contains(&selected), "{selected}");
    }
}
