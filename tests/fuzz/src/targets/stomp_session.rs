//! A whole STOMP connection as the broker sees it: bytes and events in, commands and bytes out.
//!
//! However the client's bytes are cut, the same commands and the same output follow; what goes out is bounded by what came in, and a client understands all of it, whatever headers
//! were sent: what one client sends is delivered back to the subscriptions of the connection.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use client::stomp::{Client, ClientSettings, Event as ClientEvent};
use message::{
    Command, ConnectionId, ConsumerId, Delivery, DeliveryTag, Epoch, Event, Message, MessageNumber, Refusal,
    RefusalKind, RequestId,
};
use platform::{BootTime, Now, WallTime};
use wire::stomp::{FrameLimits, Session, SessionSettings};

use crate::input::Input;

/// Begins something that is no byte of the client's: the next byte says what. No UTF-8 has it; twice, it is itself.
const ESCAPE: u8 = 0xff;
const CONNECTION: ConnectionId = ConnectionId(7);

/// Bytes: whether a CONNECT was answered before, and small limits; the length of pieces; then the client's bytes, with escapes.
pub fn run(input: &[u8]) {
    let [choice, piece, script @ ..] = input else { return };
    let whole = converse(*choice, script, usize::MAX);
    for piece in [1, usize::from(*piece).max(1)] {
        let pieces = converse(*choice, script, piece);
        assert_eq!(
            whole.commands, pieces.commands,
            "the commands depend on the cut, every {piece} bytes"
        );
        assert!(
            whole.output == pieces.output,
            "the output depends on the cut, every {piece} bytes: {} is not {}",
            String::from_utf8_lossy(&whole.output),
            String::from_utf8_lossy(&pieces.output)
        );
    }
    let bytes_max = 4096 + script.len() * 2048;
    assert!(
        whole.output.len() <= bytes_max,
        "{} bytes went out for {}",
        whole.output.len(),
        script.len()
    );
    understood(&whole.output);
}

struct Conversation {
    session: Session,
    now: Now,
    commands: Vec<String>,
    output: Vec<u8>,
    requests: VecDeque<RequestId>,
    sent: Vec<Arc<Message>>,
    tags: u64,
}

fn converse(choice: u8, script: &[u8], piece: usize) -> Conversation {
    let now = Now {
        boot: BootTime(1_000_000_000),
        wall: WallTime(1_700_000_000_000),
    };
    let mut settings = SessionSettings::new(Epoch(3), CONNECTION, "holdfast/0.1.0");
    if choice & 0x80 != 0 {
        let limits = &mut settings.limits;
        limits.frame = FrameLimits {
            frame_bytes_max: 400,
            header_bytes_max: 300,
            headers_max: 9,
        };
        // What is sent ahead counts from the read behind the one that began the wait, so reaching `read_ahead_bytes_max` does depend on the cut: it stays out of reach.
        limits.connect_bytes_max = 200;
        (
            limits.answers_bytes_max,
            limits.subscriptions_max,
            limits.transactions_max,
        ) = (600, 2, 2);
        (limits.temporary_destinations_max, limits.prefetch_max) = (2, 5);
    }
    let mut it = Conversation {
        session: Session::new(settings, now),
        now,
        commands: Vec::new(),
        output: Vec::new(),
        requests: VecDeque::new(),
        sent: Vec::new(),
        tags: 0,
    };
    if choice & 3 != 0 {
        let version = ["1.0", "1.1", "1.2"][usize::from(choice & 3) - 1];
        let connect = format!("CONNECT\naccept-version:{version}\nclient-id:me\nheart-beat:1000,1000\n\n\0");
        it.session.handle_bytes(now, connect.as_bytes());
        it.take_commands();
        it.answer(true);
    }
    let mut bytes = Vec::new();
    let mut input = Input::new(script);
    while !input.is_empty() {
        match input.byte() {
            ESCAPE => {
                let action = input.byte();
                if action == ESCAPE {
                    bytes.push(ESCAPE);
                    continue;
                }
                it.say(&std::mem::take(&mut bytes), piece);
                it.act(action, &mut input);
            }
            byte => bytes.push(byte),
        }
    }
    it.say(&bytes, piece);
    it.take_output();
    it.take_commands();
    it
}

impl Conversation {
    fn say(&mut self, bytes: &[u8], piece: usize) {
        for bytes in bytes.chunks(piece) {
            self.session.handle_bytes(self.now, bytes);
        }
        self.take_commands();
    }

    fn act(&mut self, action: u8, input: &mut Input<'_>) {
        match action % 10 {
            0 => self.answer(true),
            1 => self.answer(false),
            2 | 3 => self.deliver(input.byte()),
            4 => self.session.handle_event(
                self.now,
                Event::BrowseEnd {
                    consumer: consumer(input.byte()),
                },
            ),
            5 => {
                let reason = Refusal::new(RefusalKind::InvalidDestination, "gone:\n");
                let consumer = consumer(input.byte());
                self.session
                    .handle_event(self.now, Event::ConsumerEnded { consumer, reason });
            }
            6 => {
                let count = self.take_output();
                self.session.handle_transmitted(self.now, count);
            }
            7 => {
                self.take_output();
                self.session.handle_transmitted(self.now, usize::from(input.byte()));
            }
            8 => {
                self.now.boot = self.now.boot + Duration::from_millis(u64::from(input.byte()) * 50);
                self.session.handle_timeout(self.now);
            }
            _ => {
                let refusal = Refusal::new(RefusalKind::InvalidClientId, "taken");
                self.session
                    .handle_event(self.now, Event::Refused { request: None, refusal });
            }
        }
        self.take_commands();
        self.session.next_timeout();
    }

