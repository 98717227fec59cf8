#!/usr/bin/env bash
# Builds the last commit in two folders of different names, with caches of their own for what build-native.sh fetches,
# and compares the SHA-256 of everything that would be published. About 10 minutes. The shim's tests are left out: they
# change no jar.
set -euo pipefail
ROOT=$(cd "$(dirname "$0")/../.." && pwd)
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
COMMIT=$(git -C "$ROOT" rev-parse HEAD)
for folder in first second/deeper; do
  git clone -q "$ROOT" "$WORK/$folder"
  git -C "$WORK/$folder" checkout -q "$COMMIT"
  (cd "$WORK/$folder" && PANASCOPE_CACHE=$WORK/cache-${folder%%/*} PANASCOPE_NATIVE_TESTS=no \
    mvn -B -q clean deploy -DskipTests -Pstage "$@" > "$WORK/log" 2>&1) || { cat "$WORK/log" >&2; exit 1; }
  (cd "$WORK/$folder/target/staging" && find . -name '*.jar' -o -name '*.pom' | LC_ALL=C sort | xargs sha256sum) \
    > "$WORK/${folder%%/*}.txt"
done
diff "$WORK/first.txt" "$WORK/second.txt" || { echo "reproducible: the two builds differ" >&2; exit 1; }
cat "$WORK/first.txt"
echo "reproducible: $(wc -l < "$WORK/first.txt") files are equal"
