//! Connections between nodes and clients: how bytes move, and how connections break.
//!
//! Invariant: a node that does not run, because its process is stopped or its machine is paused, reads nothing, sends nothing and notices nothing; what its kernel has goes on its way.

use std::collections::VecDeque;

use bytes::BytesMut;

use super::super::pace::Tempo;
use super::*;

/// The two directions of one connection.
pub(super) struct Socket {
    guest: usize,
    pub(super) up: Link,
    pub(super) down: Link,
    /// What left the node and has not arrived.
    under_way: VecDeque<u8>,
    /// The kernel's buffer is full until then.
    pub(super) full_until: BootTime,
    /// What the node gave and the full buffer did not take.
    rest: Option<Bytes>,
    tempo: Tempo,
    /// When the client last had everything that the node had for it.
    caught_up: BootTime,
}

impl Socket {
    /// When something moves that the node has nothing to do with.
    pub(super) fn next_move(&self) -> Option<BootTime> {
        self.next_read().into_iter().chain(self.tempo.says_at()).min()
    }

    fn next_read(&self) -> Option<BootTime> {
        self.down.next_arrival().and_then(|at| self.tempo.reads_at(at))
    }

    /// The kernel takes what the client has to say, as fast as it says it.
    fn say(&mut self, now: BootTime, bytes: Bytes) {
        if let Some(bytes) = self.tempo.say(bytes) {
            self.up.send(now, &bytes);
        }
    }

    fn say_on(&mut self, now: BootTime) {
        while let Some(bytes) = self.tempo.said(now) {
            self.up.send(now, &bytes);
        }
    }

    /// Since when the decision may have been made to send what is read now, milliseconds since 1970, of a client that reads late.
    fn as_of(&self) -> Option<u64> {
        self.tempo.reads_slowly().then(|| CLIENTS.now(self.caught_up).wall.0)
    }
}

impl World {
    /// A connection breaks: of what is under way a beginning arrives at once, the rest never. The node notices, unless it is dead.
    pub(crate) fn cut(&mut self, process: ProcessNumber, connection: ConnectionId, alive: bool) {
        self.end(process, connection, alive, true);
    }

    /// A client closes its side and reads to the end: everything that is under way arrives.
    pub(super) fn half_close(&mut self, process: ProcessNumber, connection: ConnectionId) {
        self.end(process, connection, true, false);
    }

    fn end(&mut self, process: ProcessNumber, connection: ConnectionId, alive: bool, ragged: bool) {
        let now = self.now();
        let Some(running) = self.running.get_mut(&process) else {
            return;
        };
        let Some(mut socket) = running.sockets.remove(&connection) else {
            return;
        };
        if ragged {
            socket.up.cut();
            socket.down.cut();
        }
        let guest = &mut self.guests[socket.guest];
        self.scene.superseded = running.epoch < self.newest_epoch;
        self.scene.as_of = socket.as_of();
        while let Some(piece) = socket.down.receive(BootTime(u64::MAX)) {
            socket.under_way.drain(..piece.len());
            guest.being.handle_bytes(now, &piece, &mut self.scene);
        }
        self.scene.as_of = None;
        guest.at = None;
        let soon = self.storage.now() + self.prng.between(Duration::ZERO, PAUSE_MAX * 2);
        guest.next_act = soon.max(self.silent_until);
        let lost: Vec<u8> = socket.under_way.into();
        if let Being::Actor(actor) = &mut guest.being {
            actor.disconnected(now, &lost, &mut self.scene);
        }
        self.scene.superseded = false;
        if alive {
            running.broken.push((connection, socket.up));
            self.notice_broken(process);
        }
    }

    /// A process that runs finds out which connections broke, and reads what had still arrived.
    pub(super) fn notice_broken(&mut self, process: ProcessNumber) {
        let world_now = self.storage.now();
        let Some(running) = self.running.get_mut(&process) else {
            return;
        };
        if running.frozen_until > world_now || running.broken.is_empty() {
            return;
        }
        let now = self.machines[running.machine].clock.now(world_now);
        for (connection, mut up) in std::mem::take(&mut running.broken) {
            while let Some(piece) = up.receive(BootTime(u64::MAX)) {
                running.node.receive(now, connection, &piece);
            }
            running.node.closed(now, connection);
        }
        self.after_turn(process);
    }

