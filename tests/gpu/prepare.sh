#!/usr/bin/env bash
# Makes target/panascope-gpu.tar.xz: one file of at most 64 MiB for a machine that has an NVIDIA GPU, Python's torch
# and a C++ compiler, and neither a JDK, Maven nor a network. There:
#   tar xf panascope-gpu.tar.xz && panascope-gpu/run.sh       (without xz: python3 -m tarfile -e panascope-gpu.tar.xz)
# Needs: target/ as `mvn -B -q package -DskipTests` leaves it, a JDK 22 or newer with jlink (JAVA_HOME), Maven, Python,
# xz.
set -euo pipefail
cd "$(dirname "$0")/../.."

LIMIT=$((64 << 20))
CONSOLE=1.14.4  # belongs to the JUnit of pom.xml, 5.14.4
ARCHIVE=target/panascope-gpu.tar.xz
STAGE=target/gpu
ROOT=$STAGE/panascope-gpu

die() { echo "prepare: $*" >&2; exit 1; }
need() { command -v "$1" >/dev/null || die "'$1' is needed, and is not on the PATH."; }
need xz; need mvn; need tar; need python3
JDK=${JAVA_HOME:-$(dirname "$(dirname "$(readlink -f "$(command -v javac || echo /)")")")}
[ -x "$JDK/bin/jlink" ] && [ "$("$JDK/bin/jlink" --version | cut -d. -f1)" -ge 22 ] \
  || die "JAVA_HOME should name a JDK 22 or newer with jlink."
[ -f target/panascope.jar ] && [ -d target/test-classes/io ] \
  || die "target/ lacks panascope.jar or test-classes/: run mvn -B -q package -DskipTests first."

rm -rf "$STAGE" "$ARCHIVE"
mkdir -p "$ROOT/target/lib" "$ROOT/src/demo" "$ROOT/tests/resources"

# --- the program and what it is made of, in the places that the tests know
cp target/panascope*.jar "$ROOT/target/"
cp target/lib/*.jar "$ROOT/target/lib/"
rm "$ROOT"/target/lib/pytorch-native-cpu*.jar  # 111 MB that Python's torch takes the place of
cp -r src/demo/bundle "$ROOT/src/demo/bundle"
cp -r native build-native.sh "$ROOT/"
cp tests/gpu/run.sh "$ROOT/"

# --- the tests that hold on every device, with what they call and read
(cd target/test-classes && grep -rl --include='*.class' 'Lio/github/panascope/OnEachDevice;' .) | LC_ALL=C sort \
  | sed -n 's|^\./\(.*Test\)\.class$|\1|p' | tr / . > "$ROOT/tests/device-tests.txt"
[ -s "$ROOT/tests/device-tests.txt" ] || die "no test in target/test-classes is for every device."
mkdir -p "$ROOT/target/test-classes"
(cd target/test-classes && tar c --exclude='io/github/panascope/bench*' io) | tar x -C "$ROOT/target/test-classes"
cp -r tests/resources/golden "$ROOT/tests/resources/golden"
mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy -DoutputDirectory="$PWD/$ROOT/tests/lib" \
  -Dartifact=org.junit.platform:junit-platform-console-standalone:$CONSOLE \
  || die "Maven could not fetch JUnit's console launcher."

# --- jars without libraries of other systems and vocabularies of other models, and not compressed, which xz does
# better: 15 MB less in the archive
python3 - "$ROOT"/target/*.jar "$ROOT"/target/lib/*.jar "$ROOT"/tests/lib/*.jar <<'PYTHON'
import os, re, sys, zipfile

LIBRARIES = r"(?!.*linux[/-](amd64|x86_64)/).*\.(so|dll|dylib|jnilib|a)"
VOCABULARIES = r"com/knuddels/jtokkit/(?!r50k).*\.tiktoken"
OTHER = re.compile(LIBRARIES + "|" + VOCABULARIES, re.IGNORECASE)
for jar in sys.argv[1:]:
    with zipfile.ZipFile(jar) as whole, zipfile.ZipFile(jar + ".part", "w", zipfile.ZIP_STORED) as part:
        for entry in whole.infolist():
            if not OTHER.fullmatch(entry.filename):
                part.writestr(zipfile.ZipInfo(entry.filename, entry.date_time), whole.read(entry))
    os.replace(jar + ".part", jar)
PYTHON

# --- a Java runtime, which xz packs better than jlink does. The first modules are known to be used, some only by name;
# jdeps says which others our classes, the tests and JUnit call. What only the other jars name stays out.
known=java.base,java.logging,java.management,java.net.http,java.xml,jdk.httpserver,jdk.jfr,jdk.unsupported
called=$("$JDK/bin/jdeps" --multi-release 22 --no-recursive --ignore-missing-deps --print-module-deps \
  --class-path "$(printf '%s:' target/lib/*.jar "$ROOT"/tests/lib/*.jar)" \
  target/panascope-*.jar "$ROOT"/tests/lib/*.jar "$ROOT/target/test-classes")
"$JDK/bin/jlink" --compress=zip-0 --strip-debug --no-header-files --no-man-pages --add-modules "$known,$called" \
  --output "$ROOT/java"

# --- what it was made of, and the archive: alike beside alike, and with a window as large as all of it
changes=$(git status --porcelain 2>/dev/null || true)
echo "commit=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)${changes:+ with changes}" > "$ROOT/MADE"
(cd "$STAGE" && find panascope-gpu ! -type d | awk -F. '{print $NF "\t" $0}' | LC_ALL=C sort | cut -f2- > files.txt)
tar c -C "$STAGE" --owner=0 --group=0 --numeric-owner --no-recursion -T "$STAGE/files.txt" \
  | xz -T1 --x86 --lzma2=preset=9e,dict=192MiB > "$ARCHIVE"

size=$(stat -c %s "$ARCHIVE")
du -sh --apparent-size "$ROOT"/* "$ROOT"/target/* | sed "s|$STAGE/||"
tests=$(wc -l < "$ROOT/tests/device-tests.txt")
echo "$ARCHIVE: $size bytes, $((size * 100 / LIMIT))% of what it may have; $tests classes of tests"
[ "$size" -le "$LIMIT" ] || die "$ARCHIVE has $size bytes, and may have $LIMIT."
