#!/usr/bin/env bash
# Runs each script of this folder; with the folder of a staged Maven repository as its argument, or target/staging.
set -uo pipefail
cd "$(dirname "$0")"
failed=0
for script in *.sh; do
  [ "$script" = all.sh ] || "./$script" "$@" || { failed=1; echo "$script failed" >&2; }
done
exit $failed
