#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The main job, live: millrace-load against three millrace-echo backends, one of which dies and returns.
# usage: bench/demo.sh [--json FILE|-]      MILLRACE_BUILD names another build tree than build/
set -uo pipefail

root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd) || exit 1
build=${MILLRACE_BUILD:-$root/build}
echo_program=$build/bench/echo/millrace-echo
load_program=$build/bench/load/millrace-load

# ends with status $1 and one line
fail() {
  printf 'demo: %s\n' "${*:2}" >&2
  exit "$1"
}

json=
while (($#)); do
  case $1 in
    --json)
      [[ -n ${2:-} ]] || fail 2 '--json: allowed is a file, or - for stdout'
      json=$2
      shift 2
      ;;
    *) fail 2 "$1: there is no such flag; allowed is --json FILE" ;;
  esac
done
for program in "$echo_program" "$load_program"; do
  [[ -x $program ]] || fail 1 "$program is not built: ./dev build"
done
if [[ -n $json && $json != - ]] && ! { : >>"$json"; } 2>/dev/null; then
  fail 2 "--json '$json': allowed is a file that can be written, or - for stdout"
fi
# with --json - only the report is on stdout
exec 3>&1
[[ $json == - ]] && exec 1>&2

work=$(mktemp -d) || fail 1 'no temporary directory'
load='' interrupts=0 began=$EPOCHREALTIME
backends=() # process ids

# children live in sessions of their own, so that Ctrl-C reaches this script only, which lets the load tool drain before it
# stops the backends; they die with this script even if it is killed
child() { exec setsid setpriv --pdeathsig "$@"; }

# shellcheck disable=SC2317 # called by the trap
clean_up() {
  # a child that is killed between fork and exec still has the traps
  ((BASHPID == $$)) || return
  trap '' INT TERM HUP
  local pid
  for pid in $load "${backends[@]}"; do kill -KILL "$pid"; done 2>/dev/null
  # bash would report each of them as killed
  wait 2>/dev/null
  rm -rf "$work"
}
trap clean_up EXIT

# the first signal lets the load tool drain and print its table, a second one ends it
# shellcheck disable=SC2317 # called by the trap
interrupted() {
  ((BASHPID == $$)) || exit
  interrupts=$((interrupts + 1))
  [[ -n $load ]] || exit 130
  if ((interrupts == 1)); then kill -TERM "$load" 2>/dev/null; else kill -KILL "$load" 2>/dev/null; fi
}
trap interrupted INT TERM HUP

narrate() {
  local us=$((${EPOCHREALTIME/[.,]/} - ${began/[.,]/}))
  printf '[%3d.%d s] %s\n' $((us / 1000000)) $((us / 100000 % 10)) "$*"
}

# starts backend $1 on port $2 with the flags that follow; leaves its process id in backends[$1] and its address in `address`
start_backend() {
  local name=$1 port=$2 out=$work/echo$1 tries
  shift 2
  : >"$out"
  child KILL "$echo_program" --port "$port" "$@" >"$out" 2>&1 </dev/null &
  backends[name]=$!
  for ((tries = 0; tries < 200; ++tries)); do
    address=$(sed -n 's/^millrace-echo listening on //p' "$out")
    [[ -n $address ]] && return
    kill -0 "${backends[name]}" 2>/dev/null || break
    sleep 0.05
  done
  fail 1 "backend $name did not start: $(tail -n 1 "$out")"
}

# waits until second $1 of the run; false when the load tool ended or a signal came before
load_runs_until() {
  local seen=$interrupts left=$(($1 * 1000000 - (${EPOCHREALTIME/[.,]/} - ${began/[.,]/}))) timer
  ((left > 0)) || left=0
  sleep "$((left / 1000000)).$(printf '%06d' $((left % 1000000)))" &
  timer=$!
  wait -n "$load" "$timer" 2>/dev/null
  if ((interrupts == seen)) && kill -0 "$load" 2>/dev/null; then return 0; fi
  kill "$timer" 2>/dev/null
  return 1
}

# sets `status` to the load tool's exit status; one that does not end within 30 s is killed: a finding, not a reason to hang
await_load() {
  local seen timer
  sleep 30 &
  timer=$!
  while kill -0 "$load" 2>/dev/null; do
    wait -n "$load" "$timer" 2>/dev/null
    kill -0 "$timer" 2>/dev/null && continue
    narrate 'demo: the load tool does not end; killing it'
    kill -KILL "$load"
    break
  done
  # a signal interrupts `wait`, so it is asked again
  while :; do
    seen=$interrupts
    wait "$load" 2>/dev/null
    status=$?
    ((interrupts == seen)) && break
  done
  kill "$timer" 2>/dev/null
}

start_backend 0 0
addresses=$address
healthy=$address
start_backend 1 0 --fail-rate 0.1
addresses+=,$address
failing=$address
start_backend 2 0
addresses+=,$address
mortal=$address
printf 'Three backends: %s is healthy, %s answers UNAVAILABLE to 10 %% of its calls,\n' "$healthy" "$failing"
printf '%s will be killed at 3 s and restarted at 5 s. 64 calls in flight for 10 s; Ctrl-C drains.\n\n' "$mortal"

began=$EPOCHREALTIME
child TERM "$load_program" --endpoints "$addresses" --concurrency 64 --method /demo.Echo/Say --payload-bytes 16 \
  --connections 3 --timeout 2s --attempts 5 --duration 10s --narrate --json "$work/report.json" </dev/null 3>&- &
load=$!

if load_runs_until 3; then
  narrate "demo: SIGKILL to $mortal"
  kill -KILL "${backends[2]}"
  wait "${backends[2]}" 2>/dev/null
  if load_runs_until 5; then
    start_backend 2 "${mortal##*:}"
    narrate "demo: $mortal is restarted"
  fi
fi
await_load
load=

echo
if [[ ! -s $work/report.json ]]; then
  echo "Verdict: the load tool ended with status $status and left no report."
  ((status != 0)) || status=1
else
  figure() { sed -nE "s/^  \"$1\": ([0-9]+).*/\1/p" "$work/report.json"; }
  failed=$(figure failed)
  if [[ $failed == 0 ]]; then
    echo "Verdict: zero of $(figure calls) calls failed$( ((interrupts)) && echo ' until you interrupted it')."
  else
    echo "Verdict: ${failed:-?} of $(figure calls) calls failed."
  fi
  case $json in
    '') ;;
    -) cat "$work/report.json" >&3 ;;
    *) cp "$work/report.json" "$json" || status=1 ;;
  esac
fi
exit "$status"
