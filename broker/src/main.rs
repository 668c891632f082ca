//! The `holdfast` command.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Small pieces that live shortly and come back from another place than they were taken: what a broker allocates (docs/decisions/0010-allocator.md).
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    holdfast::cli::main()
}
