//! The pump between sockets and the node: bytes in, bytes out, timers. It decides nothing.
//!
//! Everything runs on one thread. A connection's task reads; what the node then has to send is written from the same wake-up, and only a socket that is full gets
//! to wait for its own. Invariants: the node is asked before each write whether anything may leave (`may_send`), and is told of every byte that went to a socket.
//! Deliberately absent: protocols, limits on their content, and any knowledge of disks.

mod admission;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use message::ConnectionId;
use node::Node;
use platform::{BootTime, Now};
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

pub use admission::AdmissionLimits;
use admission::{Admission, Network, Refused};

/// Between two attempts to accept, and between two warnings, while no descriptor is free.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);
const ACCEPT_WARNING_INTERVAL: Duration = Duration::from_secs(30);

/// Bytes read from a socket at a time.
const READ_BYTES: usize = 64 << 10;

/// The node and its sockets.
pub(crate) struct Pump {
    pub(crate) node: RefCell<Node>,
    sockets: RefCell<BTreeMap<ConnectionId, Rc<Socket>>>,
    /// Woken by the disk's threads, by sockets and by requests: the node wants a turn.
    pub(crate) wake: std::sync::Arc<Notify>,
    /// Woken when bytes were handed to the node.
    received: Notify,
    /// Woken after each turn: reading may go on.
    readable: Notify,
    /// Until when the owner of the loop sleeps; `None`: it is about to look anew.
    asleep_until: Cell<Option<BootTime>>,
    clock: fn() -> Now,
    /// What was just read from a socket. One for all: a connection that says nothing has no buffer, and the node copies what it keeps.
    buffer: RefCell<Box<[u8]>>,
    admission: RefCell<Admission>,
}

struct Socket {
    stream: TcpStream,
    peer: SocketAddr,
    /// When it came.
    since: Now,
    network: Network,
    /// It has not said CONNECT.
    half_open: Cell<bool>,
    /// Bytes taken from the node that the socket did not take yet.
    rest: RefCell<Bytes>,
    /// The socket is full: its task waits until it is writable.
    full: Cell<bool>,
    /// Woken when `full` or `done` was set.
    changed: Notify,
    done: Cell<bool>,
}

impl Pump {
    pub(crate) fn new(
        node: Node,
        limits: AdmissionLimits,
        wake: std::sync::Arc<Notify>,
        clock: fn() -> Now,
    ) -> Rc<Pump> {
        Rc::new(Pump {
            node: RefCell::new(node),
            sockets: RefCell::default(),
            wake,
            received: Notify::new(),
            readable: Notify::new(),
            asleep_until: Cell::new(None),
            clock,
            buffer: RefCell::new(vec![0; READ_BYTES].into_boxed_slice()),
            admission: RefCell::new(Admission::new(limits)),
        })
    }

    /// The present.
    pub(crate) fn now(&self) -> Now {
        (self.clock)()
    }

    /// Gives the node a turn and writes what it has to send, until it has no more.
    pub(crate) fn drive(&self) {
        self.node.borrow_mut().turn(self.now());
        loop {
            let ready = self.node.borrow_mut().take_ready(self.now());
            if ready.is_empty() {
                break;
            }
            for connection in ready {
                let socket = self.sockets.borrow().get(&connection).cloned();
                if let Some(socket) = socket {
                    self.flush(connection, &socket);
                }
            }
        }
        self.readable.notify_waiters();
        let deadline = self.node.borrow_mut().next_deadline(self.now());
        if let (Some(deadline), Some(asleep_until)) = (deadline, self.asleep_until.get())
            && deadline < asleep_until
        {
            self.asleep_until.set(None);
            self.wake.notify_one();
        }
    }

    /// Where a client comes from, and since when it is here.
    pub(crate) fn client(&self, connection: ConnectionId) -> Option<(SocketAddr, Now)> {
        let sockets = self.sockets.borrow();
        sockets.get(&connection).map(|socket| (socket.peer, socket.since))
    }

    /// Ends a connection, also one whose client takes nothing any more; where it came from.
    pub(crate) fn end(&self, connection: ConnectionId) -> Option<SocketAddr> {
        let socket = self.sockets.borrow().get(&connection).cloned()?;
        socket.finish();
        Some(socket.peer)
    }

    /// Gives the node a turn whenever sockets have brought something: one for all that were readable together, so that what came together can be written together.
    pub(crate) async fn drive_what_comes(self: Rc<Pump>) {
        loop {
            self.received.notified().await;
            self.drive();
        }
    }

    /// When the node wants its next turn. The caller sleeps until then, and is woken if that becomes earlier.
    pub(crate) fn sleep_until(&self) -> Option<BootTime> {
        let deadline = self.node.borrow_mut().next_deadline(self.now());
        self.asleep_until.set(deadline);
        deadline
    }

