#!/usr/bin/env bash
# the pure layers' lints bite: every method that broker/crates/clippy.toml forbids is found when it is used
set -euo pipefail
. scripts/tools.sh
need_component clippy clippy

# A crate that does everything that is forbidden, one line each, outside the workspace.
crate="${CARGO_TARGET_DIR:-$PWD/target}/purity"
mkdir -p "$crate/src"
printf '[package]\nname = "purity"\nversion = "0.0.0"\nedition = "2024"\n[workspace]\n' >"$crate/Cargo.toml"
{
    echo '#![allow(unused, clippy::let_underscore_untyped)]'
    echo '#![deny(clippy::disallowed_methods, clippy::iter_over_hash_type)]'
    sed -n 's/^ *{ path = "\([^"]*\)".*/\1/p' broker/crates/clippy.toml | {
        number=0
        while read -r method; do
            number=$((number + 1))
            case "$method" in
                *HashMap::into_keys | *HashMap::into_values | *HashMap::drain | *HashMap::iter | *HashMap::iter_mut | *HashMap::keys | *HashMap::values | *HashMap::values_mut)
                    echo "fn f$number(mut it: std::collections::HashMap<u8, u8>) { it.${method##*::}(); }" ;;
                *HashSet::*) echo "fn f$number(mut it: std::collections::HashSet<u8>) { it.${method##*::}(); }" ;;
                *Path::*) echo "fn f$number(it: &std::path::Path) { it.${method##*::}(); }" ;;
                *Instant::elapsed | *SystemTime::elapsed) echo "fn f$number(it: ${method%::*}) { it.elapsed(); }" ;;
                *OpenOptions::open) echo "fn f$number(it: std::fs::OpenOptions) { it.open(\"\"); }" ;;
                *Builder::spawn) echo "fn f$number(it: std::thread::Builder) { it.spawn(|| ()); }" ;;
                std::thread::spawn) echo "fn f$number() { std::thread::spawn(|| ()); }" ;;
                std::thread::scope) echo "fn f$number() { std::thread::scope(|_| ()); }" ;;
                std::thread::sleep) echo "fn f$number() { std::thread::sleep(std::time::Duration::ZERO); }" ;;
                std::process::exit) echo "fn f$number() { std::process::exit(0); }" ;;
                std::process::Command::new | std::env::var | std::env::var_os | std::fs::File::* | std::fs::read* | std::fs::remove* | std::fs::create* | std::fs::metadata | std::fs::canonicalize | *::connect | *::bind)
                    echo "fn f$number() { let _ = $method(\"\"); }" ;;
                std::fs::write | std::fs::rename | std::fs::hard_link | std::fs::copy) echo "fn f$number() { let _ = $method(\"\", \"\"); }" ;;
                std::fs::set_permissions) echo "fn f$number(it: std::fs::Permissions) { let _ = $method(\"\", it); }" ;;
                *) echo "fn f$number() { let _ = $method(); }" ;;
            esac
        done
        number=$((number + 1))
        echo "fn f$number(it: &std::collections::HashMap<u8, u8>) { for _ in it {} }"
    }
} >"$crate/src/lib.rs"

log="$crate/clippy.log"
CLIPPY_CONF_DIR="$PWD/broker/crates" CARGO_TARGET_DIR="$crate/target" cargo clippy --manifest-path "$crate/Cargo.toml" --message-format short >"$log" 2>&1 && {
    echo "clippy accepted a crate that does everything that is forbidden"
    exit 1
}
missed=0 count=0
while IFS=: read -r line text; do
    count=$((count + 1))
    if ! grep -qE "lib\.rs:$line:[0-9]+: error: (use of a disallowed|iteration over unordered)" "$log"; then
        echo "not refused: $text"
        missed=$((missed + 1))
    fi
done < <(grep -n '^fn ' "$crate/src/lib.rs")
if grep -q 'warning.*clippy.toml\|does not refer to' "$log"; then
    grep 'clippy.toml\|does not refer to' "$log"
    missed=$((missed + 1))
fi
echo "$((count - missed)) of $count forbidden uses are refused"
[ "$missed" -eq 0 ] && [ "$count" -gt 50 ]
