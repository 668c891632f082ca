#!/usr/bin/env bash
# every deliberate fault in the shipped code is noticed by the simulation, and refused by a release build
set -euo pipefail
if [ "${HOLDFAST_TEST_LEVEL:-normal}" != long ]; then
    . scripts/tools.sh
    skip "one build for each mutant takes long; with --long they run (docs/status.md says how far this is)"
fi
cargo run --locked -p holdfast-tests --bin mutants
