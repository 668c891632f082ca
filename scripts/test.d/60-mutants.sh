#!/usr/bin/env bash
# every deliberate fault in the shipped code is noticed by the simulation within 1 000 runs, and refused by a release build
set -euo pipefail
if [ "${HOLDFAST_TEST_LEVEL:-normal}" = quick ]; then
    . scripts/tools.sh
    skip "a build of its own takes half a minute"
fi
cargo run --locked -p holdfast-tests --bin mutants
