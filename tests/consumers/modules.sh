#!/usr/bin/env bash
# The modular application of the page 'Modules and images', with the jars of a Maven repository. ModulesIT runs the
# page's other commands.
source "$(dirname "$0")/consumers.bash"
need mvn
settings
PAGE=src/site/markdown/modules.md
mkdir -p "$WORK/project/src/com/example/reading" && cd "$WORK/project"
block src/site/markdown/embedding.md xml '<project ' > pom.xml
block $PAGE java 'module com.example' > src/module-info.java
(echo 'package com.example.reading;'; block README.md java 'class TutorialL0' | sed 's/class TutorialL0/class Main/') \
  > src/com/example/reading/Main.java
COPY=$(block $PAGE sh copy-dependencies)
RUN=$(block $PAGE sh 'javac -Xlint')
eval "${COPY/mvn /mvn -B -s $WORK/settings.xml }"
check "$(eval "$RUN")"
