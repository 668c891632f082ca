//! Nodes on a simulated disk, driven by hand, and clients that speak raw STOMP.

use std::time::Duration;

use leadership::Addresses;
use message::ConnectionId;
use node::{End, Node, NodeIdentity, Role, Settings};
use platform::{FileSystem, Now};
use simulated::{Crash, FaultPlan, Landed, MachineNumber, Prng, ProcessNumber, SimulatedClock, SimulatedStorage};

pub(crate) struct World {
    pub(crate) storage: SimulatedStorage,
    pub(crate) machine: MachineNumber,
    clock: SimulatedClock,
    pub(crate) random: Prng,
}

pub(crate) struct Broker {
    pub(crate) node: Node,
    process: ProcessNumber,
}

pub(crate) fn settings() -> Settings {
    let mut settings = Settings {
        ballast_bytes: 0,
        ..Settings::default()
    };
    settings.journal.segment_bytes = 256 << 10;
    settings.journal.batch_bytes_max = 16 << 10;
    settings
}

impl World {
    pub(crate) fn new(file_system: FileSystem) -> World {
        let storage = SimulatedStorage::with_file_system(7, FaultPlan::calm(), file_system);
        let machine = storage.boot_machine("first");
        World {
            storage,
            machine,
            clock: SimulatedClock::new(Duration::from_secs(100), 0),
            random: Prng::new(7),
        }
    }

    pub(crate) fn now(&self) -> Now {
        self.clock.now(self.storage.now())
    }

    pub(crate) fn start(&mut self, settings: Settings) -> Broker {
        let disk = self.storage.start_process(self.machine);
        let process = disk.process();
        let identity = NodeIdentity {
            process: disk.identity(),
            addresses: Addresses {
                clients: vec!["stomp://127.0.0.1:61613".into()],
                ..Addresses::default()
            },
            version: "0.1.0".into(),
        };
        let now = self.now();
        Broker {
            node: Node::new(Box::new(disk), settings, identity, &mut self.random, now),
            process,
        }
    }

    /// Lets the brokers run until `done`, or for at most `limit` of simulated time; gives the time taken.
    pub(crate) fn run(
        &self,
        limit: Duration,
        brokers: &mut [&mut Broker],
        done: impl Fn(&[&mut Broker]) -> bool,
    ) -> Duration {
        let begun = self.storage.now();
        let end = begun + limit;
        loop {
            let now = self.now();
            brokers.iter_mut().for_each(|broker| broker.node.turn(now));
            if done(brokers) || self.storage.now() >= end {
                return self.storage.now().since(begun);
            }
            let deadlines = brokers
                .iter_mut()
                .filter_map(|broker| broker.node.next_deadline(now))
                .map(|at| self.clock.world(at));
            // A broker that gets no turns does not collect what its disk has completed: step past that.
            let step = self.storage.now() + Duration::from_micros(50);
            let completion = self
                .storage
                .next_completion_at()
                .map(|at| if at > self.storage.now() { at } else { step });
            let next = deadlines.chain(completion).min().unwrap_or(end);
            self.storage
                .advance_to(next.max(self.storage.now() + Duration::from_nanos(1)).min(end));
        }
    }

    pub(crate) fn lead(&self, broker: &mut Broker) -> Duration {
        let took = self.run(Duration::from_secs(20), &mut [broker], |brokers| {
            brokers[0].node.end().is_some() || brokers[0].node.status(self.now()).role == Role::Leading
        });
        let status = broker.node.status(self.now());
        assert_eq!(status.role, Role::Leading, "{:?} {}", broker.node.end(), status.phase);
        took
    }

    pub(crate) fn end(&self, broker: &mut Broker) -> End {
        self.run(Duration::from_secs(200), &mut [broker], |brokers| {
            brokers[0].node.end().is_some()
        });
        broker.node.end().cloned().expect("it was to end")
    }

    pub(crate) fn kill(&self, broker: Broker) {
        self.storage.crash(Crash::Process(broker.process), Landed::None);
    }
}

/// A client's connection: what it was sent so far, as text.
pub(crate) struct Client {
    pub(crate) connection: ConnectionId,
    pub(crate) seen: String,
}

impl World {
    /// Connects a client.
    pub(crate) fn client(&self, broker: &mut Broker) -> Client {
        let connection = broker.node.open(self.now()).expect("it leads and has room");
        let mut client = Client {
            connection,
            seen: String::new(),
        };
        self.say(broker, &mut client, "CONNECT\naccept-version:1.2\nhost:a\n\n");
        self.listen(broker, &mut client, "CONNECTED");
        client
    }

    /// Sends a frame, whose NUL is added here.
    pub(crate) fn say(&self, broker: &mut Broker, client: &mut Client, frame: &str) {
        broker
            .node
            .receive(self.now(), client.connection, format!("{frame}\0").as_bytes());
        self.hear(broker, client);
    }

    /// Takes what the broker has to say to the client at this moment.
    pub(crate) fn hear(&self, broker: &mut Broker, client: &mut Client) {
        while broker.node.may_send(self.now())
            && let Some(bytes) = broker.node.output(client.connection)
        {
            client.seen.push_str(&String::from_utf8_lossy(&bytes));
            broker.node.transmitted(self.now(), client.connection, bytes.len());
        }
    }

    /// Waits until the client has seen `text`; gives whether it came within ten simulated seconds.
    pub(crate) fn comes(&self, broker: &mut Broker, client: &mut Client, text: &str) -> bool {
        let end = self.storage.now() + Duration::from_secs(10);
        while self.storage.now() < end && !client.seen.contains(text) {
            self.run(Duration::from_micros(500), &mut [&mut *broker], |_| false);
            self.hear(broker, client);
        }
        client.seen.contains(text)
    }

    /// Waits until the client has seen `text`, and gives everything that it saw until then.
    pub(crate) fn listen(&self, broker: &mut Broker, client: &mut Client, text: &str) -> String {
        if !self.comes(broker, client, text) {
            let (status, end) = (broker.node.status(self.now()), broker.node.end());
            panic!("no {text:?} in {:?}: {status:?}, {end:?}", client.seen);
        }
        std::mem::take(&mut client.seen)
    }
}
