//! A connection of the benchmark: one of many on a thread, made for millions of messages.
//!
//! [`Client`] does what is rare in STOMP and says which version is spoken; SENDs, ACKs and all reading go by [`client::stomp::bulk`]. NATS goes by `nats`. Invariants: what is written
//! waits in one buffer and leaves with one system call, if the socket takes it; nothing is allocated once the buffers have grown; bodies are read where they were received.

use std::fmt;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use client::stomp::bulk::{FrameView, SendTemplate, next_frame, write_ack};
use client::stomp::{Client, ClientSettings, Event, SendOptions, SubscribeOptions, Version};
use platform::real::RealClock;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::nats::{self, Line, PublishTemplate};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;

/// Time to connect and to hear that it was accepted.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// Room for reading at the start, in bytes; grows to the largest message.
const INPUT_BYTES: usize = 128 << 10;

/// The id of each consumer's subscription.
const SUBSCRIPTION: &str = "bench";

/// What a broker speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Stomp,
    Nats,
}

/// Where a broker listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) protocol: Protocol,
    pub(super) address: SocketAddr,
}

/// `stomp://host:port`.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.protocol {
            Protocol::Stomp => "stomp",
            Protocol::Nats => "nats",
        };
        write!(f, "{scheme}://{}", self.address)
    }
}

/// Who connects, and where to.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) endpoint: Endpoint,
    pub(super) login: Option<String>,
    pub(super) passcode: Option<String>,
}

/// What connections are for, as their protocol has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A STOMP destination.
    Destination(String),
    /// A queue in JetStream.
    Stream(nats::Stream),
    /// A subject of core NATS.
    Subject(String),
}

impl Place {
    /// Where messages are sent.
    fn name(&self) -> &str {
        match self {
            Place::Destination(name) | Place::Subject(name) => name,
            Place::Stream(stream) => &stream.subject,
        }
    }

    /// Whether confirmations come in the order of sending and do not say what they confirm.
    pub(super) fn confirms_in_order(&self) -> bool {
        match self {
            Place::Subject(_) => true,
            Place::Destination(_) | Place::Stream(_) => false,
        }
    }
}

/// An open connection.
pub(super) struct Connection {
    stream: TcpStream,
    speaker: Speaker,
    /// What the server called itself.
    pub(super) server: Option<String>,
    pub(super) input: Input,
    pub(super) output: Output,
    endpoint: Endpoint,
}

/// What a connection has to know of its protocol to write.
enum Speaker {
    Stomp { client: Client, version: Version },
    Nats { inbox: String },
}

/// What was read and not yet looked at.
pub(super) struct Input {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    endpoint: Endpoint,
}

/// What is to be written.
pub(super) struct Output {
    pub(super) bytes: Vec<u8>,
    written: usize,
}

/// A message to send, of which only the place and the body's content change.
pub(super) enum Template {
    Stomp(SendTemplate),
    Nats(PublishTemplate),
}

impl Template {
    /// Appends it, and gives its body, to be changed in place.
    pub(super) fn write<'a>(&self, out: &'a mut Vec<u8>, place: u32) -> &'a mut [u8] {
        match self {
            Template::Stomp(template) => template.write(out, place),
            Template::Nats(template) => template.write(out, place),
        }
    }
}

/// What a broker sends.
pub(super) enum Incoming<'a> {
    /// The message at this place is confirmed.
    Confirmed(u64),
    /// What was sent first of all that is not confirmed is confirmed; or something rare was carried out.
    Done,
    /// Something rare with this receipt was carried out.
    Answered(&'a [u8]),
    /// A message came.
    Delivered(Delivery<'a>),
    /// The broker wants to hear of us: see [`write_sign_of_life`].
    Asked,
    /// The broker speaks of itself.
    Aside,
}

/// A message that came.
pub(super) struct Delivery<'a> {
    pub(super) body: &'a [u8],
    handle: Handle<'a>,
}

