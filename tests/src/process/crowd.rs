//! Scripted clients over real sockets: the same actors as in the simulation.
//!
//! One thread runs all of them; one thread a connection only reads. What a dead connection still gave is taken before its death is written down.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use platform::{BootTime, Now, WallTime};
use simulated::Prng;

use crate::workload::{Actor, Drainer, Scene, Taken};

/// A place that is not drained by then is stuck.
const DRAINED_WITHIN: Duration = Duration::from_secs(60);

/// Between two things that one client does, at most.
const PAUSE_MAX: Duration = Duration::from_millis(2);

/// When a crowd stops working.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// After this time.
    Passed(Duration),
    /// After so many operations of the scene, or this time.
    Operations(u64, Duration),
}

/// The clients of one broker.
#[derive(Debug)]
pub struct Crowd {
    address: SocketAddr,
    started: Instant,
    prng: Prng,
    guests: Vec<Guest>,
    next_line: u64,
    sender: Sender<(u64, Option<Bytes>)>,
    receiver: Receiver<(u64, Option<Bytes>)>,
}

#[derive(Debug)]
struct Guest {
    actor: Actor,
    line: Option<(u64, TcpStream)>,
    next_act: Instant,
}

impl Crowd {
    /// Clients that will work with the broker at an address.
    pub fn new(address: SocketAddr, actors: Vec<Actor>, seed: u64) -> Crowd {
        let (sender, receiver) = channel();
        let started = Instant::now();
        let guests = actors
            .into_iter()
            .map(|actor| Guest {
                actor,
                line: None,
                next_act: started,
            })
            .collect();
        Crowd {
            address,
            started,
            prng: Prng::new(seed),
            guests,
            next_line: 0,
            sender,
            receiver,
        }
    }

    /// The broker is at another address from now on.
    pub fn move_to(&mut self, address: SocketAddr) {
        self.address = address;
    }

