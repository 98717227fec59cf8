#!/usr/bin/env bash
# Runs each script of this folder that takes a staged Maven repository: its argument, or target/staging.
set -uo pipefail
cd "$(dirname "$0")"
failed=0
for script in $(grep -l '^source.*consumers.bash' -- *.sh); do
  "./$script" "$@" || { failed=1; echo "$script failed" >&2; }
done
exit $failed
