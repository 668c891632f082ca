//! A server that only answers: to measure the benchmark's client itself.
//!
//! It confirms what asks for a receipt, and hands a message that is sent at once to a consumer of its queue, in turn, or to all of its topic; it keeps nothing, counts nothing and
//! knows no acknowledgements. What a run against it reaches is what the client can drive, and no broker can show more beside it. It runs on a thread of its own.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;

use client::stomp::bulk::{FrameView, next_frame};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::LocalSet;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;

/// Bytes read at a time.
const READ_BYTES: usize = 128 << 10;

/// Starts it on a free port of loopback; it ends with the process.
pub(super) fn start() -> Result<SocketAddr, Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(
            Exit::Failure,
            format!("the answering server cannot be started: {error}"),
            "127.0.0.1",
            "raise the limit of open files (ulimit -n), then try again",
        )
    };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(failed)?;
    std::thread::Builder::new()
        .name("nothing".to_owned())
        .spawn(move || LocalSet::new().block_on(&runtime, serve(listener)))
        .map_err(failed)?;
    Ok(address)
}

/// Destination → who consumes it.
type Consumers = Rc<RefCell<BTreeMap<Vec<u8>, Vec<Consumer>>>>;

struct Consumer {
    peer: Rc<Peer>,
    subscription: Vec<u8>,
    delivered: Cell<u64>,
}

/// One client.
struct Peer {
    stream: TcpStream,
    output: RefCell<Vec<u8>>,
    /// The socket was full.
    full: Notify,
}

async fn serve(listener: std::net::TcpListener) {
    let Ok(listener) = TcpListener::from_std(listener) else {
        return;
    };
    let consumers = Consumers::default();
    while let Ok((stream, _)) = listener.accept().await {
        if stream.set_nodelay(true).is_err() {
            continue;
        }
        let peer = Rc::new(Peer {
            stream,
            output: RefCell::default(),
            full: Notify::new(),
        });
        tokio::task::spawn_local(converse(peer, Rc::clone(&consumers)));
    }
}

/// Serves one client until it leaves or sends what is no frame.
async fn converse(peer: Rc<Peer>, consumers: Consumers) {
    let mut input = Vec::with_capacity(READ_BYTES);
    loop {
        tokio::select! {
            readable = peer.stream.readable() => {
                if readable.is_err() {
                    break;
                }
                input.reserve(READ_BYTES);
                match peer.stream.try_read_buf(&mut input) {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                    Err(_) => break,
                }
                let mut touched = Vec::new();
                let mut taken = 0;
                while let Ok(Some((frame, bytes))) = next_frame(&input[taken..]) {
                    taken += bytes;
                    answer(&peer, &frame, &consumers, &mut touched);
                }
                input.drain(..taken);
                peer.flush();
                touched.iter().for_each(|peer| peer.flush());
            }
            () = peer.full.notified() => {
                if peer.stream.writable().await.is_err() {
                    break;
                }
                peer.flush();
            }
        }
    }
    for consumers in consumers.borrow_mut().values_mut() {
        consumers.retain(|consumer| !Rc::ptr_eq(&consumer.peer, &peer));
    }
}

fn answer(peer: &Rc<Peer>, frame: &FrameView<'_>, consumers: &Consumers, touched: &mut Vec<Rc<Peer>>) {
    match frame.command {
        b"CONNECT" => {
            let connected = b"CONNECTED\nversion:1.2\nserver:nothing\nheart-beat:0,0\n\n\0\n";
            peer.output.borrow_mut().extend_from_slice(connected);
        }
        b"SUBSCRIBE" => {
            let destination = frame.header(b"destination").unwrap_or_default().to_vec();
            consumers.borrow_mut().entry(destination).or_default().push(Consumer {
                peer: Rc::clone(peer),
                subscription: frame.header(b"id").unwrap_or_default().to_vec(),
                delivered: Cell::new(0),
            });
        }
        b"SEND" => deliver(frame, consumers, touched),
        _ => {}
    }
    if let Some(receipt) = frame.header(b"receipt") {
        let mut output = peer.output.borrow_mut();
        for piece in [b"RECEIPT\nreceipt-id:", receipt, b"\n\n\0\n"] {
            output.extend_from_slice(piece);
        }
    }
}

fn deliver(frame: &FrameView<'_>, consumers: &Consumers, touched: &mut Vec<Rc<Peer>>) {
    let destination = frame.header(b"destination").unwrap_or_default();
    let mut consumers = consumers.borrow_mut();
    let Some(consumers) = consumers.get_mut(destination).filter(|consumers| !consumers.is_empty()) else {
        return;
    };
    let several = match destination.starts_with(b"/topic/") {
        true => consumers.len(),
        false => 1,
    };
    for consumer in &consumers[..several] {
        consumer.write(frame.body);
        if !touched.iter().any(|peer| Rc::ptr_eq(peer, &consumer.peer)) {
            touched.push(Rc::clone(&consumer.peer));
        }
    }
    if several == 1 {
        consumers.rotate_left(1);
    }
}

impl Consumer {
    fn write(&self, body: &[u8]) {
        let number = self.delivered.get();
        self.delivered.set(number + 1);
        let number = number.to_string();
        let length = body.len().to_string();
        let mut output = self.peer.output.borrow_mut();
        let pieces: [&[u8]; 10] = [
            b"MESSAGE\nack:",
            number.as_bytes(),
            b"\nmessage-id:",
            number.as_bytes(),
            b"\nsubscription:",
            &self.subscription,
            b"\ncontent-length:",
            length.as_bytes(),
            b"\n\n",
            body,
        ];
        pieces.iter().for_each(|piece| output.extend_from_slice(piece));
        output.extend_from_slice(b"\0\n");
    }
}

impl Peer {
    /// Writes what the socket takes.
    fn flush(&self) {
        let mut output = self.output.borrow_mut();
        let mut written = 0;
        while written < output.len() {
            match self.stream.try_write(&output[written..]) {
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.full.notify_one();
                    break;
                }
                // Its own task finds out.
                Err(_) => written = output.len(),
            }
        }
        output.drain(..written);
    }
}
