//! Heart-beats: what the two sides agree on (STOMP 1.2, Heart-beating).

use std::time::Duration;

/// The two numbers of a `heart-beat` header, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeartBeat {
    /// The longest silence that the sender of the header promises; 0: it promises nothing.
    pub promises_ms: u32,
    /// The longest silence that it wants to see from the other side; 0: it does not care.
    pub wants_ms: u32,
}

impl HeartBeat {
    /// The header's value, as two decimal numbers; larger than a u32 is as good as its maximum (49 days).
    pub fn parse(text: &str) -> Option<HeartBeat> {
        let (promises, wants) = text.trim().split_once(',')?;
        let number = |text: &str| -> Option<u32> {
            let text = text.trim();
            let is_number = !text.is_empty() && text.len() <= 19 && text.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| text.parse::<u64>().ok().map(|ms| u32::try_from(ms).unwrap_or(u32::MAX)))?
        };
        Some(HeartBeat {
            promises_ms: number(promises)?,
            wants_ms: number(wants)?,
        })
    }

    /// How a server answers: it promises what the client wants and wants what the client promises, as ActiveMQ does.
    pub fn swapped(self) -> HeartBeat {
        HeartBeat {
            promises_ms: self.wants_ms,
            wants_ms: self.promises_ms,
        }
    }

    /// How often this side has to send something, given what the other side's header says.
    pub fn send_every(self, other: HeartBeat) -> Option<Duration> {
        agreed(self.promises_ms, other.wants_ms)
    }

    /// How often this side may expect something.
    pub fn receive_every(self, other: HeartBeat) -> Option<Duration> {
        agreed(other.promises_ms, self.wants_ms)
    }
}

impl std::fmt::Display for HeartBeat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{},{}", self.promises_ms, self.wants_ms)
    }
}

fn agreed(promised: u32, wanted: u32) -> Option<Duration> {
    (promised != 0 && wanted != 0).then(|| Duration::from_millis(promised.max(wanted).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_direction_takes_the_slower_of_promise_and_wish_or_none() {
        for (mine, other, send, receive) in [
            ((0, 0), (0, 0), None, None),
            ((100, 0), (0, 50), Some(100), None),
            ((100, 0), (0, 500), Some(500), None),
            ((0, 300), (200, 0), None, Some(300)),
            ((1, 1), (0, 0), None, None),
        ] {
            let beat = |(promises_ms, wants_ms)| HeartBeat { promises_ms, wants_ms };
            assert_eq!(beat(mine).send_every(beat(other)), send.map(Duration::from_millis));
            assert_eq!(
                beat(mine).receive_every(beat(other)),
                receive.map(Duration::from_millis)
            );
        }
    }

    #[test]
    fn anything_but_two_numbers_is_refused() {
        for text in [
            "",
            "1",
            "1,",
            ",1",
            "-1,0",
            "1,2,3",
            "a,b",
            "+1,2",
            "99999999999999999999,0",
        ] {
            assert_eq!(HeartBeat::parse(text), None, "{text}");
        }
        assert_eq!(
            HeartBeat::parse(" 10 , 20 "),
            Some(HeartBeat {
                promises_ms: 10,
                wants_ms: 20
            })
        );
    }
}
