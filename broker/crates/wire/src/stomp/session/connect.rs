//! CONNECT, CONNECTED and DISCONNECT.

use std::time::Duration;

use message::Command;
use platform::Now;

use super::super::problem::Problem;
use super::super::{Frame, HeartBeat, Version};
use super::output::{Connected, Outgoing};
use super::requests::Then;
use super::{Phase, Session};

impl Session {
    pub(super) fn handle_connect(&mut self, now: Now, frame: &Frame) {
        let accepted = frame.header("accept-version");
        let Some(version) = Version::negotiate(accepted) else {
            let problem = Problem::broken(format!(
                "Invalid Protocol version[{}], supported versions are: [1.2, 1.1, 1.0]",
                accepted.unwrap_or_default()
            ))
            .because("Supported protocol versions are 1.0 1.1 1.2");
            self.fail_with(now, problem, None, Some(Version::ALL_TEXT));
            return;
        };
        let heart_beat = match frame.header("heart-beat") {
            None => self.settings.heart_beat_default,
            Some(text) => match HeartBeat::parse(text) {
                Some(heart_beat) => heart_beat,
                None => {
                    let problem = Problem::broken(format!("Invalid heart-beat header:{}", text.trim()))
                        .because("The heart-beat header has to be two numbers of milliseconds, such as 10000,10000. The connection is closed.");
                    self.fail(now, problem, None);
                    return;
                }
            },
        };
        self.version = version;
        let ours = heart_beat.swapped();
        self.output.heart_beat = ours;
        self.beats.send_every = ours.send_every(heart_beat);
        self.beats.silence_max = ours.receive_every(heart_beat).map(|every| self.with_grace(every));
        self.client_id = frame.header("client-id").filter(|id| !id.is_empty()).map(Into::into);
        let response_id = frame
            .header("request-id")
            .or_else(|| frame.header("receipt"))
            .map(Into::into);
        self.phase = Phase::Connecting;
        let command = Command::Connect {
            client_id: self.client_id.clone(),
        };
        self.request(command, None, Then::Connect { response_id });
    }

    /// The longest silence that is borne: twice the promise, times the grace. ActiveMQ looks once per period whether something came, so it too bears up to twice.
    fn with_grace(&self, every: Duration) -> Duration {
        let percent = self.settings.heart_beat_grace_percent.max(100);
        every.saturating_mul(2).saturating_mul(percent) / 100
    }

    pub(super) fn connected(&mut self, now: Now, response_id: Option<Box<str>>) {
        match self.phase {
            Phase::Connecting => {}
            Phase::Opening | Phase::Open | Phase::Ending { .. } | Phase::Closing => return,
        }
        self.phase = Phase::Open;
        self.beats.last_sent = now.boot;
        self.beats.last_received = now.boot;
        self.output.push(Outgoing::Connected(Connected {
            session: self.client_id.clone().unwrap_or_else(|| self.name.clone()),
            response_id,
        }));
        self.decoder.connected(self.version, self.settings.limits.frame);
        self.read_frames(now);
    }

    pub(super) fn handle_disconnect(&mut self, now: Now, receipt: Option<Box<str>>) {
        // A client that wants a receipt decides how long it waits for it; one that wants none may be gone.
        let deadline = match receipt {
            Some(_) => None,
            None => Some(now.boot + self.settings.limits.close_within),
        };
        // Sends that are not persistent are asked without a request, and may wait for space all the same.
        self.request(Command::Barrier, None, Then::Nothing);
        self.end(receipt.map(Outgoing::Receipt), deadline);
    }
}
