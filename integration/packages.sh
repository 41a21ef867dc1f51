# Sourced by the commands beside it: installs Debian packages that are missing, prints steps, knows where cargo builds.
# shellcheck shell=bash

[ "$(id -u)" = 0 ] || { echo "$(basename "$0"): needs root, since containers do" >&2; exit 1; }
PATH=$PATH:/usr/sbin:/sbin:$HOME/.cargo/bin
built=${CARGO_TARGET_DIR:-target}/x86_64-unknown-linux-gnu
# The runtime as it is released; the suite as it is tested, since that is built anyway and builds much faster.
casemate=$built/release/casemate
suite=$built/debug/integration

# What is done now, with the time since the start.
step() { printf '\n== [%3ds] %s\n' "$SECONDS" "$*"; }

# Whether `program:package` is there: a program in $PATH, or a file when it begins with a slash.
has() { case $1 in /*) [ -e "$1" ] ;; *) command -v "$1" >/dev/null ;; esac; }

# Installs the packages of those `program:package` arguments whose program is missing.
needs() {
    local pair missing=()
    for pair in "$@"; do has "${pair%%:*}" || missing+=("${pair#*:}"); done
    [ ${#missing[@]} -gt 0 ] || return 0
    step "installing from Debian: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    # No daemon is to be started by an installation: every test starts its own.
    local policy=/usr/sbin/policy-rc.d made=
    [ -e "$policy" ] || { printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy" && made=1; }
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
        { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null; }
    [ -z "$made" ] || rm "$policy"
}

# What building needs beside Rust.
build_needs() {
    command -v cargo >/dev/null || { echo "$(basename "$0"): no cargo; see https://rustup.rs" >&2; exit 1; }
    needs cc:gcc /usr/include/stdlib.h:libc6-dev
}
