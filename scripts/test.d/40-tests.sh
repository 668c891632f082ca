#!/usr/bin/env bash
# unit and integration tests of every package
set -euo pipefail
. scripts/tools.sh
mkdir -p "$TOOLS_DIR"

# Faults from outside: strace fails system calls of the shipped binary, bindfs is a FUSE file system to refuse.
debian_packages strace bindfs || echo "SKIPPED: the tests that need strace or bindfs will say so below."

log="$TOOLS_DIR/tests.log"
code=0
cargo test --workspace --locked --no-fail-fast -- --show-output 2>&1 | tee "$log" || code=$?
if grep -q '^SKIPPED' "$log"; then
    echo
    echo "Not shown on this machine:"
    grep '^SKIPPED' "$log" | sort -u | sed 's/^/  /'
fi
exit "$code"
