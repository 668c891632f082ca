//! One connection of a client, good or bad: raw bytes out, frames in.
//!
//! It waits for answers, never for time: what does not come within [`ANSWER_WITHIN`] hangs, and that is a verdict.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use client::stomp::bulk::next_frame;

use super::Trouble;

/// An answer that takes longer does not come.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// Bytes read at a time.
const READ_BYTES: usize = 64 << 10;

/// A frame from the broker.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    raw: Vec<u8>,
    body_at: usize,
    body_bytes: usize,
    /// `MESSAGE`, `RECEIPT`, `ERROR` or `CONNECTED`.
    pub(super) command: String,
}

impl Frame {
    /// A header's value as it stands on the wire; empty if there is none.
    pub(super) fn header(&self, name: &str) -> &str {
        let head = std::str::from_utf8(&self.raw[..self.body_at]).unwrap_or_default();
        let values = head
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        values.into_iter().next().unwrap_or_default()
    }

    /// The body.
    pub(super) fn body(&self) -> &[u8] {
        &self.raw[self.body_at..self.body_at + self.body_bytes]
    }

    /// For reports.
    pub(super) fn text(&self) -> String {
        let all = String::from_utf8_lossy(&self.raw);
        all.trim_end_matches(['\0', '\n']).chars().take(400).collect()
    }
}

/// One connection.
#[derive(Debug)]
pub(super) struct Line {
    stream: TcpStream,
    inbox: Vec<u8>,
    parsed: usize,
    answer_within: Duration,
}

