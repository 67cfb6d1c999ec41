#!/bin/sh
# Runs the benchmarks (or the one named) and writes docs/figures.md from what they recorded.
set -eu
cd "$(dirname "$0")/.."
for subject in ${*:-actors remote tls supervision allocator sim launch cluster}; do
    cargo bench --locked --bench "$subject"
done
cargo bench --locked --bench page
