//! Clients of the broker's protocols, without I/O: operations in, bytes out; bytes in, events out.
//!
//! One for the command line, the benchmarks, the probes and the simulation. Deliberately absent: sockets, clocks, reconnecting (which addresses, how often, what to send again is
//! the caller's affair, because only the caller knows what its work means).

#![forbid(unsafe_code)]

pub mod stomp;
