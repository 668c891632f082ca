//! What a message of the benchmark carries: whose it is, its number, when it was sent, and filling that must arrive unchanged.
//!
//! All of it is printable ASCII, so that a broker that turns bytes into text and back changes nothing. Tests: below.

use std::fmt;

/// Bytes in front of the filling: run, producer, number and time, in hexadecimal.
pub(super) const HEADER_BYTES: usize = 8 + 8 + 16 + 16;

/// What stands in front of the filling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BodyHeader {
    /// Tells this run's messages from others'.
    pub(super) run: u32,
    /// Who sent it.
    pub(super) producer: u32,
    /// From 0 on, without gaps.
    pub(super) number: u64,
    /// When it was sent, in nanoseconds since the run began.
    pub(super) sent_at: u64,
}

/// Why a body is not what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WrongBody {
    /// It has another length.
    Length,
    /// Its header is not one.
    Header,
    /// It belongs to another run.
    Foreign,
    /// The filling is changed.
    Filling,
}

impl fmt::Display for WrongBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WrongBody::Length => "has another length than was sent",
            WrongBody::Header => "does not begin with producer and number",
            WrongBody::Foreign => "belongs to another run",
            WrongBody::Filling => "is changed",
        })
    }
}

/// A body of `bytes`, at least [`HEADER_BYTES`], with its filling; the header is still to be written.
pub(super) fn blank(bytes: usize) -> Box<[u8]> {
    let letters = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let mut body: Box<[u8]> = letters.iter().copied().cycle().take(bytes).collect();
    body[..HEADER_BYTES].fill(b'0');
    body
}

impl BodyHeader {
    /// Writes it in front of a body.
    pub(super) fn write(&self, body: &mut [u8]) {
        hexadecimal(u64::from(self.run), &mut body[..8]);
        hexadecimal(u64::from(self.producer), &mut body[8..16]);
        hexadecimal(self.number, &mut body[16..32]);
        hexadecimal(self.sent_at, &mut body[32..HEADER_BYTES]);
    }

    /// Reads a body that ought to be `blank` but for the header.
    pub(super) fn read(body: &[u8], blank: &[u8], run: u32) -> Result<BodyHeader, WrongBody> {
        if body.len() != blank.len() {
            return Err(WrongBody::Length);
        }
        let number = |digits: &[u8]| parse(digits).ok_or(WrongBody::Header);
        let narrow = |digits: &[u8]| Ok(u32::try_from(number(digits)?).expect("eight hexadecimal digits are a u32"));
        let header = BodyHeader {
            run: narrow(&body[..8])?,
            producer: narrow(&body[8..16])?,
            number: number(&body[16..32])?,
            sent_at: number(&body[32..HEADER_BYTES])?,
        };
        if header.run != run {
            return Err(WrongBody::Foreign);
        }
        match body[HEADER_BYTES..] == blank[HEADER_BYTES..] {
            true => Ok(header),
            false => Err(WrongBody::Filling),
        }
    }
}

fn hexadecimal(number: u64, digits: &mut [u8]) {
    let mut rest = number;
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(rest & 15) as usize];
        rest >>= 4;
    }
}

fn parse(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |number: u64, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u64::from(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: BodyHeader = BodyHeader {
        run: 0xfeed_beef,
        producer: 7,
        number: u64::MAX - 1,
        sent_at: 123_456_789,
    };

    #[test]
    fn a_body_comes_back_as_it_was_written() {
        for bytes in [HEADER_BYTES, 1024] {
            let blank = blank(bytes);
            let mut body = blank.clone();
            HEADER.write(&mut body);
            assert!(body.is_ascii());
            assert_eq!(BodyHeader::read(&body, &blank, HEADER.run), Ok(HEADER));
        }
    }

    #[test]
    fn every_change_of_a_body_is_noticed() {
        let blank = blank(100);
        let mut body = blank.clone();
        HEADER.write(&mut body);
        for at in 0..body.len() {
            let mut changed = body.clone();
            changed[at] = b'!';
            let wrong = BodyHeader::read(&changed, &blank, HEADER.run).unwrap_err();
            let expected = match at < HEADER_BYTES {
                true => WrongBody::Header,
                false => WrongBody::Filling,
            };
            assert_eq!(wrong, expected, "{at}");
        }
        assert_eq!(BodyHeader::read(&body[1..], &blank, HEADER.run), Err(WrongBody::Length));
        assert_eq!(BodyHeader::read(&body, &blank, 1), Err(WrongBody::Foreign));
    }
}
