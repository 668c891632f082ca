#!/usr/bin/env bash
# the failover protocol as a state machine: no promise breaks in any state, every rule that is broken on purpose is noticed (--long: 2 brokers over 4 epochs, 3 over 3)
set -euo pipefail
case "${HOLDFAST_TEST_LEVEL:-normal}" in
    quick)
        . scripts/tools.sh
        skip "it explores for minutes; \`cargo test -p holdfast-model\` takes seconds"
        ;;
    normal) what=() ;;
    long) what=(--long) ;;
esac
cargo run --locked --profile simulation -p holdfast-model --bin model -- "${what[@]}"