impl Line {
    /// A connection on which nothing was said.
    ///
    /// # Errors
    /// The broker does not accept.
    pub(super) fn open(address: SocketAddr) -> Result<Line, Trouble> {
        let stream = TcpStream::connect_timeout(&address, ANSWER_WITHIN)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(ANSWER_WITHIN))?;
        Ok(Line {
            stream,
            inbox: Vec::new(),
            parsed: 0,
            answer_within: ANSWER_WITHIN,
        })
    }

    /// A connected client, in STOMP 1.2.
    ///
    /// # Errors
    /// It is refused.
    pub(super) fn connected(address: SocketAddr) -> Result<Line, Trouble> {
        Line::connected_with(address, "")
    }

    /// A connected client with more headers, each with its line end.
    ///
    /// # Errors
    /// It is refused.
    pub(super) fn connected_with(address: SocketAddr, headers: &str) -> Result<Line, Trouble> {
        let mut line = Line::open(address)?;
        line.write(&connect(headers))?;
        line.expect("CONNECTED")?;
        Ok(line)
    }

    /// The same, for questions that take the broker long.
    pub(super) fn patient(mut self, answer_within: Duration) -> Line {
        self.answer_within = answer_within;
        self
    }

    /// The socket.
    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// The connection broke, or the broker has taken nothing for [`ANSWER_WITHIN`].
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        self.stream.write_all(bytes).map_err(Trouble::from)
    }

    /// Sends bytes and waits for the receipt that they ask for.
    ///
    /// # Errors
    /// Anything else came.
    pub(super) fn ask(&mut self, bytes: &[u8], receipt: &str) -> Result<(), Trouble> {
        self.write(bytes)?;
        self.receipt(receipt)
    }

    /// Waits for a receipt, passing over messages.
    ///
    /// # Errors
    /// Anything else came.
    pub(super) fn receipt(&mut self, receipt: &str) -> Result<(), Trouble> {
        loop {
            let frame = self.frame()?;
            match frame.command.as_str() {
                "RECEIPT" if frame.header("receipt-id") == receipt => return Ok(()),
                "MESSAGE" | "RECEIPT" => {}
                _ => {
                    return Err(Trouble::failed(format!(
                        "instead of the receipt {receipt}: {}",
                        frame.text()
                    )));
                }
            }
        }
    }

    /// The next frame, which is of this kind.
    ///
    /// # Errors
    /// It is of another.
    pub(super) fn expect(&mut self, command: &str) -> Result<Frame, Trouble> {
        let frame = self.frame()?;
        if frame.command == command {
            Ok(frame)
        } else {
            Err(Trouble::failed(format!("instead of {command}: {}", frame.text())))
        }
    }

    /// The next frame.
    ///
    /// # Errors
    /// None comes, or the connection ends.
    pub(super) fn frame(&mut self) -> Result<Frame, Trouble> {
        match self.frame_or_end()? {
            Some(frame) => Ok(frame),
            None => Err(Trouble::failed("the broker closed the connection".into())),
        }
    }

    /// The next frame; `None`: the broker closed.
    ///
    /// # Errors
    /// None comes.
    pub(super) fn frame_or_end(&mut self) -> Result<Option<Frame>, Trouble> {
        let until = Instant::now() + self.answer_within;
        loop {
            if let Some(frame) = self.take()? {
                return Ok(Some(frame));
            }
            match self.read(until.saturating_duration_since(Instant::now()))? {
                Some(0) => return Ok(None),
                Some(_) => {}
                None => return Err(Trouble::failed(format!("no answer within {:?}", self.answer_within))),
            }
        }
    }

    /// The next frame if one comes within some time.
    ///
    /// # Errors
    /// The connection ended.
    pub(super) fn frame_within(&mut self, time: Duration) -> Result<Option<Frame>, Trouble> {
        let until = Instant::now() + time;
        loop {
            if let Some(frame) = self.take()? {
                return Ok(Some(frame));
            }
            match self.read(until.saturating_duration_since(Instant::now()))? {
                Some(0) => return Err(Trouble::failed("the broker closed the connection".into())),
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }

    /// Everything until the broker closes: the frames. A reset counts as closed.
    ///
    /// # Errors
    /// It does not close.
    pub(super) fn until_closed(&mut self) -> Result<Vec<Frame>, Trouble> {
        let mut frames = Vec::new();
        loop {
            match self.frame_or_end() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) | Err(Trouble::Cut(_)) => return Ok(frames),
                Err(trouble) => return Err(trouble),
            }
        }
    }

    /// The same connection, for another thread; nothing may have been read that was not taken.
    ///
    /// # Errors
    /// There is no descriptor for it.
    pub(super) fn other_end(&self) -> Result<Line, Trouble> {
        Ok(Line {
            stream: self.stream.try_clone()?,
            inbox: Vec::new(),
            parsed: 0,
            answer_within: ANSWER_WITHIN,
        })
    }

    /// Closes the own direction.
    pub(super) fn say_no_more(&self) {
        // What is closed already need not be closed.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    fn take(&mut self) -> Result<Option<Frame>, Trouble> {
        let pending = &self.inbox[self.parsed..];
        let found =
            next_frame(pending).map_err(|error| Trouble::failed(format!("the broker sends no STOMP: {error}")))?;
        let Some((view, used)) = found else {
            if self.parsed > 0 {
                self.inbox.drain(..self.parsed);
                self.parsed = 0;
            }
            return Ok(None);
        };
        let body_at = view.body.as_ptr() as usize - pending.as_ptr() as usize;
        let frame = Frame {
            command: String::from_utf8_lossy(view.command).trim_end().to_owned(),
            body_bytes: view.body.len(),
            body_at,
            raw: pending[..used].to_vec(),
        };
        self.parsed += used;
        Ok(Some(frame))
    }

    /// Reads once; `None`: nothing came in time.
    fn read(&mut self, within: Duration) -> Result<Option<usize>, Trouble> {
        self.stream
            .set_read_timeout(Some(within.max(Duration::from_millis(1))))?;
        let before = self.inbox.len();
        self.inbox.resize(before + READ_BYTES, 0);
        let result = self.stream.read(&mut self.inbox[before..]);
        self.inbox.truncate(before + result.as_ref().copied().unwrap_or(0));
        match result {
            Ok(count) => Ok(Some(count)),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// A CONNECT with more headers, each with its line end.
pub(super) fn connect(headers: &str) -> Vec<u8> {
    format!("CONNECT\naccept-version:1.2\nhost:enemies\n{headers}\n\0").into_bytes()
}

/// A SEND; `headers` each with its line end.
pub(super) fn send(destination: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("SEND\ndestination:{destination}\n{headers}\n{body}\0").into_bytes()
}

/// A SUBSCRIBE; `headers` each with its line end.
pub(super) fn subscribe(id: &str, destination: &str, headers: &str) -> Vec<u8> {
    format!("SUBSCRIBE\nid:{id}\ndestination:{destination}\n{headers}\n\0").into_bytes()
}

/// An ACK of a MESSAGE, in 1.2.
pub(super) fn ack(message: &Frame, headers: &str) -> Vec<u8> {
    format!("ACK\nid:{}\n{headers}\n\0", message.header("ack")).into_bytes()
}

/// Takes everything that waits in a queue, acknowledging it: the bodies, in order.
///
/// # Errors
/// Anything but messages came.
pub(super) fn take_all(address: SocketAddr, queue: &str) -> Result<Vec<Vec<u8>>, Trouble> {
    const MARK: &[u8] = b"the end";
    let mut line = Line::connected(address)?;
    line.write(&subscribe("all", queue, "ack:client\n"))?;
    line.write(&send(queue, "priority:0\n", "the end"))?;
    let mut bodies = Vec::new();
    loop {
        let frame = line.expect("MESSAGE")?;
        if frame.body() == MARK {
            line.ask(&ack(&frame, "receipt:all\n"), "all")?;
            line.ask(b"DISCONNECT\nreceipt:bye\n\n\0", "bye")?;
            return Ok(bodies);
        }
        bodies.push(frame.body().to_vec());
        line.write(&ack(&frame, ""))?;
    }
}
