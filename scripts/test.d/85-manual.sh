#!/usr/bin/env bash
# every manual page is rendered by groff and by man without a warning, and the shells accept their completions
set -euo pipefail
. scripts/tools.sh

cargo build --locked --profile quick -p holdfast --bin holdfast
holdfast="${CARGO_TARGET_DIR:-$PWD/target}/quick/holdfast"
pages=$(mktemp -d)
trap 'rm -rf "$pages"' EXIT
debian_packages groff man-db || skip "the Debian packages groff and man-db cannot be had here"

"$holdfast" man "$pages"
said=$(for page in "$pages"/*.1; do
    groff -ww -man -Tutf8 "$page" 2>&1 >/dev/null
    man --warnings --local-file "$page" 2>&1 >/dev/null
done)
if [ -n "$said" ]; then
    echo "$said" >&2
    exit 1
fi
# A table or example that is wider than a terminal would be broken in the middle of a command.
wide=$(for page in "$pages"/*.1; do MANWIDTH=80 man --local-file "$page" | awk -v page="${page##*/}" 'length > 80 { print page ": " $0 }'; done)
if [ -n "$wide" ]; then
    echo "$wide" >&2
    exit 1
fi

for shell in bash zsh fish; do
    "$holdfast" completions "$shell" >"$pages/$shell"
    if command -v "$shell" >/dev/null; then
        "$shell" -n "$pages/$shell"
    else
        echo "SKIPPED: $shell is not installed: nobody has read its completions"
    fi
done
# What completing means: bash offers the orders of a command.
offered=$(bash -c ". '$pages/bash'; COMP_WORDS=(holdfast dlq ''); COMP_CWORD=2; _holdfast holdfast '' dlq; printf '%s\n' \"\${COMPREPLY[@]}\"")
grep -qx retry <<<"$offered" || { echo "bash completes 'holdfast dlq' with: $offered" >&2; exit 1; }
