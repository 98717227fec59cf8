#!/usr/bin/env bash
# Makes bindings/java anew from native/include/psc.h, with jextract (from JEXTRACT_HOME/bin, or else from the PATH).
# The only way these files change: they are committed, never edited. No build needs jextract.
set -euo pipefail
cd "$(dirname "$0")"

jextract=${JEXTRACT_HOME:+$JEXTRACT_HOME/bin/}jextract
command -v "$jextract" >/dev/null ||
  { echo "regenerate: jextract is neither in JEXTRACT_HOME/bin nor on the PATH." >&2; exit 1; }
header=../native/include/psc.h package=io.github.panascope.bindings

# One line for each name of psc.h and of nothing that it includes; grouped as jextract's own dump groups them.
{
  sed -nE 's/^#define (PSC_[A-Z0-9_]+) [0-9].*/--include-constant \1/p' "$header"
  sed -nE 's/^PSC_API .*[ *](psc_[a-z0-9_]+)\(.*/--include-function \1/p' "$header"
  sed -nE 's/^typedef struct (psc_tensor_info|psc_value|psc_call) .*/--include-struct \1/p' "$header"
  sed -nE 's/^typedef .*\(\*(psc_[a-z_]+)\)\(.*/--include-typedef \1/p' "$header"
} > includes.txt

rm -rf java
# `-l panascope` makes the lookup open libpanascope.so by its bare name; NativeLibrary has by then opened it by path.
"$jextract" @includes.txt --output java --target-package "$package" --header-class-name Psc -l panascope "$header"

{
  echo "# Made by regenerate.sh: what the files under java/ were made from, and what they should be."
  echo "jextract.version=$("$jextract" --version 2>&1 | sed -n 's/^jextract \([^ ]*\).*/\1/p')"
  echo "psc.h.sha256=$(sha256sum < "$header" | cut -d' ' -f1)"
  echo "includes.txt.sha256=$(sha256sum < includes.txt | cut -d' ' -f1)"
  find java -name '*.java' | LC_ALL=C sort |
    while read -r file; do echo "$file.sha256=$(sha256sum < "$file" | cut -d' ' -f1)"; done
} > GENERATED.properties
