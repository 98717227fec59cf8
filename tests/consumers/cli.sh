#!/usr/bin/env bash
# The command line as the page 'Command line' installs it: from a Maven repository, by one command.
source "$(dirname "$0")/consumers.bash"
need mvn
settings
cd "$WORK"
INSTALL=$(block src/site/markdown/command-line.md sh dependency:get)
RUN=$(block src/site/markdown/command-line.md sh '.m2/repository')
eval "${INSTALL/mvn /mvn -s $WORK/settings.xml }"
check "$(eval "${RUN//\~\/.m2\/repository/$REPOSITORY}")"
