//! Real processes of the shipped binary: started, watched, killed; and clients that work against them over real sockets.
//!
//! Invariants: nothing waits by sleeping, every wait is for an event and has a limit; what was started here is ended here; a broker's WARN or ERROR that a test did not name fails it.
//! Tests: tests/tests/processes.rs, tests/tests/storage_faults.rs, and the binaries `kill-loop` and `enemies`.

mod binary;
mod broker;
mod crowd;
mod gauge;
mod http;
mod memory_limit;
mod root;

pub use binary::holdfast;
pub use broker::{Broker, Ended, Launch, LogLine, command, kill_started};
pub use crowd::{Crowd, Until};
pub use gauge::{processor_time, resident_bytes, resident_bytes_max};
pub use http::{Response, get, post};
pub use memory_limit::MemoryLimit;
pub use root::{SmallFileSystem, Trace, Unavailable, is_root, program, reachable_by_others};
