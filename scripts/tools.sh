# What the scripts need from the machine, and how each thing is had. Sourced, never run.
# Everything is installed through the ordinary clients as they are set up on the machine; nothing outside target/ changes but Debian packages.

TOOLS_DIR="${CARGO_TARGET_DIR:-$PWD/target}/tools"
RUST_VERSION_MIN=$(sed -n 's/^rust-version *= *"\(.*\)"/\1/p' Cargo.toml | head -n 1)

# Is version $1 at least $2?
version_at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

# cargo and a C linker, new enough; else a message that says what to do.
need_rust() {
    if ! command -v cargo >/dev/null; then
        echo "Rust's cargo was not found. Install Rust $RUST_VERSION_MIN or newer (rustup, https://rustup.rs), open a new shell, try again." >&2
        return 1
    fi
    local version
    version=$(cargo --version | awk '{print $2}')
    if [ -z "$version" ]; then
        echo "cargo is there but does not work; what \`cargo --version\` says stands above. With rustup: rustup default stable" >&2
        return 1
    fi
    if ! version_at_least "${version%%-*}" "$RUST_VERSION_MIN"; then
        echo "cargo is version $version; Holdfast needs $RUST_VERSION_MIN or newer. With rustup: rustup update stable" >&2
        return 1
    fi
    if ! command -v cc >/dev/null && ! debian_packages gcc libc6-dev; then
        echo "No C linker (cc) was found; Rust needs one. On Debian, as root: apt-get install gcc libc6-dev" >&2
        return 1
    fi
}

# A component of the toolchain, such as clippy: $1 the command that shows that it is there, $2 its name for rustup.
need_component() {
    cargo "$1" --version >/dev/null 2>&1 && return 0
    if command -v rustup >/dev/null && rustup component add "$2"; then return 0; fi
    echo "cargo $1 is missing. With rustup: rustup component add $2" >&2
    return 1
}

# Runs a command as root if we may; 1 if not.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; elif sudo -n true 2>/dev/null; then sudo -n "$@"; else return 1; fi
}

# Installs those of the named Debian packages that are missing; 1 if that cannot be.
debian_packages() {
    local package missing=()
    command -v dpkg-query >/dev/null || { echo "Not a Debian system: please install the equivalents of: $*" >&2; return 1; }
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    if ! as_root true; then
        echo "Debian packages are missing and may not be installed without root: ${missing[*]}" >&2
        return 1
    fi
    echo "Installing Debian packages: ${missing[*]}"
    local log="$TOOLS_DIR/apt.log"
    mkdir -p "$TOOLS_DIR"
    if ! { as_root apt-get update && as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
        tail -n 5 "$log" >&2
        echo "apt-get could not install: ${missing[*]} (all of its output: $log)" >&2
        return 1
    fi
}

# A virtual environment with the named Python packages (NAME==VERSION each); prints its directory.
python_packages() {
    local venv="$TOOLS_DIR/python"
    if [ ! -x "$venv/bin/pip" ]; then
        rm -rf "$venv"
        if ! python3 -m venv "$venv" >/dev/null 2>&1; then
            rm -rf "$venv"
            debian_packages python3 python3-venv >&2 || return 1
            python3 -m venv "$venv" >&2 || return 1
        fi
    fi
    "$venv/bin/pip" install --quiet --disable-pip-version-check "$@" >&2 || return 1
    echo "$venv"
}

# A cargo tool: $1 its command, $2 its crate, $3 its version, $4 a Python package that carries the same binary prebuilt, or empty. Prints its path.
cargo_tool() {
    local command=$1 crate=$2 version=$3 wheel=${4:-} path
    path="$TOOLS_DIR/bin/$command"
    if [ -x "$path" ] && "$path" --version 2>/dev/null | grep -qF " $version"; then echo "$path"; return 0; fi
    mkdir -p "$TOOLS_DIR/bin"
    if [ -n "$wheel" ]; then
        local venv
        if venv=$(python_packages "$wheel==$version") && [ -x "$venv/bin/$command" ] && "$venv/bin/$command" --version >/dev/null 2>&1; then
            ln -sf "$venv/bin/$command" "$path"
            echo "$path"
            return 0
        fi
        echo "No prebuilt $command $version for this machine; building it, once (minutes)." >&2
    fi
    cargo install --locked --root "$TOOLS_DIR" "$crate@$version" >&2 || return 1
    echo "$path"
}

# Ends a step that cannot run here, with the reason.
skip() {
    echo "SKIPPED: $*"
    exit 77
}