/// By which a delivery is acknowledged.
enum Handle<'a> {
    Stomp(FrameView<'a>),
    Nats(Option<&'a [u8]>),
}

/// How deliveries are acknowledged; a part of what a connection knows, which may be kept beside its buffers.
#[derive(Clone, Copy, Debug)]
pub(super) enum AckSyntax {
    Stomp(Version),
    Nats,
}

impl AckSyntax {
    /// Appends an acknowledgement; false if the delivery does not say what an acknowledgement has to name.
    pub(super) fn write(self, out: &mut Vec<u8>, delivery: &Delivery<'_>) -> bool {
        match (self, &delivery.handle) {
            (AckSyntax::Stomp(version), Handle::Stomp(frame)) => write_ack(out, version, frame),
            (AckSyntax::Nats, Handle::Nats(reply)) => {
                // Core NATS knows no acknowledgements.
                if let Some(reply) = reply {
                    nats::write_ack(out, reply);
                }
                true
            }
            (AckSyntax::Stomp(_), Handle::Nats(_)) | (AckSyntax::Nats, Handle::Stomp(_)) => false,
        }
    }
}

/// Answers [`Incoming::Asked`].
pub(super) fn write_sign_of_life(out: &mut Vec<u8>) {
    out.extend_from_slice(b"PONG\r\n");
}

impl Connection {
    /// Connects, and waits until it is accepted.
    pub(super) async fn open(target: &Target) -> Result<Connection, Failure> {
        let endpoint = target.endpoint;
        let late = || {
            let seconds = CONNECT_WITHIN.as_secs();
            unreachable(endpoint, &format!("no connection was accepted within {seconds} s"))
        };
        let opening = tokio::time::timeout(CONNECT_WITHIN, Connection::open_at_leisure(target));
        opening.await.unwrap_or_else(|_| Err(late()))
    }

    async fn open_at_leisure(target: &Target) -> Result<Connection, Failure> {
        let endpoint = target.endpoint;
        let failed = |error: std::io::Error| unreachable(endpoint, &format!("no connection: {error}"));
        let stream = TcpStream::connect(endpoint.address).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        match endpoint.protocol {
            Protocol::Stomp => Connection::open_stomp(stream, target).await,
            Protocol::Nats => Connection::open_nats(stream, endpoint).await,
        }
    }

    async fn open_stomp(mut stream: TcpStream, target: &Target) -> Result<Connection, Failure> {
        let endpoint = target.endpoint;
        let failed = |error: std::io::Error| unreachable(endpoint, &format!("no connection: {error}"));
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
                    let version = connected.version;
                    return Ok(Connection {
                        stream,
                        speaker: Speaker::Stomp { client, version },
                        server: connected.server.map(String::from),
                        input: Input::new(endpoint),
                        output,
                        endpoint,
                    });
                }
                Some(Event::Error(report)) => {
                    return Err(Failure::new(
                        Exit::Refused,
                        format!("the broker refused the connection: {}", report.message()),
                        endpoint.to_string(),
                        "give --login and --passcode if it wants a user; its log may say more",
                    ));
                }
                Some(other) => return Err(unreachable(endpoint, &format!("CONNECT was answered with {other:?}"))),
                None => match stream.read(&mut piece).await.map_err(failed)? {
                    0 => {
                        return Err(unreachable(
                            endpoint,
                            "it closed the connection before it answered CONNECT",
                        ));
                    }
                    count => client.handle_bytes(RealClock.now(), &piece[..count]),
                },
            }
        }
    }

    async fn open_nats(stream: TcpStream, endpoint: Endpoint) -> Result<Connection, Failure> {
        let local = stream
            .local_addr()
            .map_err(|error| unreachable(endpoint, &format!("no connection: {error}")))?;
        // No two connections at a time have the same port.
        let inbox = format!("_INBOX.{}.{}", std::process::id(), local.port());
        let mut connection = Connection {
            stream,
            speaker: Speaker::Nats { inbox: inbox.clone() },
            server: Some("nats-server".to_owned()),
            input: Input::new(endpoint),
            output: Output::new(),
            endpoint,
        };
        connection
            .output
            .bytes
            .extend_from_slice(nats::connect(&inbox).as_bytes());
        connection.carried_out("connect", |_, _| Ok(())).await?;
        Ok(connection)
    }

    /// How its deliveries are acknowledged.
    pub(super) fn ack_syntax(&self) -> AckSyntax {
        match &self.speaker {
            Speaker::Stomp { version, .. } => AckSyntax::Stomp(*version),
            Speaker::Nats { .. } => AckSyntax::Nats,
        }
    }

    /// A message for a place.
    pub(super) fn template(&self, place: &Place, body: &[u8], options: &SendOptions<'_>) -> Template {
        match (&self.speaker, place) {
            (Speaker::Stomp { version, .. }, place) => {
                Template::Stomp(SendTemplate::new(*version, place.name(), body, options))
            }
            (Speaker::Nats { inbox }, Place::Stream(stream)) => {
                Template::Nats(PublishTemplate::new(&stream.subject, Some(inbox), body))
            }
            (Speaker::Nats { .. }, place) => Template::Nats(PublishTemplate::new(place.name(), None, body)),
        }
    }

    /// Subscribes to a place. The answer is [`Connection::carried_out`] with the options' receipt.
    pub(super) fn subscribe(&mut self, place: &Place, options: &SubscribeOptions<'_>) {
        match (&mut self.speaker, place) {
            (Speaker::Stomp { client, .. }, place) => {
                client.subscribe(SUBSCRIPTION, place.name(), options);
                self.output.take(client);
            }
            (Speaker::Nats { .. }, Place::Stream(stream)) => {
                self.say(&nats::subscribe(&stream.deliveries, Some(nats::GROUP)));
            }
            (Speaker::Nats { .. }, place) => self.say(&nats::subscribe(place.name(), None)),
        }
    }

    /// Ends that; the answer is [`Connection::carried_out`] with this receipt.
    pub(super) fn unsubscribe(&mut self, receipt: &str) {
        match &mut self.speaker {
            Speaker::Stomp { client, .. } => {
                client.unsubscribe(SUBSCRIPTION, Some(receipt), &[]);
                self.output.take(client);
            }
            Speaker::Nats { .. } => self.say(&nats::unsubscribe()),
        }
    }

    /// Says goodbye; the answer is [`Connection::carried_out`] with this receipt.
    pub(super) fn disconnect(&mut self, receipt: &str) {
        match &mut self.speaker {
            Speaker::Stomp { client, .. } => {
                client.disconnect(Some(receipt));
                self.output.take(client);
            }
            Speaker::Nats { .. } => self.say("PING\r\n"),
        }
    }

    /// Has a stream made. `pending_max`: deliveries that may be unacknowledged in all.
    pub(super) async fn create(&mut self, place: &Place, persistent: bool, pending_max: u64) -> Result<(), Failure> {
        let (Speaker::Nats { inbox }, Place::Stream(stream)) = (&self.speaker, place) else {
            return Ok(());
        };
        for request in stream.create(inbox, persistent, pending_max) {
            self.output.bytes.extend_from_slice(&request);
            self.carried_out("create", |_, _| Ok(())).await?;
        }
        Ok(())
    }

    /// Has it removed again.
    pub(super) async fn delete(&mut self, place: &Place) -> Result<(), Failure> {
        let (Speaker::Nats { inbox }, Place::Stream(stream)) = (&self.speaker, place) else {
            return Ok(());
        };
        let request = stream.delete(inbox);
        self.output.bytes.extend_from_slice(&request);
        self.carried_out("delete", |_, _| Ok(())).await
    }

    fn say(&mut self, text: &str) {
        self.output.bytes.extend_from_slice(text.as_bytes());
    }

    /// Writes what the socket takes now.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        self.output
            .write(&self.stream)
            .map_err(|error| broken(self.endpoint, &error.to_string()))
    }

    /// Waits until something was read; meanwhile it writes on, if the socket was full. Can be dropped and called again.
    pub(super) async fn read(&mut self) -> Result<(), Failure> {
        let endpoint = self.endpoint;
        let failed = |error: std::io::Error| broken(endpoint, &error.to_string());
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
                return Err(broken(endpoint, "the broker closed the connection"));
            }
            self.input.end += count;
            return Ok(());
        }
    }

    /// Reads until something rare was carried out, in STOMP what asked for this receipt; deliveries meanwhile go to `delivered`, with where their acknowledgements are to be written.
    pub(super) async fn carried_out(
        &mut self,
        receipt: &str,
        mut delivered: impl FnMut(&Delivery<'_>, &mut Vec<u8>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.flush()?;
        loop {
            while let Some(incoming) = self.input.next()? {
                match incoming {
                    Incoming::Done => return Ok(()),
                    Incoming::Answered(id) if id == receipt.as_bytes() => return Ok(()),
                    Incoming::Delivered(delivery) => delivered(&delivery, &mut self.output.bytes)?,
                    Incoming::Asked => write_sign_of_life(&mut self.output.bytes),
                    Incoming::Aside => {}
                    Incoming::Answered(_) | Incoming::Confirmed(_) => {
                        return Err(unexpected(self.endpoint, "a confirmation"));
                    }
                }
            }
            self.flush()?;
            self.read().await?;
        }
    }
}

