#!/usr/bin/env bash
# The snippets of the page 'Shells, scripts and Kotlin', typed into JShell.
source "$(dirname "$0")/consumers.bash"
need mvn
need jshell
settings
PAGE=src/site/markdown/jvm-languages.md
mkdir "$WORK/project" && cd "$WORK/project"
block src/site/markdown/embedding.md xml '<project ' > pom.xml
COPY=$(block $PAGE sh copy-dependencies)
SHELL_COMMAND=$(block $PAGE sh 'jshell ')
eval "${COPY/mvn /mvn -B -s $WORK/settings.xml }"
PRINTED=$(block $PAGE jshell TensorScope | eval "$SHELL_COMMAND")
case $PRINTED in *Error:* | *"Exception "*) printf '%s\n' "$PRINTED" >&2; die "a snippet failed." ;; esac
check "$PRINTED"
