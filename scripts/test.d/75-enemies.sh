#!/usr/bin/env bash
# enemies of the shipped binary, from silent connections to a full disk: a healthy client loses nothing, memory stays within the limits, the broker lives
set -euo pipefail
case "${HOLDFAST_TEST_LEVEL:-normal}" in
    quick) options=(--only byte-per-second,long-headers,unknown-acks,erring-selector) ;;
    normal) options=() ;;
    long) options=(--long) ;;
esac
cargo build --locked --profile quick -p holdfast --bin holdfast -p holdfast-tests --bin enemies
target="${CARGO_TARGET_DIR:-$PWD/target}/quick"
# Ten thousand connections need as many descriptors on either side.
ulimit -n "$(ulimit -Hn)"
HOLDFAST_BIN="$target/holdfast" "$target/enemies" "${options[@]}"