    /// Moves bytes between a node and its clients.
    pub(super) fn carry(&mut self, process: ProcessNumber) {
        let world_now = self.storage.now();
        let Some(running) = self.running.get_mut(&process) else {
            return;
        };
        let now = self.machines[running.machine].clock.now(world_now);
        let mut received = false;
        for (connection, socket) in &mut running.sockets {
            while running.node.may_read(*connection)
                && let Some(piece) = socket.up.receive(world_now)
            {
                running.node.receive(now, *connection, &piece);
                received = true;
            }
            if socket.up.next_arrival().is_some_and(|at| at <= world_now) {
                self.coverage
                    .count("not read: held up by what it does not take or what waits");
            }
        }
        if received {
            running.node.turn(now);
        }
        let mut ready = running.node.take_ready(now);
        ready.append(&mut running.ready);
        let mut closing = Vec::new();
        for connection in ready {
            let Some(socket) = running.sockets.get_mut(&connection) else {
                continue;
            };
            // As the shipped pump: what the kernel did not take a while ago may not leave now either, unless the node says so now.
            loop {
                if !running.node.may_send(now) {
                    running.node.hold(connection);
                    break;
                }
                let room = socket.tempo.room(socket.under_way.len());
                if socket.full_until > world_now || room == 0 {
                    running.ready.insert(connection);
                    break;
                }
                let Some(mut bytes) = socket.rest.take().or_else(|| running.node.output(connection)) else {
                    if socket.under_way.is_empty() {
                        socket.caught_up = world_now;
                    }
                    if running.node.is_finished(connection) {
                        closing.push(connection);
                    }
                    break;
                };
                // Now and then the kernel takes only a part.
                if self.prng.below(24) == 0 {
                    let kept = bytes.split_off(self.prng.index(bytes.len() + 1));
                    socket.full_until = world_now + self.prng.between(Duration::ZERO, Duration::from_millis(5));
                    socket.rest = (!kept.is_empty()).then_some(kept);
                }
                if bytes.len() > room {
                    // What was kept before comes behind it.
                    let mut kept = BytesMut::from(bytes.split_off(room));
                    kept.extend(socket.rest.take().into_iter().flatten());
                    socket.rest = Some(kept.freeze());
                }
                socket.down.send(world_now, &bytes);
                socket.under_way.extend(&bytes);
                running.node.transmitted(now, connection, bytes.len());
            }
        }
        self.after_turn(process);
        for connection in closing {
            if self.running.get(&process).is_some_and(|running| {
                running
                    .sockets
                    .get(&connection)
                    .is_some_and(|socket| socket.tempo.reads_slowly() || socket.under_way.is_empty())
            }) {
                self.say(|| format!("{process:?} closes {connection:?}"));
                self.coverage.count("closed by the broker");
                self.cut(process, connection, true);
            } else if let Some(running) = self.running.get_mut(&process) {
                running.ready.insert(connection);
            }
        }
    }

    /// Moves bytes from the kernel to clients, and what they answer at once to the kernel.
    pub(super) fn arrive(&mut self, process: ProcessNumber) {
        let (world_now, client_now) = (self.storage.now(), self.now());
        let Some(running) = self.running.get_mut(&process) else {
            return;
        };
        self.scene.superseded = running.epoch < self.newest_epoch;
        for socket in running.sockets.values_mut() {
            let guest = &mut self.guests[socket.guest];
            while socket.next_read().is_some_and(|at| at <= world_now)
                && let Some(piece) = socket.down.receive(world_now)
            {
                socket.under_way.drain(..piece.len());
                self.scene.as_of = socket.as_of();
                guest.being.handle_bytes(client_now, &piece, &mut self.scene);
                socket.tempo.has_read(world_now);
                if guest.idle > 1 {
                    guest.idle = 0;
                    guest.next_act = guest.next_act.min(world_now + PAUSE_MAX / 4);
                }
            }
            while let Some(bytes) = guest.being.poll_output(client_now) {
                socket.say(world_now, bytes);
            }
            socket.say_on(world_now);
        }
        self.scene.as_of = None;
        self.scene.superseded = false;
    }

    pub(super) fn flush(&mut self, index: usize) {
        let (world_now, now) = (self.storage.now(), self.now());
        let guest = &mut self.guests[index];
        let Some((process, connection)) = guest.at else { return };
        if let Some(socket) = self
            .running
            .get_mut(&process)
            .and_then(|running| running.sockets.get_mut(&connection))
        {
            while let Some(bytes) = guest.being.poll_output(now) {
                socket.say(world_now, bytes);
            }
            socket.say_on(world_now);
        }
    }

    pub(super) fn connect(&mut self, index: usize) {
        let Some(process) = self.leader() else { return };
        let now = self.now();
        let running = self.running.get_mut(&process).expect("the leader runs");
        let there = self.machines[running.machine].clock.now(self.storage.now());
        let Some(connection) = running.node.open(there) else {
            self.coverage.count("limit reached: connections_max");
            return;
        };
        let tempo = match self.guests[index].pace {
            Pace::Even => Tempo::even(),
            pace => Tempo::new(pace, self.prng.split()),
        };
        let socket = Socket {
            guest: index,
            up: Link::new(self.prng.split(), DELAY),
            down: Link::new(self.prng.split(), DELAY),
            under_way: VecDeque::new(),
            full_until: BootTime(0),
            rest: None,
            tempo,
            caught_up: self.storage.now(),
        };
        running.sockets.insert(connection, socket);
        let guest = &mut self.guests[index];
        guest.at = Some((process, connection));
        if let Being::Actor(actor) = &mut guest.being {
            actor.connect(now, &mut self.scene);
        }
        self.flush(index);
    }
}