impl Input {
    fn new(endpoint: Endpoint) -> Input {
        Input {
            buffer: vec![0; INPUT_BYTES],
            start: 0,
            end: 0,
            endpoint,
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

    /// The next whole thing that came. A refusal is a failure.
    pub(super) fn next(&mut self) -> Result<Option<Incoming<'_>>, Failure> {
        match self.endpoint.protocol {
            Protocol::Stomp => self.next_stomp(),
            Protocol::Nats => self.next_nats(),
        }
    }

    fn next_stomp(&mut self) -> Result<Option<Incoming<'_>>, Failure> {
        let found = next_frame(&self.buffer[self.start..self.end])
            .map_err(|error| broken(self.endpoint, &format!("the broker sent what is no STOMP: {error}")))?;
        let Some((frame, bytes)) = found else { return Ok(None) };
        self.start += bytes;
        match frame.command {
            b"MESSAGE" => Ok(Some(Incoming::Delivered(Delivery {
                body: frame.body,
                handle: Handle::Stomp(frame),
            }))),
            b"RECEIPT" => Ok(Some(match frame.number(b"receipt-id") {
                Some(place) => Incoming::Confirmed(place),
                None => Incoming::Answered(frame.header(b"receipt-id").unwrap_or_default()),
            })),
            b"ERROR" => Err(refused(
                self.endpoint,
                frame.header(b"message").unwrap_or_default(),
                frame.body,
            )),
            other => Err(unexpected(self.endpoint, &String::from_utf8_lossy(other))),
        }
    }

