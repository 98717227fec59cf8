# What the scripts of this folder have in common; they source it. Each does in an empty folder, with an empty local
# repository, what a page of the documentation says, and ends with the tutorial's L0. The argument of a script is a Maven
# repository in a folder, as `mvn -B -q clean deploy -DskipTests -Pstage,kotlin` leaves it in target/staging, the default.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
STAGING=$(cd "${1:-$ROOT/target/staging}" && pwd)
NAME=$(basename "$0" .sh)
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
REPOSITORY=$WORK/repository
# The L0 of the demo bundle over the first 32 rows, as the command line's tutorial prints it.
L0=18.634104330708663

die() { echo "$NAME: $*" >&2; exit 1; }
need() { command -v "$1" >/dev/null || die "'$1' is needed, and is not on the PATH."; }
# The pages' commands mean a JDK 22 or newer by `java`.
[ -z "${JAVA_HOME:-}" ] || PATH=$JAVA_HOME/bin:$PATH
[ "$(java -version 2>&1 | sed -n '1s/[^"]*"\([0-9]*\).*/\1/p')" -ge 22 ] || die "JAVA_HOME should name a JDK 22 or newer."

# The first block of a language in a page that holds a text.
block() { # page, language, text
  awk -v language="$2" -v text="$3" '
    /^```/ && !inside { inside = 1; wanted = ($0 == "```" language); found = ""; next }
    /^```/ && inside { if (wanted && index(found, text)) { printf "%s", found; exit } inside = 0; next }
    inside { found = found $0 "\n" }' "$ROOT/$1"
}

# Maven's settings: the staged repository beside the central one.
settings() {
  cat > "$WORK/settings.xml" <<XML
<settings>
  <localRepository>$REPOSITORY</localRepository>
  <profiles>
    <profile>
      <id>staged</id>
      <repositories><repository><id>staged</id><url>file://$STAGING</url></repository></repositories>
    </profile>
  </profiles>
  <activeProfiles><activeProfile>staged</activeProfile></activeProfiles>
</settings>
XML
}

# Whether what a program printed has the L0, to 7 digits: a mean in float32 has no more.
check() { # what was printed
  printf '%s\n' "$1" | awk -v expected=$L0 '
    match($0, /average l0 [0-9.]+/) {
      l0 = substr($0, RSTART + 11, RLENGTH - 11)
      if ((l0 - expected) ^ 2 < (1e-7 * expected) ^ 2) ok = 1
    }
    END { exit !ok }' || { printf '%s\n' "$1" >&2; die "no average l0 of $L0 was printed."; }
  echo "$NAME: $(printf '%s\n' "$1" | grep -o 'average l0 [0-9.]*' | head -1)"
}
