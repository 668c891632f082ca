#!/usr/bin/env bash
# STOMP clients in Python, JavaScript and Ruby, as an application uses them, and the README's Python, against the broker that is shipped
set -euo pipefail
. scripts/tools.sh
level=${HOLDFAST_TEST_LEVEL:-normal}

cargo build --locked --profile quick -p holdfast --bin holdfast
holdfast="${CARGO_TARGET_DIR:-$PWD/target}/quick/holdfast"
clients=tests/clients
export PYTHONDONTWRITEBYTECODE=1

# The broker of each round is started by Python, so without it there is nothing.
venv=$(python_packages stomp.py==9.0.0) || skip "Python 3.10 or newer with stomp.py cannot be had here"
timeout --kill-after=15 300 "$venv/bin/python" "$clients/python/main.py" "$holdfast"
if [ "$level" = quick ]; then exit 0; fi

# Runs a command beside a broker of its own.
beside_broker() { "$venv/bin/python" "$clients/with_broker.py" "$holdfast" "$@"; }

# Node is not installed for this: it would be half a gigabyte of Debian packages.
packages="$TOOLS_DIR/javascript"
mkdir -p "$packages"
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    echo "SKIPPED: JavaScript: there is no node and npm here. On Debian, as root: apt-get install nodejs npm"
elif ! npm install --loglevel=error --no-save --no-package-lock --ignore-scripts --no-audit --no-fund --prefix "$packages" \
    @stomp/stompjs@7.5.0 stompit@1.0.0 >/dev/null; then
    echo "SKIPPED: JavaScript: the packages stompjs and stompit cannot be had here"
else
    beside_broker node "$clients/javascript/main.mjs" "$packages"
fi

if debian_packages ruby ruby-stomp; then
    beside_broker ruby "$clients/ruby/main.rb"
else
    echo "SKIPPED: Ruby: the Debian package ruby-stomp cannot be had here"
fi
