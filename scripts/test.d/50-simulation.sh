#!/usr/bin/env bash
# the shipped node over a simulated machine, from seeds and at every crash of a fixed workload: no promise breaks
set -euo pipefail
case "${HOLDFAST_TEST_LEVEL:-normal}" in
    quick) runs=(--runs 500) ;;
    normal) runs=(--runs 20050) ;;
    long) runs=(--runs 1000000) ;;
esac
cargo build --locked --profile simulation -p holdfast-tests --bin simulate
simulate="${CARGO_TARGET_DIR:-target}/simulation/simulate"
"$simulate" "${runs[@]}"
"$simulate" --exhaustive
