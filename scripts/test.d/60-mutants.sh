#!/usr/bin/env bash
# every deliberate fault in the shipped code is noticed by the simulation, and refused by a release build
set -euo pipefail
if [ "${HOLDFAST_TEST_LEVEL:-normal}" = quick ]; then
    . scripts/tools.sh
    skip "the mutants take minutes; without --quick they run"
fi
cargo run --locked -p holdfast-tests --bin mutants
