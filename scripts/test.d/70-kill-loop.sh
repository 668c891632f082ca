#!/usr/bin/env bash
# kill -9 under load at random moments, recoveries included: no promise breaks
set -euo pipefail
case "${HOLDFAST_TEST_LEVEL:-normal}" in
    quick) kills=5 ;;
    normal) kills=50 ;;
    long) kills=300 ;;
esac
cargo build --locked --profile quick -p holdfast --bin holdfast -p holdfast-tests --bin kill-loop
HOLDFAST_BIN="${CARGO_TARGET_DIR:-$PWD/target}/quick/holdfast" "${CARGO_TARGET_DIR:-target}/quick/kill-loop" --kills "$kills"
