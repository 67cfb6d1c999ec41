#!/bin/bash
# What tepui tells of this machine's NVIDIA GPUs beside what nvidia-smi says, and what tasks can do with
# them: a cluster of a master and an agent is started, and tasks look around from inside.
# TEPUI names the program; without it, it is built. Needs a GPU; as root it checks isolation, too.
# Each line begins with ok, FAILED or NOT CHECKED.
set -uo pipefail
cd "$(dirname "$0")/.."
if [ -z "${TEPUI:-}" ]; then
  cargo build --locked -p tepui || exit 1
  TEPUI=${CARGO_TARGET_DIR:-target}/debug/tepui
fi
dir=$(mktemp -d); failures=0; master=; agent=
finish() {
  # SIGINT: an agent ends its tasks.
  [ -z "$agent" ] || { kill -INT "$agent"; wait "$agent"; } 2>>"$dir/log"
  [ -z "$master" ] || { kill "$master"; wait "$master"; } 2>>"$dir/log"
  rm -rf "$dir"
}
trap finish EXIT
ok() { echo "ok: $*"; }
failed() { echo "FAILED: $*"; failures=$((failures + 1)); }
unchecked() { echo "NOT CHECKED: $*"; }
# check WHAT EXPECTED FOUND
check() { if [ "$2" = "$3" ]; then ok "$1"; else failed "$1: expected <$2>, found <$3>"; fi; }

command -v nvidia-smi >"$dir/log" || { echo "nvidia-smi, which comes with NVIDIA's driver, is not here"; exit 1; }
nvidia-smi -L
uname -r
expected=$(nvidia-smi --query-gpu=index,uuid,name,memory.total --format=csv,noheader,nounits)
json=$("$TEPUI" gpus --json) || exit 1
field() { sed -n 's/^ *"\('"$1"'\)": *"\{0,1\}\([^",]*\)"\{0,1\},\{0,1\}$/\2/p' <<<"$json"; }
if grep -q MIG- <<<"$json"; then
  unchecked "what is told of GPUs: one is divided, and nvidia-smi lists its parts in another form"
else
  check "tepui gpus and nvidia-smi tell the same" "$expected" \
    "$(field 'index\|uuid\|model\|memory_mib' | paste -d, - - - - | sed 's/,/, /g')"
fi
minor_of() { field 'uuid\|minor' | paste -d' ' - - | sed -n "s/^$1 //p"; }

# The first port that is printed; the rest of what is said goes to the log.
start() { # NAME ARGUMENTS..
  local name=$1; shift
  "$TEPUI" "$@" >"$dir/$name.out" 2>"$dir/$name.log" &
  started=$!
  for _ in $(seq 100); do
    grep -q listening "$dir/$name.out" && break
    kill -0 "$started" 2>>"$dir/log" || break
    sleep 0.1
  done
  address=$(sed -n 's/.*listening on //p' "$dir/$name.out")
  [ -n "$address" ] || { echo "$name did not start:"; cat "$dir/$name.log"; exit 1; }
}
start_agent() {
  start agent agent --port 0 --master "$TEPUI_MASTER" --work-dir "$dir/agent$1" \
    --resources 'cpus:8;mem:24576;disk:4096' "${@:2}"
  agent=$started
  cat "$dir/agent.log"
}
# What a line writes that runs as a task; its name and flags of `tepui run` come first.
task() { # NAME FLAGS.. LINE
  local name=$1; shift
  timeout 120 "$TEPUI" run --quiet --name "$name" --cpus 2 "${@:1:$#-1}" -- "${!#}" 2>"$dir/$name.err" \
    || { echo "task $name failed:"; cat "$dir/$name.err"; "$TEPUI" logs "$name.run.0.0" stderr; }
  "$TEPUI" logs "$name.run.0.0" stdout
}
start master master --port 0 --work-dir "$dir/master"
master=$started
export TEPUI_MASTER=$address
start_agent 1
check "an isolated task runs" done "$(task probe 'echo done')"
isolated=yes
if ! "$TEPUI" tasks --json | grep -q TASK_FINISHED; then
  unchecked "isolation: no isolated task can run on this machine"
  kill -INT "$agent"; wait "$agent"; isolated=; failures=0
  start_agent 2 --isolation none
