#!/usr/bin/env bash
# unit and integration tests of every package
set -euo pipefail
cargo test --workspace --locked --no-fail-fast
