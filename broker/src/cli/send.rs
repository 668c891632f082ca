//! `holdfast send`.

use std::io::{BufRead, IsTerminal, Read};
use std::time::Instant;

use client::stomp::{Event, SendOptions};

use super::arguments::SendArguments;
use super::exit::Exit;
use super::failure::Failure;
use super::output::Output;
use super::stomp_connection::{StompConnection, stomp_destination};

/// Messages sent and not yet confirmed.
const IN_FLIGHT_MAX: u64 = 64;

/// The largest body read from a file or standard input, in bytes; the broker's own limit is lower by default.
const BODY_BYTES_MAX: u64 = 1 << 30;

pub(super) fn run(arguments: &SendArguments, output: &Output) -> Result<(), Failure> {
    let destination = stomp_destination(&arguments.destination)?;
    let mut bodies = Bodies::open(arguments)?;
    let addresses = arguments.reach.stomp_addresses()?;
    let mut sending = Sending {
        connection: StompConnection::open(&addresses)?,
        arguments,
        destination: &destination,
        sent: 0,
        confirmed: 0,
        bytes: 0,
    };
    let done = sending.all(&mut bodies, output);
    let (sent, confirmed, bytes) = (sending.sent, sending.confirmed, sending.bytes);
    done.map_err(|mut failure| {
        failure.what = format!("{} ({confirmed} of {sent} messages sent were confirmed)", failure.what);
        failure
    })?;
    sending.connection.close(arguments.timeout)?;
    match output.json {
        true => output.object(&serde_json::json!({
            "destination": super::destinations::shown(&arguments.destination),
            "messages": confirmed,
            "body_bytes": bytes,
            "persistent": arguments.persistent,
        })),
        false => output.text(&format!(
            "Sent {confirmed} {} to {}.\n",
            if confirmed == 1 { "message" } else { "messages" },
            super::destinations::shown(&arguments.destination)
        )),
    }
}

struct Sending<'a> {
    connection: StompConnection,
    arguments: &'a SendArguments,
    destination: &'a str,
    sent: u64,
    confirmed: u64,
    bytes: u64,
}

impl Sending<'_> {
    fn all(&mut self, bodies: &mut Bodies, output: &Output) -> Result<(), Failure> {
        while let Some(body) = bodies.next()? {
            for _ in 0..self.arguments.count {
                self.one(&body);
                while self.sent - self.confirmed >= IN_FLIGHT_MAX {
                    self.await_receipt()?;
                }
                let confirmed = self.confirmed;
                output.progress(|| format!("{confirmed} messages confirmed"));
            }
        }
        while self.confirmed < self.sent {
            self.await_receipt()?;
        }
        Ok(())
    }

    fn one(&mut self, body: &[u8]) {
        self.sent += 1;
        self.bytes += body.len() as u64;
        let receipt = self.sent.to_string();
        let priority = self.arguments.priority.map(|priority| priority.to_string());
        let expires = self.arguments.expires_after.map(|after| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            (now.unwrap_or_default() + after).as_millis().to_string()
        });
        let given = self.arguments.headers.iter();
        let mut headers: Vec<(&str, &str)> = given.map(|(name, value)| (name.as_str(), value.as_str())).collect();
        headers.extend(priority.as_deref().map(|priority| ("priority", priority)));
        headers.extend(expires.as_deref().map(|expires| ("expires", expires)));
        let is_text = !self.arguments.bytes && !body.contains(&0) && std::str::from_utf8(body).is_ok();
        let options = SendOptions {
            persistent: self.arguments.persistent,
            text: is_text,
            receipt: Some(&receipt),
            headers: &headers,
            ..SendOptions::default()
        };
        self.connection.client.send(self.destination, body, &options);
    }

    fn await_receipt(&mut self) -> Result<(), Failure> {
        let until = Instant::now() + self.arguments.timeout;
        match self.connection.event(Some(until))? {
            Some(Event::Receipt { .. }) => self.confirmed += 1,
            Some(_) => {}
            None => {
                let seconds = self.arguments.timeout.as_secs_f64();
                return Err(self
                    .connection
                    .broken(&format!("no confirmation came within {seconds} s")));
            }
        }
        Ok(())
    }
}

/// The bodies to send, one after the other.
enum Bodies {
    One(Option<Vec<u8>>),
    Lines(Box<dyn BufRead>),
}

impl Bodies {
    fn open(arguments: &SendArguments) -> Result<Bodies, Failure> {
        let given = arguments.body.as_deref().filter(|body| *body != "-");
        if let Some(body) = given {
            let lines = || Bodies::Lines(Box::new(std::io::Cursor::new(body.as_bytes().to_vec())));
            return Ok(if arguments.lines {
                lines()
            } else {
                Bodies::One(Some(body.as_bytes().to_vec()))
            });
        }
        let mut input: Box<dyn BufRead> = match &arguments.file {
            Some(path) => {
                let opened = std::fs::File::open(path);
                Box::new(std::io::BufReader::new(
                    opened.map_err(|error| unreadable(path.display(), &error))?,
                ))
            }
            None => {
                if std::io::stdin().is_terminal() && arguments.body.is_none() {
                    eprintln!("Reading the body from the terminal; end it with Ctrl-D.");
                }
                Box::new(std::io::BufReader::new(std::io::stdin()))
            }
        };
        if arguments.lines {
            return Ok(Bodies::Lines(input));
        }
        let mut body = Vec::new();
        let read = input.by_ref().take(BODY_BYTES_MAX + 1).read_to_end(&mut body);
        read.map_err(|error| unreadable("the input", &error))?;
        if body.len() as u64 > BODY_BYTES_MAX {
            return Err(Failure::new(
                Exit::Usage,
                "the body is larger than 1 GiB",
                arguments
                    .file
                    .as_ref()
                    .map_or_else(|| "the input".to_owned(), |path| path.display().to_string()),
                "send it in parts, or each line by itself with --lines",
            ));
        }
        Ok(Bodies::One(Some(body)))
    }

    fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        match self {
            Bodies::One(body) => Ok(body.take()),
            Bodies::Lines(input) => {
                let mut line = Vec::new();
                let read = input.take(BODY_BYTES_MAX).read_until(b'\n', &mut line);
                if read.map_err(|error| unreadable("the input", &error))? == 0 {
                    return Ok(None);
                }
                while line.last().is_some_and(|last| *last == b'\n' || *last == b'\r') {
                    line.pop();
                }
                Ok(Some(line))
            }
        }
    }
}

fn unreadable(what: impl std::fmt::Display, error: &std::io::Error) -> Failure {
    Failure::new(
        Exit::Failure,
        format!("the body cannot be read: {error}"),
        what.to_string(),
        "give a file that this user may read, or the body as an argument",
    )
}
