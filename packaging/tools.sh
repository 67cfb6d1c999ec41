#!/bin/sh
# What building and testing need beside Rust: a C linker, make, and the shell tools that the demo's
# tasks use. Installs what is missing on Debian when run as root; says what it is otherwise.
set -eu

missing=""
need() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
need cc gcc
need make make
need awk mawk
need gzip gzip
need sort coreutils
need ps procps
need ip iproute2

# What some tests can do without, and say so.
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    need busybox busybox-static
    need docker-registry docker-registry
    need nft nftables
    [ "$(uname -m)" != x86_64 ] || need qemu-system-x86_64 qemu-system-x86
    need runc runc
    need crun crun
fi

if ! command -v cargo >/dev/null 2>&1; then
    echo "error: cargo is missing: install Rust 1.91 or newer" >&2
    exit 1
fi
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -qq
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing libc6-dev
else
    echo "error: these packages are missing:$missing; as root: apt-get install$missing libc6-dev" >&2
    exit 1
fi
