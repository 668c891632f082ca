//! The book of a run: what each producer sent, what each consumer got, and what is wrong with it.
//!
//! On a queue every message has to arrive exactly once, at whichever consumer; on a topic at every consumer. In both, what one consumer gets from one producer comes in the order of
//! sending. Invariant: what the book takes does not grow with the run, as long as messages come about in order. Tests: below.

use std::collections::VecDeque;
use std::fmt;

use serde::Serialize;

/// The numbers that came, of those that one producer sent to a queue.
#[derive(Clone, Debug, Default)]
struct Arrived {
    /// All numbers below it came; a multiple of 64.
    base: u64,
    /// From `base` on, a bit for each number.
    bits: VecDeque<u64>,
    count: u64,
}

impl Arrived {
    /// False if it had come before.
    fn note(&mut self, number: u64) -> bool {
        let Some(beyond) = number.checked_sub(self.base) else {
            return false;
        };
        let word = usize::try_from(beyond / 64).expect("the caller takes no number that was not sent");
        let bit = 1 << (beyond % 64);
        if word >= self.bits.len() {
            self.bits.resize(word + 1, 0);
        }
        if self.bits[word] & bit != 0 {
            return false;
        }
        self.bits[word] |= bit;
        self.count += 1;
        while self.bits.front() == Some(&u64::MAX) {
            self.bits.pop_front();
            self.base += 64;
        }
        true
    }

    /// The lowest number that did not come.
    fn first_missing(&self) -> u64 {
        match self.bits.iter().position(|word| *word != u64::MAX) {
            Some(word) => self.base + word as u64 * 64 + u64::from(self.bits[word].trailing_ones()),
            None => self.base + self.bits.len() as u64 * 64,
        }
    }
}

/// What is wrong with what came, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Faults {
    /// Confirmed and never delivered.
    pub(super) lost: u64,
    /// Delivered more than once to whom one delivery was due.
    pub(super) doubled: u64,
    /// Delivered after a later one of the same producer.
    pub(super) disordered: u64,
    /// No message of this run, or a changed one.
    pub(super) foreign: u64,
    /// The first of them, for people.
    pub(super) first: Option<String>,
}

impl Faults {
    /// Whether nothing is wrong.
    pub(super) fn none(&self) -> bool {
        self.lost + self.doubled + self.disordered + self.foreign == 0
    }

    fn tell(&mut self, story: impl FnOnce() -> String) {
        self.first.get_or_insert_with(story);
    }
}

/// `3 lost, 1 doubled`.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = [
            (self.lost, "lost"),
            (self.doubled, "doubled"),
            (self.disordered, "out of order"),
            (self.foreign, "changed or foreign"),
        ];
        let mut separator = "";
        for (count, kind) in kinds {
            if count > 0 {
                write!(f, "{separator}{count} {kind}")?;
                separator = ", ";
            }
        }
        match separator.is_empty() {
            true => f.write_str("none"),
            false => Ok(()),
        }
    }
}

/// Who has to get a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One consumer.
    Queue,
    /// Every consumer.
    Topic,
}

/// What was sent and what came.
#[derive(Debug)]
pub(super) struct Ledger {
    kind: Kind,
    /// Producer → messages sent.
    sent: Vec<u64>,
    /// Producer → what came, on a queue.
    arrived: Vec<Arrived>,
    /// Consumer → producer → the number that comes next at the earliest.
    next: Vec<Vec<u64>>,
    /// Consumer → deliveries.
    received: Vec<u64>,
    /// The sums of `sent` and `received`.
    sent_in_all: u64,
    received_in_all: u64,
    faults: Faults,
}

impl Ledger {
    pub(super) fn new(kind: Kind, producers: usize) -> Ledger {
        Ledger {
            kind,
            sent: vec![0; producers],
            arrived: vec![Arrived::default(); producers],
            next: Vec::new(),
            received: Vec::new(),
            sent_in_all: 0,
            received_in_all: 0,
            faults: Faults::default(),
        }
    }

    /// A further consumer; its number.
    pub(super) fn consumer(&mut self) -> usize {
        self.next.push(vec![0; self.sent.len()]);
        self.received.push(0);
        self.received.len() - 1
    }