fi
grep -q filesystem/linux "$dir/agent.log" && isolated=
count=$("$TEPUI" agents --json | grep -c gpu_model)
check "the agent offers GPUs" 1 "$count"

# From inside: which nodes can be opened, what the variables and nvidia-smi say.
look="export LD_LIBRARY_PATH='${LD_LIBRARY_PATH:-}' PATH='$PATH'
for node in /dev/nvidia*; do [ -c \$node ] && (: <>\$node) && echo open \$node; done
mknod gpu c 195 0 && (: <>gpu) && echo open a node of its own
echo variables \$NVIDIA_VISIBLE_DEVICES \$CUDA_VISIBLE_DEVICES
nvidia-smi -L | sed -n 's/.*UUID: \\(.*\\))\$/sees \\1/p'"
one=$(task one --gpus 1 --mem 512 "$look")
uuid=$(sed -n 's/^variables \([^ ]*\) .*/\1/p' <<<"$one")
check "a task with gpus:1 is told its GPU by UUID" "variables $uuid $uuid" "$(grep ^variables <<<"$one")"
grep -qF "$uuid" <<<"$expected" && [ -n "$uuid" ] && ok "it is one of this machine" || failed "GPU <$uuid> is none of this machine"
none=$(task none --mem 512 "$look")
check "a task without is told so" "variables void " "$(grep ^variables <<<"$none") "
if [ -z "$isolated" ]; then
  unchecked "what tasks can open: isolation does not work here (see above); as root it may"
else
  nodes=/dev/nvidia$(minor_of "$uuid")
  for node in nvidiactl nvidia-uvm nvidia-uvm-tools; do [ -c /dev/$node ] && nodes="$nodes /dev/$node"; done
  check "it can open the nodes of its GPU and the driver, and no others" \
    "$(printf 'open %s\n' $nodes | sort)" "$(grep ^open <<<"$one" | sort)"
  check "nvidia-smi in it shows its GPU alone" "sees $uuid" "$(grep ^sees <<<"$one")"
  check "a task without can open none, and nvidia-smi in it shows none" "" "$(grep '^open\|^sees' <<<"$none")"
  [ "$(wc -l <<<"$expected")" -gt 1 ] || unchecked "that a task cannot open another task's GPU: there is one GPU"
fi
half=$(task half --gpus 0.5 --instances 2 --mem 512 'echo $NVIDIA_VISIBLE_DEVICES; sleep 1')
check "two halves are parts of one GPU" "$half" "$("$TEPUI" logs half.run.1.0 stdout)"

if python3 -c 'import torch; assert torch.cuda.is_available()' 2>>"$dir/log"; then
  product="export LD_LIBRARY_PATH='${LD_LIBRARY_PATH:-}' PATH='$PATH' XDG_CACHE_HOME=/tmp
python3 -c 'import time, torch
a = torch.randn(8192, 8192, device=\"cuda\")
until = time.time() + 8
while time.time() < until: (a @ a).sum().item()
print(torch.cuda.device_count(), float(torch.eye(2, device=\"cuda\").sum()))'"
  (for _ in $(seq 60); do
     "$TEPUI" stats --json product.run.0.0 2>>"$dir/log" | grep -o '"gpu_[a-z]*": [0-9]*' | paste -d' ' - - >>"$dir/stats"
     [ -e "$dir/over" ] && break
   done) &
  watcher=$!
  check "CUDA works in a task with gpus:1 and sees one GPU" "1 2.0" "$(task product --gpus 1 --mem 16384 "$product")"
  touch "$dir/over"; wait "$watcher"
  busiest=$(sort -t' ' -k2n "$dir/stats" | tail -1)
  read -r _ milli _ memory <<<"$busiest"
  if [ "${milli:-0}" -gt 500 ]; then
    ok "tepui stats shows what it uses: $milli thousandths of a GPU, $((memory >> 20)) MiB"
  else
    failed "tepui stats does not show what it uses: <$busiest>"
  fi
else
  unchecked "that CUDA programs run in tasks: no python3 with torch that works here"
fi
[ "$failures" = 0 ] && echo "passed" || { echo "$failures checks failed"; exit 1; }
