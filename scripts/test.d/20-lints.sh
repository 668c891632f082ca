#!/usr/bin/env bash
# clippy is silent over the workspace, every target
set -euo pipefail
. scripts/tools.sh
need_component clippy clippy
cargo clippy --workspace --all-targets --locked -- -D warnings
