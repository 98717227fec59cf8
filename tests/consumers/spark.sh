#!/usr/bin/env bash
# The Maven project of the page 'Many machines'; panascope-spark is staged with -Pstage,spark. It fetches Spark, 290 MB.
source "$(dirname "$0")/consumers.bash"
need mvn
[ -d "$STAGING/io/github/panascope/panascope-spark" ] ||
  die "$STAGING has no panascope-spark: stage it with mvn -B -q clean deploy -DskipTests -Pstage,spark."
settings
PAGE=src/site/markdown/many-machines.md
mkdir -p "$WORK/project/src/main/java" && cd "$WORK/project"
block $PAGE xml spark-reading > pom.xml
block $PAGE java 'class CorpusL0' > src/main/java/CorpusL0.java
COMMAND=$(block $PAGE sh CorpusL0)
# Of all rows of the demo.
L0=18.48344781370414
check "$(eval "${COMMAND/mvn /mvn -B -s $WORK/settings.xml }")"
