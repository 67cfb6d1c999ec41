#!/bin/sh
# Whether evalys reads what `tepui sim` writes for it (`out_jobs.csv`), and sees in it what the simulator's own summary says.
# Needs python3 with venv, and the Python registry: `packaging/evalys-check.sh DIR` makes an environment in DIR, once. Not part of `make test`.
# TEPUI is the binary, target/release/tepui by default.
set -eu

dir=${1:?usage: packaging/evalys-check.sh DIR}
here=$(dirname "$0")
tepui=${TEPUI:-$here/../target/release/tepui}
[ -x "$tepui" ] || { echo "error: $tepui is missing: make build, or name another in TEPUI" >&2; exit 1; }

[ -x "$dir/venv/bin/python" ] || python3 -m venv "$dir/venv"
"$dir/venv/bin/python" -c 'import evalys' 2>/dev/null || "$dir/venv/bin/pip" install -q evalys==4.0.7

# Two users, 400 jobs of 1 to 8 cpus on 32.
awk 'BEGIN {
    print "; MaxProcs: 32"
    for (n = 0; n < 400; n++) {
        size = 1 + n * 7 % 8; time = 60 + n * 37 % 600
        print n + 1, n * 45, -1, time, size, -1, -1, size, time, -1, 1, 1 + n % 2, 1, 1, 1, 1, -1, -1
    }
}' > "$dir/trace.swf"
"$tepui" sim run --trace "$dir/trace.swf" --format swf --nodes 32xcpus:1 --policy easy --out "$dir/run" --json > /dev/null
"$dir/venv/bin/python" "$here/evalys_check.py" "$dir/run"