    /// Answers the oldest request.
    fn answer(&mut self, well: bool) {
        let Some(request) = self.requests.pop_front() else {
            return;
        };
        let event = match well {
            true => Event::Done { request },
            false => Event::Refused {
                request: Some(request),
                refusal: Refusal::new(RefusalKind::IllegalState, "no\\:\n"),
            },
        };
        self.session.handle_event(self.now, event);
        self.take_commands();
    }

    fn deliver(&mut self, which: u8) {
        let message = match self.sent.len().checked_sub(1) {
            Some(last) => Arc::clone(&self.sent[usize::from(which >> 2).min(last)]),
            None => return,
        };
        self.tags += 1;
        self.session.handle_event(
            self.now,
            Event::Deliver(Delivery {
                consumer: consumer(which & 3),
                tag: DeliveryTag(self.tags),
                message,
                number: MessageNumber(100 + self.tags),
                redelivered: which & 1 == 1,
                redeliveries: u32::from(which & 1),
            }),
        );
    }

    fn take_commands(&mut self) {
        while let Some((request, command)) = self.session.poll_command() {
            self.requests.extend(request);
            self.commands.push(format!("{request:?} {command:?}"));
            if let Command::Send(send) = command {
                assert_eq!(send.message.destination, send.destinations[0]);
                self.sent.push(send.message);
            }
        }
    }

    fn take_output(&mut self) -> usize {
        let before = self.output.len();
        while let Some(bytes) = self.session.poll_output() {
            self.output.extend_from_slice(&bytes);
        }
        self.output.len() - before
    }
}

fn consumer(number: u8) -> ConsumerId {
    ConsumerId {
        connection: CONNECTION,
        number: u32::from(number),
    }
}

/// A client reads all of it.
fn understood(output: &[u8]) {
    let now = Now {
        boot: BootTime(1),
        wall: WallTime(1),
    };
    let mut client = Client::new(ClientSettings::new("h"), now);
    client.handle_bytes(now, output);
    while let Some(event) = client.poll_event() {
        let is_broken = matches!(event, ClientEvent::Broken(_) | ClientEvent::Unexpected { .. });
        assert!(!is_broken, "{event:?} in {}", String::from_utf8_lossy(output));
    }
}

/// Inputs to begin with. `<` and a digit stand for the escape and an action.
pub fn seeds() -> Vec<Vec<u8>> {
    let scripts: [(u8, &str); 9] = [
        (
            0,
            "CONNECT\naccept-version:1.1,1.2\nheart-beat:500,500\n\n\0<0SEND\ndestination:/queue/A\nreceipt:r\n\nhi\0<0<6<8z",
        ),
        (
            3,
            "SUBSCRIBE\nid:s\ndestination:/queue/A\nack:client\nselector:a > 1\n\n\0<0SEND\ndestination:/queue/A\na:2\nx\\cy:\\nz\ncontent-length:2\n\na\0\0<2\u{1}<6ACK\nid:holdfast-3-7-1-1\nreceipt:q\n\n\0<0NACK\nid:holdfast-3-7-1-1\n\n\0",
        ),
        (
            2,
            "SUBSCRIBE\nid:s\ndestination:/topic/A.>,/queue/B\nactivemq.prefetchSize:0\n\n\0<0SEND\ndestination:/topic/A.b\nreply-to:/temp-queue/x\npersistent:true\n\nhi\0<2\u{1}<6UNSUBSCRIBE\nid:s\n\n\0<0",
        ),
        (
            1,
            "BEGIN\ntransaction:t\n\n\0SEND\ntransaction:t\ndestination:/queue/A\n\nx\0COMMIT\ntransaction:t\nreceipt:c\n\n\0<1ABORT\ntransaction:t\n\n\0",
        ),
        (
            3,
            "SUBSCRIBE\nid:d\ndestination:/topic/T\nactivemq.subscriptionName:n\nactivemq.noLocal:true\n\n\0<0UNSUBSCRIBE\nid:d\nactivemq.subscriptionName:n\n\n\0DISCONNECT\nreceipt:bye\n\n\0<0<0<6",
        ),
        (
            3,
            "SUBSCRIBE\nid:b\ndestination:/queue/A\nbrowser:true\n\n\0<0<4\u{1}<5\u{1}<6",
        ),
        (
            3,
            "SEND\ndestination:/queue/A\ntransformation:jms-map-json\namq-msg-type:MapMessage\n\n{\"map\":{\"entry\":[{\"string\":[\"a\",\"b\"]}]}}\0<2\u{1}",
        ),
        (
            0x83,
            "SEND\ndestination:/queue/A\n\n1\0SEND\ndestination:/nowhere\nreceipt:1\n\n\0SEND\ndestination:\n\n\0<6",
        ),
        (0x80, "STOMP\nclient-id:c\nlogin:l\npasscode:p\n\n\0<1<8z"),
    ];
    let escaped = |script: &str| -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut rest = script.bytes().peekable();
        while let Some(byte) = rest.next() {
            match byte {
                b'<' if rest.peek().is_some_and(u8::is_ascii_digit) => {
                    bytes.extend([ESCAPE, rest.next().unwrap_or(b'0') - b'0'])
                }
                byte => bytes.push(byte),
            }
        }
        bytes
    };
    scripts
        .iter()
        .map(|(choice, script)| [&[*choice, 11], &escaped(script)[..]].concat())
        .collect()
}
