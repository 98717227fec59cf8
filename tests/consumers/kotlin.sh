#!/usr/bin/env bash
# The Kotlin project of the page 'Shells, scripts and Kotlin'; panascope-kotlin is staged with -Pstage,kotlin.
source "$(dirname "$0")/consumers.bash"
need mvn
[ -d "$STAGING/io/github/panascope/panascope-kotlin" ] ||
  die "$STAGING has no panascope-kotlin: stage it with mvn -B -q clean deploy -DskipTests -Pstage,kotlin."
settings
PAGE=src/site/markdown/jvm-languages.md
mkdir -p "$WORK/project/src/main/kotlin" && cd "$WORK/project"
block $PAGE xml kotlin-reading > pom.xml
block $PAGE kotlin tensorScope > src/main/kotlin/TutorialL0.kt
COMMAND=$(block $PAGE sh TutorialL0Kt)
check "$(eval "${COMMAND/mvn /mvn -B -s $WORK/settings.xml }")"
