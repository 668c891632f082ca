//! A STOMP connection of the benchmark: one of many on a thread, made for millions of frames.
//!
//! [`Client`] does what is rare and says which version is spoken; SENDs, ACKs and all reading go by [`client::stomp::bulk`]. Invariants: what is written waits in one buffer and leaves with
//! one system call, if the socket takes it; nothing is allocated once the buffers have grown; bodies are read where they were received.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use client::stomp::bulk::{FrameView, next_frame};
use client::stomp::{Client, ClientSettings, Event, Version};
use platform::real::RealClock;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;

/// Time to connect and to hear CONNECTED.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// Room for reading at the start, in bytes; grows to the largest frame.
const INPUT_BYTES: usize = 128 << 10;

/// Who connects, and where to.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) address: SocketAddr,
    pub(super) login: Option<String>,
    pub(super) passcode: Option<String>,
}

/// An open connection.
pub(super) struct Connection {
    stream: TcpStream,
    /// Writes the frames that are rare.
    client: Client,
    pub(super) version: Version,
    /// What the server called itself.
    pub(super) server: Option<String>,
    pub(super) input: Input,
    pub(super) output: Output,
    address: SocketAddr,
}

/// What was read and not yet looked at.
pub(super) struct Input {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    address: SocketAddr,
}

/// What is to be written.
pub(super) struct Output {
    pub(super) bytes: Vec<u8>,
    written: usize,
}

impl Connection {
    /// Connects, and waits for CONNECTED.
    pub(super) async fn open(target: &Target) -> Result<Connection, Failure> {
        let address = target.address;
        let late = || {
            let seconds = CONNECT_WITHIN.as_secs();
            unreachable(address, &format!("no connection was accepted within {seconds} s"))
        };
        let opening = tokio::time::timeout(CONNECT_WITHIN, Connection::open_at_leisure(target));
        opening.await.unwrap_or_else(|_| Err(late()))
    }

    async fn open_at_leisure(target: &Target) -> Result<Connection, Failure> {
        let address = target.address;
        let failed = |error: std::io::Error| unreachable(address, &format!("no connection: {error}"));
        let mut stream = TcpStream::connect(address).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let settings = ClientSettings {
            login: target.login.clone(),
            passcode: target.passcode.clone(),
            // RabbitMQ takes it for the virtual host; the others ignore it.
            ..ClientSettings::new("/")
        };
        let mut client = Client::new(settings, RealClock.now());
        let mut output = Output::new();
        let mut piece = [0; 4096];
        loop {
            output.take(&mut client);
            while !output.is_empty() {
                stream.writable().await.map_err(failed)?;
                output.write(&stream).map_err(failed)?;
            }
            match client.poll_event() {
                Some(Event::Connected(connected)) => {
                    return Ok(Connection {
                        stream,
                        client,
                        version: connected.version,
                        server: connected.server.map(String::from),
                        input: Input::new(address),
                        output,
                        address,
                    });
                }
                Some(Event::Error(report)) => {
                    return Err(Failure::new(
                        Exit::Refused,
                        format!("the broker refused the connection: {}", report.message()),
                        url(address),
                        "give --login and --passcode if it wants a user; its log may say more",
                    ));
                }
                Some(other) => return Err(unreachable(address, &format!("CONNECT was answered with {other:?}"))),
                None => match stream.read(&mut piece).await.map_err(failed)? {
                    0 => {
                        return Err(unreachable(
                            address,
                            "it closed the connection before it answered CONNECT",
                        ));
                    }
                    count => client.handle_bytes(RealClock.now(), &piece[..count]),
                },
            }
        }
    }

    /// Has the client write what is rare, such as SUBSCRIBE.
    pub(super) fn write(&mut self, frames: impl FnOnce(&mut Client)) {
        frames(&mut self.client);
        self.output.take(&mut self.client);
    }

