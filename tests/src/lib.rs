//! What proves the broker's promises: a checker of histories, and what makes histories.
//!
//! | module | owns |
//! |---|---|
//! | [`history`] | what clients did and saw, and the rules that it is judged by |
//! | [`workload`] | scripted clients without I/O |
//! | [`simulation`] | the shipped node over a simulated machine, from a seed |
//! | [`process`] | real processes of the shipped binary, and what is done to them |
//! | [`ledger`] | the committed table of simulated runs |
//! | [`enemies`] | clients and machines that do their worst to such a process |
//! | [`options`] | values of options of this package's programs |
//!
//! docs/testing.md says how they are run, docs/guarantees.md which promise rests on which of them.
#![forbid(unsafe_code)]

pub mod enemies;
pub mod history;
pub mod ledger;
pub mod options;
pub mod process;
pub mod simulation;
pub mod workload;

/// The workspace's directory.
pub fn workspace() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the package lies in the workspace")
        .to_path_buf()
}
