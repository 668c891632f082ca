#!/usr/bin/env bash
# every decoder holds against inputs that coverage guides: no panic, no unbounded memory or time; and coverage does guide them
set -euo pipefail
case "${HOLDFAST_TEST_LEVEL:-normal}" in
    quick) limits=(--runs 2000) ;;
    normal) limits=(--seconds 1) ;;
    long) limits=(--runs 2000000) ;;
esac
# From the seeds alone, so that two runs of one commit begin alike, and with another randomness each day.
scripts/fuzz --fresh --seed "$(date +%j)" "${limits[@]}"