    fn now(&self) -> Now {
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |passed| passed.as_millis() as u64);
        Now {
            boot: BootTime(self.started.elapsed().as_nanos() as u64),
            wall: WallTime(wall),
        }
    }

    fn connect(&mut self, index: usize, scene: &mut Scene) {
        let Some((line, stream)) = open(self.address, &mut self.next_line, &self.sender) else {
            return;
        };
        let now = self.now();
        let guest = &mut self.guests[index];
        guest.actor.connect(now, scene);
        guest.line = Some((line, stream));
    }

    /// Works; returns early when every connection broke and none can be made.
    pub fn work(&mut self, until: Until, scene: &mut Scene) {
        let started = Instant::now();
        let (limit, operations) = match until {
            Until::Passed(limit) => (limit, u64::MAX),
            Until::Operations(operations, limit) => (limit, operations),
        };
        let end = started + limit;
        while Instant::now() < end && scene.operations < operations {
            let mut next = end;
            for index in 0..self.guests.len() {
                if Instant::now() >= self.guests[index].next_act {
                    if self.guests[index].line.is_none() {
                        self.connect(index, scene);
                    }
                    let now = self.now();
                    let pause = self.prng.between(Duration::from_micros(50), PAUSE_MAX);
                    let guest = &mut self.guests[index];
                    guest.next_act = Instant::now() + pause;
                    if guest.line.is_some() {
                        guest.actor.act(now, scene);
                    }
                }
                self.flush(index, scene);
                next = next.min(self.guests[index].next_act);
            }
            match self
                .receiver
                .recv_timeout(next.saturating_duration_since(Instant::now()))
            {
                Ok(told) => self.told(told, scene),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => unreachable!("the crowd keeps a sender"),
            }
            while let Ok(told) = self.receiver.try_recv() {
                self.told(told, scene);
            }
        }
    }

    fn flush(&mut self, index: usize, scene: &mut Scene) {
        let now = self.now();
        let guest = &mut self.guests[index];
        let Some((_, stream)) = &mut guest.line else { return };
        let mut broken = false;
        while let Some(bytes) = guest.actor.poll_output(now) {
            broken |= stream.write_all(&bytes).is_err();
        }
        if guest.actor.is_over() {
            let _ = stream.shutdown(Shutdown::Both);
            broken = true;
        }
        // A broken one is over when its reader has said so: until then it may still have received something.
        if broken {
            guest.next_act = Instant::now() + Duration::from_millis(5);
            let _ = stream.shutdown(Shutdown::Write);
        }
        let _ = scene;
    }

    fn told(&mut self, (line, bytes): (u64, Option<Bytes>), scene: &mut Scene) {
        let now = self.now();
        let Some(guest) = self
            .guests
            .iter_mut()
            .find(|guest| guest.line.as_ref().is_some_and(|(known, _)| *known == line))
        else {
            return;
        };
        match bytes {
            Some(bytes) => guest.actor.handle_bytes(now, &bytes, scene),
            None => {
                guest.line = None;
                guest.actor.disconnected(now, &[], scene);
            }
        }
    }

    /// The broker is dead: takes what still comes, then forgets every connection.
    pub fn bereave(&mut self, scene: &mut Scene) {
        while self.guests.iter().any(|guest| guest.line.is_some()) {
            match self.receiver.recv_timeout(Duration::from_secs(30)) {
                Ok(told) => self.told(told, scene),
                Err(_) => panic!("a connection to a dead broker does not end"),
            }
        }
    }

    /// Every client leaves at once.
    pub fn disperse(&mut self, scene: &mut Scene) {
        for guest in &self.guests {
            if let Some((_, stream)) = &guest.line {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        self.bereave(scene);
    }

    /// Takes everything that waits.
    ///
    /// # Errors
    /// Which place cannot be drained, and why.
    pub fn drain(&mut self, scene: &mut Scene) -> Result<(), String> {
        for (place, destination, durable) in scene.places() {
            let name = scene.history.name(place).to_owned();
            let (line, mut stream) = open(self.address, &mut self.next_line, &self.sender)
                .ok_or(format!("no connection to drain {name}"))?;
            let mut drainer = Drainer::new(place, &destination, durable, self.now(), scene);
            let until = Instant::now() + DRAINED_WITHIN;
            while drainer.taken() == Taken::Waiting {
                while let Some(bytes) = drainer.poll_output(self.now()) {
                    stream
                        .write_all(&bytes)
                        .map_err(|error| format!("the drain of {name} broke: {error}"))?;
                }
                match self
                    .receiver
                    .recv_timeout(until.saturating_duration_since(Instant::now()))
                {
                    Ok((from, Some(bytes))) if from == line => drainer.handle_bytes(self.now(), &bytes, scene),
                    Ok((from, None)) if from == line => {
                        return Err(format!("the connection broke during the drain of {name}"));
                    }
                    Ok(_) => {}
                    Err(_) => return Err(format!("{name} is not drained after {DRAINED_WITHIN:?}")),
                }
            }
            let _ = stream.shutdown(Shutdown::Both);
        }
        Ok(())
    }
}

/// Connects, with a thread that reads.
fn open(address: SocketAddr, next_line: &mut u64, sender: &Sender<(u64, Option<Bytes>)>) -> Option<(u64, TcpStream)> {
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).ok()?;
    stream.set_nodelay(true).ok()?;
    stream.set_write_timeout(Some(Duration::from_secs(20))).ok()?;
    let mut reading = stream.try_clone().ok()?;
    *next_line += 1;
    let (line, sender) = (*next_line, sender.clone());
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        loop {
            match reading.read(&mut buffer) {
                Ok(0) | Err(_) => break,
                Ok(count) => {
                    if sender
                        .send((line, Some(Bytes::copy_from_slice(&buffer[..count]))))
                        .is_err()
                    {
                        return;
                    }
                }
            }
        }
        // The crowd may be gone, and need not hear of it.
        let _ = sender.send((line, None));
    });
    Some((line, stream))
}
