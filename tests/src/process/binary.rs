//! Where the binary under test is.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The `holdfast` binary: what `HOLDFAST_BIN` names, else built now with the profile of whoever asks.
///
/// # Panics
/// If it cannot be built.
pub fn holdfast() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("HOLDFAST_BIN") {
        Some(path) => path.into(),
        None => build(),
    })
}

fn build() -> PathBuf {
    let own = std::env::current_exe().expect("a process knows its own file");
    let mut directory = own.parent().expect("a file has a directory").to_path_buf();
    if directory.ends_with("deps") {
        directory.pop();
    }
    let profile = match directory.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let target = directory.parent().expect("a profile lies in the target directory");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the package lies in the workspace");
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "build",
            "--package",
            "holdfast",
            "--bin",
            "holdfast",
            "--profile",
            profile,
        ])
        .current_dir(root)
        .env("CARGO_TARGET_DIR", target)
        .output()
        .expect("cargo starts");
    assert!(
        output.status.success(),
        "the broker does not build:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    directory.join("holdfast")
}
