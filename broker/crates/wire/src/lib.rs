//! The protocols that clients and standbys speak, without I/O: bytes in, commands out; events in, bytes out.
//!
//! Architecture invariant: a session knows neither sockets nor disks nor the engine. What it may tell a client has been confirmed before it gets the event.
//! Deliberately absent: clocks (`now` is an argument), randomness, threads, and every decision about what happens to a message.

#![forbid(unsafe_code)]

pub mod stomp;
pub mod stream;
