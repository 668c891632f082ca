//! Cuts the text of a selector into tokens.
//!
//! Tokens are those of ActiveMQ's grammar, with these additions from the specification (which takes Java's): the suffix `L` on
//! hexadecimal and octal literals, `F` and `D` on numbers, and letters of any script in identifiers. White space is space, tab,
//! line feed, carriage return and form feed. `--` begins a comment only if the line ends within the text: at the very end
//! `5--3` is arithmetic, as in ActiveMQ.

use super::error::SelectorError;

/// Characters of a token that an error repeats.
const FOUND_CHARACTERS_MAX: usize = 40;

/// 2^63: the one magnitude that is an integer only behind a minus sign.
const MINIMUM_MAGNITUDE: u64 = 1 << 63;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token<'a> {
    pub(super) kind: TokenKind<'a>,
    /// Offset of the first byte.
    pub(super) start: usize,
    /// Offset behind the last byte.
    pub(super) end: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum TokenKind<'a> {
    Identifier(&'a str),
    /// Without its quotes, `''` made one.
    String(String),
    Integer(i64),
    /// 9223372036854775808, which fits only behind a minus sign.
    IntegerMinimum,
    Float(f64),
    And,
    Between,
    Escape,
    False,
    In,
    Is,
    Like,
    Not,
    Null,
    Or,
    True,
    Xpath,
    Xquery,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Plus,
    Minus,
    Star,
    Slash,
    Percent,
    ParenthesisOpen,
    ParenthesisClose,
    Comma,
    End,
}

