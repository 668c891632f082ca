//! A frame that was read: command, headers (the first of each name), body.

use bytes::Bytes;

/// Where a piece of text lies in the frame's header block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Span {
    pub(super) fn of(self, text: &str) -> &str {
        &text[self.start as usize..self.end as usize]
    }
}

/// A frame. Header values are unescaped; where a name was repeated only the first is kept (STOMP 1.2, Repeated Header Entries).
#[derive(Clone, Debug)]
pub struct Frame {
    /// The unescaped text that the spans point into.
    pub(super) text: String,
    pub(super) command: Span,
    pub(super) headers: Vec<(Span, Span)>,
    /// The body; shared, never copied from here on.
    pub body: Bytes,
}

impl Frame {
    /// The command.
    pub fn command(&self) -> &str {
        self.command.of(&self.text)
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// All headers in the sender's order.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers
            .iter()
            .map(|(name, value)| (name.of(&self.text), value.of(&self.text)))
    }
}
