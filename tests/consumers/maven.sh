#!/usr/bin/env bash
# The Maven project of the page 'In an application', and the command line from a Maven repository.
source "$(dirname "$0")/consumers.bash"
need mvn
settings
PAGE=src/site/markdown/embedding.md
mkdir -p "$WORK/project/src/main/java" && cd "$WORK/project"
block $PAGE xml '<project ' > pom.xml
block README.md java 'class TutorialL0' > src/main/java/TutorialL0.java
COMMAND=$(block $PAGE sh exec:exec)
check "$(eval "${COMMAND/mvn /mvn -B -s $WORK/settings.xml }")"

# What a user of the library downloads: its jars without the demo bundle.
mvn -B -q -s "$WORK/settings.xml" dependency:build-classpath -DincludeScope=runtime -Dmdep.outputFile="$WORK/jars"
BYTES=$(tr : '\n' < "$WORK/jars" | grep -v panascope-demo | xargs stat -L -c %s | awk '{s += $1} END {print s}')
OWN=$(tr : '\n' < "$WORK/jars" | grep '/panascope-0' | xargs stat -L -c %s)
echo "$NAME: the library with all that it needs has $BYTES bytes, its own jar $OWN"
[ "$BYTES" -lt $((130 << 20)) ] || die "that is more than 130 MiB."