    /// Writes until the socket is full, the node has nothing more for it, or nothing may leave.
    fn flush(&self, connection: ConnectionId, socket: &Socket) {
        while !socket.full.get() && !socket.done.get() {
            let now = self.now();
            if !self.node.borrow().may_send(now) {
                self.node.borrow_mut().hold(connection);
                return;
            }
            let mut rest = socket.rest.borrow_mut();
            if rest.is_empty() {
                let output = self.node.borrow_mut().output(connection);
                let Some(bytes) = output else {
                    if self.node.borrow().is_finished(connection) {
                        socket.finish();
                    }
                    return;
                };
                *rest = bytes;
            }
            match socket.stream.try_write(&rest) {
                Ok(count) => {
                    rest.advance(count);
                    drop(rest);
                    self.node.borrow_mut().transmitted(now, connection, count);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    socket.full.set(true);
                    socket.changed.notify_one();
                }
                Err(_) => socket.finish(),
            }
        }
    }

    /// Serves one client until either side closes.
    async fn serve(self: Rc<Pump>, connection: ConnectionId, socket: Rc<Socket>) {
        self.converse(connection, &socket).await;
        self.sockets.borrow_mut().remove(&connection);
        self.node.borrow_mut().closed(self.now(), connection);
        self.admission.borrow_mut().left(socket.network, socket.half_open.get());
        self.drive();
    }

    fn admit(&self, stream: TcpStream, peer: SocketAddr) -> Result<(ConnectionId, Rc<Socket>), Refused> {
        let network = self.admission.borrow_mut().admit(peer)?;
        let Some(connection) = self.node.borrow_mut().open(self.now()) else {
            self.admission.borrow_mut().left(network, true);
            return Err(Refused::Connections);
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, %error, "cannot set TCP_NODELAY");
        }
        let socket = Rc::new(Socket {
            stream,
            peer,
            since: self.now(),
            network,
            half_open: Cell::new(true),
            rest: RefCell::default(),
            full: Cell::new(false),
            changed: Notify::new(),
            done: Cell::new(false),
        });
        self.sockets.borrow_mut().insert(connection, Rc::clone(&socket));
        Ok((connection, socket))
    }

    /// Connections that were refused so far.
    pub(crate) fn refused(&self) -> u64 {
        self.admission.borrow().refused()
    }

    async fn converse(&self, connection: ConnectionId, socket: &Socket) {
        while !socket.done.get() {
            let may_read = self.node.borrow().may_read(connection);
            tokio::select! {
                readable = socket.stream.readable(), if may_read => {
                    if readable.is_err() {
                        return;
                    }
                    match self.read(connection, socket) {
                        Ok(0) => return,
                        Ok(_) => {
                            self.received.notify_one();
                            // A client that never pauses must not keep the node and the others waiting: readiness costs nothing of a task's budget.
                            tokio::task::yield_now().await;
                        }
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                        Err(_) => return,
                    }
                }
                writable = socket.stream.writable(), if socket.full.get() => {
                    if writable.is_err() {
                        return;
                    }
                    socket.full.set(false);
                    self.flush(connection, socket);
                    self.drive();
                }
                () = socket.changed.notified() => {}
                () = self.readable.notified(), if !may_read => {}
                // Whoever is not read for now may be gone all the same, and what waits for its sake must go with it. (Behind a mere end of what it sends, that is still to be carried out.)
                _ = socket.stream.ready(Interest::ERROR), if !may_read => return,
            }
        }
    }

    /// Hands to the node what a socket has, up to what the node takes of it and a buffer full; how many bytes that was.
    fn read(&self, connection: ConnectionId, socket: &Socket) -> std::io::Result<usize> {
        let mut buffer = self.buffer.borrow_mut();
        let most = self.node.borrow().read_bytes_max(connection).min(READ_BYTES);
        if most == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = socket.stream.try_read(&mut buffer[..most])?;
        if count > 0 {
            self.node.borrow_mut().receive(self.now(), connection, &buffer[..count]);
            if socket.half_open.get() && !self.node.borrow().is_opening(connection) {
                socket.half_open.set(false);
                self.admission.borrow_mut().introduced(socket.network);
            }
        }
        Ok(count)
    }

    /// Accepts clients for as long as it is polled.
    pub(crate) async fn accept(self: Rc<Pump>, listener: TcpListener) {
        let mut next_warning = BootTime(0);
        loop {
            match listener.accept().await {
                // Looked at before the next is accepted: of those that are refused, one at most has a descriptor at a time.
                Ok((stream, peer)) => match self.admit(stream, peer) {
                    Ok((connection, socket)) => {
                        tokio::task::spawn_local(Rc::clone(&self).serve(connection, socket));
                    }
                    Err(why) => {
                        let warning = self.admission.borrow_mut().refuse(self.now().boot, peer, why);
                        if let Some(warning) = warning {
                            tracing::warn!("{warning}");
                        }
                    }
                },
                Err(error) => {
                    // Out of descriptors, or the client was gone already: others must still be served.
                    let now = self.now().boot;
                    if now >= next_warning {
                        next_warning = now + ACCEPT_WARNING_INTERVAL;
                        tracing::warn!(
                            %error,
                            "accepting a connection failed, and is tried again ten times a second; if open files have run out, raise fs.file-max, LimitNOFILE or ulimit -n, or lower limits.connections_max"
                        );
                    }
                    tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
                }
            }
        }
    }
}

impl Socket {
    fn finish(&self) {
        self.done.set(true);
        self.changed.notify_one();
    }
}