    /// The number of the message that `producer` sends now.
    pub(super) fn sending(&mut self, producer: usize) -> u64 {
        let number = self.sent[producer];
        self.sent[producer] += 1;
        self.sent_in_all += 1;
        number
    }

    /// Takes note of a delivery.
    pub(super) fn delivered(&mut self, consumer: usize, producer: usize, number: u64) {
        self.received[consumer] += 1;
        self.received_in_all += 1;
        if self.sent.get(producer).is_none_or(|sent| number >= *sent) {
            self.faults.foreign += 1;
            self.faults
                .tell(|| format!("message {number} of producer {producer} came and was never sent"));
            return;
        }
        let next = &mut self.next[consumer][producer];
        let expected = *next;
        *next = expected.max(number + 1);
        let again = match self.kind {
            Kind::Queue => !self.arrived[producer].note(number),
            // What a topic's consumer was not yet given before a later one is lost, or comes out of order and is counted then.
            Kind::Topic => number < expected,
        };
        if again {
            self.faults.doubled += 1;
            self.faults.tell(|| {
                format!(
                    "message {number} of producer {producer} came to consumer {consumer} and had been delivered before"
                )
            });
        } else if number < expected {
            self.faults.disordered += 1;
            self.faults.tell(|| {
                format!(
                    "message {number} of producer {producer} came to consumer {consumer} behind message {}",
                    expected - 1
                )
            });
        } else if self.kind == Kind::Topic && number > expected {
            self.faults.lost += number - expected;
            self.faults.tell(|| {
                format!(
                    "message {expected} of producer {producer} was passed over at consumer {consumer}: {number} came"
                )
            });
        }
    }

    /// Takes note of a delivery that is no message of this run.
    pub(super) fn foreign(&mut self, consumer: usize, why: &impl fmt::Display) {
        self.received[consumer] += 1;
        self.received_in_all += 1;
        self.faults.foreign += 1;
        self.faults
            .tell(|| format!("a body that came to consumer {consumer} {why}"));
    }

    /// Messages sent.
    pub(super) fn sent(&self) -> u64 {
        self.sent_in_all
    }

    /// Deliveries to all consumers.
    pub(super) fn received(&self) -> u64 {
        self.received_in_all
    }

    /// Messages that the slowest consumer has yet to get.
    pub(super) fn backlog(&self) -> u64 {
        let received = match self.kind {
            Kind::Queue => self.received(),
            Kind::Topic => self.received.iter().copied().min().unwrap_or(0),
        };
        self.sent().saturating_sub(received)
    }

    /// Whether nothing is left to come.
    pub(super) fn complete(&self) -> bool {
        let due = match self.kind {
            Kind::Queue => self.sent(),
            Kind::Topic => self.sent() * self.received.len() as u64,
        };
        self.received() + self.faults.lost >= due + self.faults.doubled + self.faults.foreign
    }

    /// What is wrong so far, without what is yet to come.
    pub(super) fn faults(&self) -> &Faults {
        &self.faults
    }

