//! What a waiting message takes in memory, everything counted: the allocator of this test counts every byte.
#![allow(unsafe_code, reason = "an allocator cannot be written without it")]
#![allow(clippy::unwrap_used, reason = "a test may fail by panic, in its helpers too")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use engine::{AdminCommand, AdminRequest, Engine, EngineTime, Settings};
use message::{
    Body, BodyKind, Command, ConnectionId, ConsumerId, Destination, Epoch, Message, Send, Sequence, Subscribe,
    TransactionId,
};
use record::{Place, ReadToken, Record, RecordPlace, SegmentNumber, Store, Ticket};

/// Bytes that are allocated now, as they were asked for.
static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: everything is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: as our caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as our caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A store that keeps nothing, and confirms at once.
#[derive(Default)]
struct Nowhere {
    records: u32,
}

impl Store for Nowhere {
    fn append(&mut self, record: &Record) -> Ticket {
        let (mut bytes, mut messages) = (Vec::new(), Vec::new());
        record.encode(&mut bytes, &mut messages);
        self.records += 1;
        Ticket {
            sequence: Sequence(self.records.into()),
            place: RecordPlace {
                segment: SegmentNumber(1),
                offset: self.records,
            },
            last_segment: SegmentNumber(1),
            messages,
        }
    }

    fn confirmed(&self) -> Sequence {
        Sequence(self.records.into())
    }

    fn read(&mut self, _: Place, _: ReadToken) {
        panic!("nobody consumes what is not in the cache");
    }
}

const CONNECTION: ConnectionId = ConnectionId(1);
const NOW: EngineTime = EngineTime(1_700_000_000_000);

struct Broker {
    engine: Engine,
    store: Nowhere,
    sent: usize,
}

impl Broker {
    fn new(settings: Settings) -> Broker {
        let mut engine = Engine::new(settings, Epoch(1));
        engine.recovered(NOW);
        engine.connect(CONNECTION);
        Broker {
            engine,
            store: Nowhere::default(),
            sent: 0,
        }
    }

    fn carry_out(&mut self, command: Command) {
        self.engine.handle(NOW, CONNECTION, None, command, &mut self.store);
        while self.engine.poll_effect().is_some() {}
    }

    fn purge(&mut self) {
        let queue = Destination::queue("Q").unwrap();
        let purge = AdminCommand::Purge { queue };
        self.engine.handle_admin(NOW, AdminRequest(1), purge, &mut self.store);
        while self.engine.next_timeout().is_some_and(|at| at <= NOW) {
            self.engine.handle_timeout(NOW, &mut self.store);
        }
        while self.engine.poll_effect().is_some() {}
    }

    fn send(&mut self, count: usize) {
        let destination = Destination::queue("Q").unwrap();
        for _ in 0..count {
            self.sent += 1;
            let body = Body {
                kind: BodyKind::Text,
                bytes: vec![b'x'; 1024].into(),
            };
            let message = Message::new(&format!("ID:{}", self.sent), destination.clone(), body);
            self.carry_out(Command::Send(Box::new(Send {
                message: Arc::new(message),
                destinations: vec![destination.clone()],
                transaction: None,
                duplicate_id: None,
            })));
        }
    }
}

/// One test at a time: they share the allocator.
static ALONE: Mutex<()> = Mutex::new(());

fn allocated() -> usize {
    ALLOCATED.load(Ordering::Relaxed)
}

#[test]
fn a_persistent_message_that_waits_takes_40_bytes_and_its_page_a_little_until_it_is_gone() {
    const COUNT: usize = 100_000;
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut broker = Broker::new(Settings {
        body_cache_bytes: 0,
        ..Settings::default()
    });
    // Some bodies are kept whatever the setting; later messages take their place.
    broker.send(10_000);
    broker.purge();
    let empty = allocated();
    broker.send(COUNT);
    let half = allocated();
    broker.send(COUNT);
    let each = (allocated() - half) as f64 / COUNT as f64;
    println!("{each:.3} bytes for each waiting message");
    assert!((40.0..40.5).contains(&each), "{each:.3} bytes for each waiting message");

    broker.purge();
    let kept = allocated().saturating_sub(empty);
    assert!(
        kept < 64 << 10,
        "{kept} bytes are kept of 200 000 messages that are gone"
    );
}

#[test]
fn connections_that_are_gone_take_nothing() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut broker = Broker::new(Settings::default());
    let live = |broker: &mut Broker, connections: u64| {
        let ids = (2..2 + connections).map(ConnectionId);
        for connection in ids.clone() {
            broker.engine.connect(connection);
            let consumer = ConsumerId { connection, number: 1 };
            let transaction = TransactionId { connection, number: 1 };
            let subscribe = Subscribe {
                consumer,
                destinations: vec![Destination::queue("Q").unwrap(), Destination::topic("T").unwrap()],
                selector: Some("a = 1".into()),
                prefetch: 1000,
                browser: false,
                no_local: true,
                exclusive: false,
                priority: 0,
                durable: None,
                pending_max: None,
            };
            for command in [Command::Begin { transaction }, Command::Subscribe(Box::new(subscribe))] {
                broker.engine.handle(NOW, connection, None, command, &mut broker.store);
            }
        }
        for connection in ids {
            broker.engine.disconnect(NOW, connection, &mut broker.store);
        }
        while broker.engine.poll_effect().is_some() {}
    };
    live(&mut broker, 1);
    let before = allocated();
    live(&mut broker, 5_000);
    let kept = allocated().saturating_sub(before);
    // Deques keep the capacity that they grew to.
    assert!(
        kept < 512 << 10,
        "{kept} bytes are kept of 5 000 connections that are gone"
    );
}
