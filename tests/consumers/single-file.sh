#!/usr/bin/env bash
# The single file of the page 'Shells, scripts and Kotlin'.
source "$(dirname "$0")/consumers.bash"
need mvn
settings
PAGE=src/site/markdown/jvm-languages.md
mkdir "$WORK/project" && cd "$WORK/project"
block src/site/markdown/embedding.md xml '<project ' > pom.xml
block README.md java 'class TutorialL0' > TutorialL0.java
COPY=$(block $PAGE sh copy-dependencies)
RUN=$(block $PAGE sh TutorialL0.java)
eval "${COPY/mvn /mvn -B -s $WORK/settings.xml }"
check "$(eval "$RUN")"