pub(super) struct Lexer<'a> {
    text: &'a str,
    offset: usize,
    /// Offset of the last line end: a `--` in front of it begins a comment.
    last_line_end: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Lexer<'a> {
        Lexer {
            text,
            offset: 0,
            last_line_end: text.rfind(['\n', '\r']).unwrap_or(0),
        }
    }

    /// The next token; [`TokenKind::End`] for ever at the end.
    pub(super) fn next_token(&mut self) -> Result<Token<'a>, SelectorError> {
        self.skip_blanks()?;
        let start = self.offset;
        let rest = &self.text[start..];
        let Some(first) = rest.chars().next() else {
            return Ok(Token {
                kind: TokenKind::End,
                start,
                end: start,
            });
        };
        let second = rest.as_bytes().get(1).copied().unwrap_or(0);
        let (kind, length) = match (first, second) {
            ('\'', _) => return self.string(),
            ('0'..='9', _) | ('.', b'0'..=b'9') => return self.number(),
            ('<', b'>') => (TokenKind::NotEqual, 2),
            ('<', b'=') => (TokenKind::LessOrEqual, 2),
            ('>', b'=') => (TokenKind::GreaterOrEqual, 2),
            ('<', _) => (TokenKind::Less, 1),
            ('>', _) => (TokenKind::Greater, 1),
            ('=', _) => (TokenKind::Equal, 1),
            ('+', _) => (TokenKind::Plus, 1),
            ('-', _) => (TokenKind::Minus, 1),
            ('*', _) => (TokenKind::Star, 1),
            ('/', _) => (TokenKind::Slash, 1),
            ('%', _) => (TokenKind::Percent, 1),
            ('(', _) => (TokenKind::ParenthesisOpen, 1),
            (')', _) => (TokenKind::ParenthesisClose, 1),
            (',', _) => (TokenKind::Comma, 1),
            (first, _) if begins_identifier(first) => {
                let word = &rest[..rest.find(|next| !continues_identifier(next)).unwrap_or(rest.len())];
                (keyword(word).unwrap_or(TokenKind::Identifier(word)), word.len())
            }
            ('"', _) => {
                let problem = "strings stand in single quotes ('text'), and identifiers without quotes";
                return Err(self.invalid(start, problem.to_owned()));
            }
            ('!', b'=') => return Err(self.invalid(start, "'not equal' is written <>".to_owned())),
            (other, _) => {
                return Err(self.invalid(start, format!("the character {other:?} has no meaning in a selector")));
            }
        };
        self.offset = start + length;
        Ok(Token {
            kind,
            start,
            end: self.offset,
        })
    }

    /// The column of a byte offset: characters from 1.
    pub(super) fn column(&self, offset: usize) -> usize {
        self.text[..offset].chars().count() + 1
    }

    pub(super) fn invalid(&self, offset: usize, problem: String) -> SelectorError {
        SelectorError::Invalid {
            column: self.column(offset),
            problem,
        }
    }

    /// A token as errors show it.
    pub(super) fn shown(&self, token: &Token<'_>) -> String {
        if token.kind == TokenKind::End {
            return "the end of the selector".to_owned();
        }
        shortened(&self.text[token.start..token.end])
    }

    fn skip_blanks(&mut self) -> Result<(), SelectorError> {
        loop {
            let rest = &self.text[self.offset..];
            let trimmed = rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']);
            self.offset += rest.len() - trimmed.len();
            if let Some(comment) = trimmed.strip_prefix("/*") {
                let Some(length) = comment.find("*/") else {
                    let problem = "the comment that begins here is not closed; */ is missing";
                    return Err(self.invalid(self.offset, problem.to_owned()));
                };
                self.offset += length + 4;
            } else if trimmed.starts_with("--") && self.offset < self.last_line_end {
                self.offset += trimmed.find(['\n', '\r']).unwrap_or(trimmed.len());
            } else {
                return Ok(());
            }
        }
    }

    fn string(&mut self) -> Result<Token<'a>, SelectorError> {
        let start = self.offset;
        let mut content = String::new();
        let mut offset = start + 1;
        loop {
            let Some(length) = self.text[offset..].find('\'') else {
                let problem =
                    "the string that begins here is not closed; ' is missing (a quote inside a string is written '')";
                return Err(self.invalid(start, problem.to_owned()));
            };
            content.push_str(&self.text[offset..offset + length]);
            offset += length + 1;
            if !self.text[offset..].starts_with('\'') {
                break;
            }
            content.push('\'');
            offset += 1;
        }
        self.offset = offset;
        Ok(Token {
            kind: TokenKind::String(content),
            start,
            end: offset,
        })
    }

    fn number(&mut self) -> Result<Token<'a>, SelectorError> {
        let start = self.offset;
        let bytes = self.text.as_bytes();
        let digits_from = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();

        let hexadecimal = match bytes[start..] {
            [b'0', b'x' | b'X', ..] => bytes[start + 2..]
                .iter()
                .take_while(|byte| byte.is_ascii_hexdigit())
                .count(),
            _ => 0,
        };
        if hexadecimal > 0 {
            let end = start + 2 + hexadecimal;
            let magnitude = u64::from_str_radix(&self.text[start + 2..end], 16).ok();
            return self.integer(start, end, magnitude.filter(|&magnitude| magnitude < MINIMUM_MAGNITUDE));
        }

        let mut end = start + digits_from(start);
        let whole_end = end;
        if bytes.get(end) == Some(&b'.') {
            end += 1;
            end += digits_from(end);
        }
        if let Some(b'e' | b'E') = bytes.get(end) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            let exponent_start = end + 1 + sign;
            let exponent = bytes.get(exponent_start..).map_or(0, |_| digits_from(exponent_start));
            if exponent > 0 {
                end = exponent_start + exponent;
            }
        }
        let text = &self.text[start..end];
        let single = self.has_suffix(end, b'f');
        let double = self.has_suffix(end, b'd');
        if end > whole_end || single || double {
            // Java's suffix F rounds the literal to 32 bits, like the properties that it is compared with.
            let float = if single {
                text.parse::<f32>().map(f64::from)
            } else {
                text.parse::<f64>()
            };
            let Ok(float) = float else {
                return Err(self.invalid(start, format!("{} is not a number", shortened(text))));
            };
            self.offset = end + usize::from(single || double);
            return Ok(Token {
                kind: TokenKind::Float(float),
                start,
                end: self.offset,
            });
        }
        if text.len() > 1 && text.starts_with('0') {
            if text.contains(['8', '9']) {
                let shown = shortened(text);
                let problem =
                    format!("{shown} begins with 0 and is octal, but has a digit that octal numbers do not have");
                return Err(self.invalid(start, problem));
            }
            let magnitude = u64::from_str_radix(text, 8).ok();
            return self.integer(start, end, magnitude.filter(|&magnitude| magnitude < MINIMUM_MAGNITUDE));
        }
        self.integer(start, end, text.parse().ok())
    }

    fn integer(&mut self, start: usize, end: usize, magnitude: Option<u64>) -> Result<Token<'a>, SelectorError> {
        self.offset = end + usize::from(self.has_suffix(end, b'l'));
        let kind = match magnitude.map(|magnitude| (i64::try_from(magnitude), magnitude)) {
            Some((Ok(integer), _)) => TokenKind::Integer(integer),
            Some((Err(_), MINIMUM_MAGNITUDE)) => TokenKind::IntegerMinimum,
            Some((Err(_), _)) | None => return Err(self.out_of_range(start)),
        };
        Ok(Token {
            kind,
            start,
            end: self.offset,
        })
    }

    pub(super) fn out_of_range(&self, start: usize) -> SelectorError {
        let problem =
            "the integer does not fit 64 bits; write it with a decimal point if an approximate number will do";
        self.invalid(start, problem.to_owned())
    }

    /// Whether a literal that ends at `end` has this suffix (lower case given), and no word that only begins with the letter.
    fn has_suffix(&self, end: usize, suffix: u8) -> bool {
        self.text
            .as_bytes()
            .get(end)
            .is_some_and(|byte| byte.to_ascii_lowercase() == suffix)
            && !self.text[end + 1..].starts_with(continues_identifier)
    }
}

/// A part of the text as errors show it.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(FOUND_CHARACTERS_MAX) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.to_owned(),
    }
}

fn begins_identifier(character: char) -> bool {
    character.is_alphabetic() || character == '_' || character == '$'
}

fn continues_identifier(character: char) -> bool {
    character.is_alphanumeric() || character == '_' || character == '$'
}

fn keyword(word: &str) -> Option<TokenKind<'static>> {
    const KEYWORDS: [(&str, TokenKind<'static>); 13] = [
        ("AND", TokenKind::And),
        ("BETWEEN", TokenKind::Between),
        ("ESCAPE", TokenKind::Escape),
        ("FALSE", TokenKind::False),
        ("IN", TokenKind::In),
        ("IS", TokenKind::Is),
        ("LIKE", TokenKind::Like),
        ("NOT", TokenKind::Not),
        ("NULL", TokenKind::Null),
        ("OR", TokenKind::Or),
        ("TRUE", TokenKind::True),
        ("XPATH", TokenKind::Xpath),
        ("XQUERY", TokenKind::Xquery),
    ];
    KEYWORDS
        .into_iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(word))
        .map(|(_, kind)| kind)
}
