//! Map messages as STOMP carries them: the JSON that ActiveMQ's transformation `jms-map-json` writes and reads.
//!
//! `{"map":{"entry":[{"string":["name","Dejan"]},{"string":"age","int":5}]}}`. The broker keeps the sender's JSON as the body of a map message; here it is only checked, without building anything.
//! Deliberately absent: `jms-map-xml`, and the object transformations, which turn text into objects of any class.

/// How deep values may nest.
const DEPTH_MAX: u32 = 16;

/// Whether the text is a map in this form: one object with one key `map`, whose value is an object or the empty string.
pub(super) fn is_map(text: &str) -> bool {
    let mut reader = Reader { rest: text.as_bytes() };
    let is_map = reader.expect(b'{')
        && reader.string() == Some(b"map")
        && reader.expect(b':')
        && reader.is_next(|byte| byte == b'{' || byte == b'"')
        && reader.value(0)
        && reader.expect(b'}');
    is_map && reader.is_at_end()
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn skip_space(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }

    fn is_at_end(&mut self) -> bool {
        self.skip_space();
        self.rest.is_empty()
    }

    fn is_next(&mut self, test: impl Fn(u8) -> bool) -> bool {
        self.skip_space();
        self.rest.first().is_some_and(|byte| test(*byte))
    }

    fn expect(&mut self, byte: u8) -> bool {
        let is_there = self.is_next(|next| next == byte);
        if is_there {
            self.rest = &self.rest[1..];
        }
        is_there
    }

    /// The raw text between the quotes.
    fn string(&mut self) -> Option<&'a [u8]> {
        if !self.expect(b'"') {
            return None;
        }
        let text = self.rest;
        let mut at = 0;
        loop {
            match text.get(at)? {
                b'"' => break,
                b'\\' => at += 2,
                0..=0x1f => return None,
                _ => at += 1,
            }
        }
        self.rest = &text[at + 1..];
        Some(&text[..at])
    }

    fn value(&mut self, depth: u32) -> bool {
        if depth > DEPTH_MAX {
            return false;
        }
        self.skip_space();
        match self.rest.first() {
            Some(b'"') => self.string().is_some(),
            Some(b'{') => self.list(b'}', |reader| {
                reader.string().is_some() && reader.expect(b':') && reader.value(depth + 1)
            }),
            Some(b'[') => self.list(b']', |reader| reader.value(depth + 1)),
            Some(_) => self.word(),
            None => false,
        }
    }

    fn list(&mut self, end: u8, mut element: impl FnMut(&mut Self) -> bool) -> bool {
        self.rest = &self.rest[1..];
        if self.expect(end) {
            return true;
        }
        loop {
            if !element(self) {
                return false;
            }
            if self.expect(end) {
                return true;
            }
            if !self.expect(b',') {
                return false;
            }
        }
    }

    /// A number, `true`, `false` or `null`.
    fn word(&mut self) -> bool {
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        let length = self.rest.iter().take_while(|byte| is_word(byte)).count();
        let (word, rest) = self.rest.split_at(length);
        self.rest = rest;
        matches!(word, b"true" | b"false" | b"null")
            || (word.first().is_some_and(|byte| byte.is_ascii_digit() || *byte == b'-')
                && std::str::from_utf8(word).is_ok_and(|word| word.parse::<f64>().is_ok()))
    }
}

#[cfg(test)]
mod tests {
    use super::is_map;

    #[test]
    fn what_activemq_writes_is_a_map_and_other_text_is_not() {
        for text in [
            r#"{"map":{"entry":[{"string":["name","Dejan"]},{"string":["city","Belgrade"]}]}}"#,
            r#" { "map" : {"entry":{"string":"age","int":5}} } "#,
            r#"{"map":""}"#,
            r#"{"map":{"entry":[{"string":"a\"b","double":-1.5e3},{"string":"c","null":null}]}}"#,
        ] {
            assert!(is_map(text), "{text}");
        }
        let deep = format!("{}{}{}", r#"{"map":{"a":"#, "[".repeat(1000), "]".repeat(1000));
        for text in [
            "",
            "Hello",
            "{",
            r#"{"map""#,
            r#"{"map":{}"#,
            r#"{"map":5}"#,
            r#"{"list":{}}"#,
            r#"{"map":{}} x"#,
            r#"{"map":{"a":nul}}"#,
            r#"{"map":{"a":1,}}"#,
            "{\"map\":\"\\",
            &deep,
        ] {
            assert!(!is_map(text), "{text}");
        }
    }
}