    /// What is wrong when nothing more comes. All that was sent has to have been confirmed.
    pub(super) fn verdict(&self) -> Faults {
        let mut faults = self.faults.clone();
        let mut lose = |count: u64, story: &dyn Fn() -> String| {
            if count > 0 {
                faults.lost += count;
                faults.tell(story);
            }
        };
        for (producer, sent) in self.sent.iter().enumerate() {
            match self.kind {
                Kind::Queue => {
                    let arrived = &self.arrived[producer];
                    lose(sent - arrived.count, &|| {
                        format!("message {} of producer {producer} never came", arrived.first_missing())
                    });
                }
                Kind::Topic => {
                    for (consumer, next) in self.next.iter().enumerate() {
                        let next = next[producer];
                        lose(sent - next, &|| {
                            format!("message {next} of producer {producer} never came to consumer {consumer}")
                        });
                    }
                }
            }
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(kind: Kind, consumers: usize, sent: u64) -> Ledger {
        let mut ledger = Ledger::new(kind, 2);
        for _ in 0..consumers {
            ledger.consumer();
        }
        for _ in 0..sent {
            ledger.sending(1);
        }
        ledger
    }

    #[test]
    fn a_queue_whose_messages_are_shared_among_consumers_is_without_fault() {
        let mut ledger = ledger(Kind::Queue, 3, 1000);
        // Consumer 2 is behind the others.
        for number in (0..1000).filter(|number| number % 3 != 2) {
            ledger.delivered((number % 3) as usize, 1, number);
        }
        assert!(!ledger.complete());
        assert_eq!(ledger.backlog(), 333);
        for number in (0..1000).filter(|number| number % 3 == 2) {
            ledger.delivered(2, 1, number);
        }
        assert!(ledger.complete() && ledger.verdict().none(), "{:?}", ledger.verdict());
        assert_eq!(ledger.arrived[1].first_missing(), 1000);
        assert!(ledger.arrived[1].bits.len() <= 1, "the book keeps what is open only");
    }

    #[test]
    fn a_message_that_never_comes_is_lost() {
        for missing in [0, 63, 64, 500, 999] {
            let mut ledger = ledger(Kind::Queue, 1, 1000);
            for number in (0..1000).filter(|number| *number != missing) {
                ledger.delivered(0, 1, number);
            }
            assert!(!ledger.complete());
            let faults = ledger.verdict();
            assert_eq!((faults.lost, faults.to_string().as_str()), (1, "1 lost"));
            let first = faults.first.unwrap();
            assert!(first.contains(&format!("message {missing} of producer 1")), "{first}");
        }
    }

    #[test]
    fn a_message_that_comes_again_is_doubled_at_whichever_consumer() {
        for again in [0, 5, 70] {
            let mut ledger = ledger(Kind::Queue, 2, 100);
            (0..100).for_each(|number| ledger.delivered(0, 1, number));
            ledger.delivered(1, 1, again);
            let faults = ledger.verdict();
            assert_eq!(
                (faults.doubled, faults.lost, faults.disordered),
                (1, 0, 0),
                "{faults:?}"
            );
        }
    }

    #[test]
    fn a_message_behind_a_later_one_of_its_producer_is_out_of_order() {
        let mut ledger = ledger(Kind::Queue, 1, 3);
        [0, 2, 1].iter().for_each(|number| ledger.delivered(0, 1, *number));
        let faults = ledger.verdict();
        assert_eq!((faults.disordered, faults.doubled, faults.lost), (1, 0, 0));
        assert!(ledger.complete());
    }

    #[test]
    fn each_consumer_of_a_topic_has_to_get_every_message() {
        let mut ledger = ledger(Kind::Topic, 2, 5);
        (0..5).for_each(|number| ledger.delivered(0, 1, number));
        assert_eq!((ledger.backlog(), ledger.complete()), (5, false));
        (0..3).for_each(|number| ledger.delivered(1, 1, number));
        let faults = ledger.verdict();
        assert_eq!(
            (faults.lost, ledger.faults().lost),
            (2, 0),
            "the end of it, once the run is over"
        );
        (3..5).for_each(|number| ledger.delivered(1, 1, number));
        assert!(ledger.complete() && ledger.verdict().none());
    }

    #[test]
    fn a_gap_on_a_topic_is_lost_at_once_and_a_repetition_is_doubled() {
        let mut ledger = ledger(Kind::Topic, 1, 5);
        [0, 3, 3, 4].iter().for_each(|number| ledger.delivered(0, 1, *number));
        assert_eq!((ledger.faults().lost, ledger.faults().doubled), (2, 1));
        assert!(ledger.complete());
        assert_eq!(ledger.verdict().to_string(), "2 lost, 1 doubled");
    }

    #[test]
    fn what_was_never_sent_is_foreign() {
        let mut ledger = ledger(Kind::Queue, 1, 1);
        ledger.delivered(0, 0, 0);
        ledger.delivered(0, 9, 0);
        ledger.foreign(0, &"is changed");
        assert_eq!(ledger.verdict().foreign, 3);
        assert!(!ledger.complete(), "the one that was sent is still to come");
    }
}
