#!/usr/bin/env bash
# the code is formatted as rustfmt.toml says
set -euo pipefail
. scripts/tools.sh
need_component fmt rustfmt
cargo fmt --all -- --check
