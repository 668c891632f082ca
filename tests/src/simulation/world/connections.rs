//! Connections between nodes and clients: how bytes move, and how connections break.
//!
//! Invariant: a node that does not run, because its process is stopped or its machine is paused, reads nothing, sends nothing and notices nothing; what its kernel has goes on its way.

use std::collections::VecDeque;

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
}

impl World {
    /// A connection breaks: of what is under way a beginning arrives at once, the rest never. The node notices, unless it is dead.
    pub(crate) fn cut(&mut self, process: ProcessNumber, connection: ConnectionId, alive: bool) {
        let now = self.now();
        let Some(running) = self.running.get_mut(&process) else {
            return;
        };
        let Some(mut socket) = running.sockets.remove(&connection) else {
            return;
        };
        socket.up.cut();
        socket.down.cut();
        let guest = &mut self.guests[socket.guest];
        self.scene.superseded = running.epoch < self.newest_epoch;
        while let Some(piece) = socket.down.receive(BootTime(u64::MAX)) {
            socket.under_way.drain(..piece.len());
            guest.being.handle_bytes(now, &piece, &mut self.scene);
        }
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
                if socket.full_until > world_now {
                    running.ready.insert(connection);
                    break;
                }
                let Some(mut bytes) = socket.rest.take().or_else(|| running.node.output(connection)) else {
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
                    .is_some_and(|socket| socket.under_way.is_empty() && socket.rest.is_none())
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
            while let Some(piece) = socket.down.receive(world_now) {
                socket.under_way.drain(..piece.len());
                guest.being.handle_bytes(client_now, &piece, &mut self.scene);
                if guest.idle > 1 {
                    guest.idle = 0;
                    guest.next_act = guest.next_act.min(world_now + PAUSE_MAX / 4);
                }
            }
            while let Some(bytes) = guest.being.poll_output(client_now) {
                socket.up.send(world_now, &bytes);
            }
        }
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
                socket.up.send(world_now, &bytes);
            }
        }
    }

    pub(super) fn connect(&mut self, index: usize) {
        let Some(process) = self.leader() else { return };
        let now = self.now();
        let running = self.running.get_mut(&process).expect("the leader runs");
        let there = self.machines[running.machine].clock.now(self.storage.now());
        let Some(connection) = running.node.open(there) else {
            return;
        };
        let socket = Socket {
            guest: index,
            up: Link::new(self.prng.split(), DELAY),
            down: Link::new(self.prng.split(), DELAY),
            under_way: VecDeque::new(),
            full_until: BootTime(0),
            rest: None,
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
