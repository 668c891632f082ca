//! How fast the encrypted channel is: `cargo run --release -p holdfast-wire --example channel_speed`.
#![allow(
    clippy::disallowed_methods,
    reason = "a program, not the library: it looks at the clock"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use platform::Random;
use platform::real::RealRandom;
use wire::stream::secure::{Channel, Key};

/// What is sent for each row.
const TOTAL_BYTES: usize = 512 << 20;
const HANDSHAKES: u32 = 1000;

fn main() {
    let mut random = RealRandom::open().expect("this machine has /dev/urandom");
    let key = Key::generate(&mut random);
    let started = Instant::now();
    for _ in 0..HANDSHAKES {
        black_box(established(&key, &mut random));
    }
    println!(
        "handshake, both sides: {} µs",
        started.elapsed().as_micros() / u128::from(HANDSHAKES)
    );
    for piece in [4096 + 29, 65_536, 1 << 20] {
        let (mut left, mut right) = established(&key, &mut random);
        let plain = vec![5; piece];
        let (mut sending, mut receiving, mut sent) = (Duration::ZERO, Duration::ZERO, 0);
        while sent < TOTAL_BYTES {
            let started = Instant::now();
            left.send(&plain);
            let messages: Vec<_> = std::iter::from_fn(|| left.poll_output()).collect();
            sending += started.elapsed();
            let started = Instant::now();
            for message in &messages {
                right.handle_bytes(message).expect("nobody changes what passes");
            }
            while let Some(bytes) = right.poll_plain() {
                sent += black_box(bytes).len();
            }
            receiving += started.elapsed();
        }
        let rate = |time: Duration| sent as f64 / 1e6 / time.as_secs_f64();
        println!(
            "pieces of {piece} bytes: {:.0} MB/s to send, {:.0} MB/s to receive",
            rate(sending),
            rate(receiving)
        );
    }
}

fn established(key: &Key, random: &mut dyn Random) -> (Channel, Channel) {
    let (mut left, mut right) = (Channel::initiator(key, random), Channel::responder(key, random));
    while !(left.is_established() && right.is_established()) {
        while let Some(bytes) = left.poll_output() {
            right.handle_bytes(&bytes).expect("both have the key");
        }
        while let Some(bytes) = right.poll_output() {
            left.handle_bytes(&bytes).expect("both have the key");
        }
    }
    (left, right)
}
