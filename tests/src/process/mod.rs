//! Real processes of the shipped binary: started, watched, killed; and clients that work against them over real sockets.
//!
//! Invariants: nothing waits by sleeping, every wait is for an event and has a limit; what was started here is ended here; a broker's WARN or ERROR that a test did not name fails it.
//! Tests: tests/tests/processes.rs, tests/tests/storage_faults.rs, and the binary `kill-loop`.

mod binary;
mod broker;
mod crowd;
mod http;
mod root;

pub use binary::holdfast;
pub use broker::{Broker, Ended, Launch, LogLine, command};
pub use crowd::{Crowd, Until};
pub use http::{Response, get};
pub use root::{SmallFileSystem, Trace, Unavailable, is_root, program, reachable_by_others};