    fn next_nats(&mut self) -> Result<Option<Incoming<'_>>, Failure> {
        let found = nats::next_line(&self.buffer[self.start..self.end])
            .map_err(|nats::NoLine| broken(self.endpoint, "the broker sent what is no NATS"))?;
        let Some((line, bytes)) = found else { return Ok(None) };
        self.start += bytes;
        match line {
            Line::Confirmed(place) => Ok(Some(Incoming::Confirmed(place))),
            Line::Answer | Line::Pong => Ok(Some(Incoming::Done)),
            Line::Message { reply, body } => Ok(Some(Incoming::Delivered(Delivery {
                body,
                handle: Handle::Nats(reply),
            }))),
            Line::Ping => Ok(Some(Incoming::Asked)),
            Line::Info => Ok(Some(Incoming::Aside)),
            Line::Refused(why) => Err(refused(self.endpoint, why, b"")),
            Line::Other(what) => Err(unexpected(self.endpoint, &String::from_utf8_lossy(what))),
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

fn unreachable(endpoint: Endpoint, what: &str) -> Failure {
    Failure::new(
        Exit::Unreachable,
        what,
        endpoint.to_string(),
        "check that the broker runs, and that it and this user may open so many connections (ulimit -n)",
    )
}

/// A connection that ended in the middle.
fn broken(endpoint: Endpoint, what: &str) -> Failure {
    Failure::new(
        Exit::Unreachable,
        what,
        endpoint.to_string(),
        "look at the broker's log; the destinations of the run are left as they are",
    )
}

fn refused(endpoint: Endpoint, message: &[u8], explanation: &[u8]) -> Failure {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let (message, explanation) = (text(message), text(explanation));
    let first_line = explanation.lines().next().unwrap_or_default();
    let what = match first_line.is_empty() || first_line == message {
        true => format!("the broker refused: {message}"),
        false => format!("the broker refused: {message} ({first_line})"),
    };
    Failure::new(
        Exit::Refused,
        what,
        endpoint.to_string(),
        "put right what the broker's words name; the destinations of the run are left as they are",
    )
}

/// Something that belongs to nothing.
pub(super) fn unexpected(endpoint: Endpoint, what: &str) -> Failure {
    broken(endpoint, &format!("the broker sent {what} out of place"))
}