    /// Writes what the socket takes now.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        self.output
            .write(&self.stream)
            .map_err(|error| broken(self.address, &error.to_string()))
    }

    /// Waits until something was read; meanwhile it writes on, if the socket was full. Can be dropped and called again.
    pub(super) async fn read(&mut self) -> Result<(), Failure> {
        let address = self.address;
        let failed = |error: std::io::Error| broken(address, &error.to_string());
        let (mut reader, writer) = self.stream.split();
        loop {
            let space = self.input.space();
            let count = if self.output.is_empty() {
                reader.read(space).await.map_err(failed)?
            } else {
                tokio::select! {
                    read = reader.read(space) => read.map_err(failed)?,
                    writable = writer.writable() => {
                        writable.map_err(failed)?;
                        self.output.write(writer.as_ref()).map_err(failed)?;
                        continue;
                    }
                }
            };
            if count == 0 {
                return Err(broken(address, "the broker closed the connection"));
            }
            self.input.end += count;
            return Ok(());
        }
    }

    /// Reads until a receipt has come that the client asked for; everything else goes to `other`.
    pub(super) async fn receipt(
        &mut self,
        id: &str,
        mut other: impl FnMut(&FrameView<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.flush()?;
        loop {
            while let Some(frame) = self.input.next_frame()? {
                if frame.command == b"RECEIPT" && frame.header(b"receipt-id") == Some(id.as_bytes()) {
                    return Ok(());
                }
                other(&frame)?;
            }
            self.read().await?;
        }
    }
}

impl Input {
    fn new(address: SocketAddr) -> Input {
        Input {
            buffer: vec![0; INPUT_BYTES],
            start: 0,
            end: 0,
            address,
        }
    }

    /// Room behind what was read, not none.
    fn space(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end > self.buffer.len() / 2 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            if self.end > self.buffer.len() / 2 {
                self.buffer.resize(self.buffer.len() * 2, 0);
            }
        }
        &mut self.buffer[self.end..]
    }

    /// The next whole frame. ERROR is a failure.
    pub(super) fn next_frame(&mut self) -> Result<Option<FrameView<'_>>, Failure> {
        let found = next_frame(&self.buffer[self.start..self.end])
            .map_err(|error| broken(self.address, &format!("the broker sent what is no STOMP: {error}")))?;
        let Some((frame, bytes)) = found else { return Ok(None) };
        self.start += bytes;
        match frame.command {
            b"ERROR" => Err(refused(self.address, &frame)),
            _ => Ok(Some(frame)),
        }
    }
}

impl Output {
    fn new() -> Output {
        Output {
            bytes: Vec::new(),
            written: 0,
        }
    }

    fn is_empty(&self) -> bool {
        self.written == self.bytes.len()
    }

    fn take(&mut self, client: &mut Client) {
        while let Some(bytes) = client.poll_output(RealClock.now()) {
            self.bytes.extend_from_slice(&bytes);
        }
    }

    fn write(&mut self, stream: &TcpStream) -> std::io::Result<()> {
        while !self.is_empty() {
            match stream.try_write(&self.bytes[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.bytes.clear();
        self.written = 0;
        Ok(())
    }
}

/// `stomp://host:port`.
pub(super) fn url(address: SocketAddr) -> String {
    format!("stomp://{address}")
}

fn unreachable(address: SocketAddr, what: &str) -> Failure {
    Failure::new(
        Exit::Unreachable,
        what,
        url(address),
        "check that the broker runs, and that it and this user may open so many connections (ulimit -n)",
    )
}

/// A connection that ended in the middle.
fn broken(address: SocketAddr, what: &str) -> Failure {
    Failure::new(
        Exit::Unreachable,
        what,
        url(address),
        "look at the broker's log; the destinations of the run are left as they are",
    )
}

fn refused(address: SocketAddr, error: &FrameView<'_>) -> Failure {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let message = text(error.header(b"message").unwrap_or_default());
    let body = text(error.body);
    let first_line = body.lines().next().unwrap_or_default();
    let what = match first_line.is_empty() || first_line == message {
        true => format!("the broker refused: {message}"),
        false => format!("the broker refused: {message} ({first_line})"),
    };
    Failure::new(
        Exit::Refused,
        what,
        url(address),
        "put right what the broker's words name; the destinations of the run are left as they are",
    )
}

/// A frame that belongs to nothing.
pub(super) fn unexpected(address: SocketAddr, frame: &FrameView<'_>) -> Failure {
    broken(
        address,
        &format!(
            "the broker sent {} out of place",
            String::from_utf8_lossy(frame.command)
        ),
    )
}
