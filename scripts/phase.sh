# Sourced by ./chat, ./test and scripts/setup: one line on stderr for each phase of the work.
# shellcheck shell=bash

# phase TEXT COMMAND...: runs COMMAND with its output hidden, and prints "hadal: TEXT ... 12 s";
# nothing when it took less than a second. On a terminal the line also shows ninja's progress. A
# command that fails has its output's end printed, and its status is returned.
phase() {
  local text=$1 start=$SECONDS status=0 log
  shift
  log=$(mktemp "${TMPDIR:-/tmp}/hadal-log.XXXXXX")
  if [[ -t 2 ]]; then
    "$@" 2>&1 | tee "$log" | phase_progress "$text" >&2 || status=$? # callers set pipefail
    printf '\r\033[K' >&2
  else
    "$@" >"$log" 2>&1 || status=$?
  fi
  if [[ $status -eq 0 ]]; then
    [[ $SECONDS -le $start ]] ||
      printf 'hadal: %s ... %d s\n' "$text" $((SECONDS - start)) >&2
    rm -f "$log"
  else
    printf 'hadal: %s failed:\n' "$text" >&2
    tail -n 60 "$log" >&2
    printf 'hadal: the whole output is in %s\n' "$log" >&2
  fi
  return "$status"
}

# Repeats the line with ninja's "[12/90]" as it comes in.
phase_progress() {
  local line
  printf 'hadal: %s ...' "$1"
  while IFS= read -r line; do
    if [[ $line =~ ^\[([0-9]+/[0-9]+)\] ]]; then
      printf '\r\033[Khadal: %s ... %s' "$1" "${BASH_REMATCH[1]}"
    fi
  done
}
