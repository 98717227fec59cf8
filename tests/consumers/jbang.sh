#!/usr/bin/env bash
# The file with JBang's lines of the page 'Shells, scripts and Kotlin'. JBang itself comes from Maven Central: its class
# prints the command that its script would run.
source "$(dirname "$0")/consumers.bash"
need mvn
settings
PAGE=src/site/markdown/jvm-languages.md
mkdir "$WORK/project" && cd "$WORK/project"
mkdir jbang && cat > jbang/pom.xml <<XML
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>com.example</groupId>
  <artifactId>jbang</artifactId>
  <version>1</version>
  <dependencies>
    <dependency><groupId>dev.jbang</groupId><artifactId>jbang-cli</artifactId><version>0.132.1</version></dependency>
  </dependencies>
</project>
XML
# In a repository of its own, so that JBang fetches all that the file names.
mvn -B -q -f jbang/pom.xml -Dmaven.repo.local="$WORK/tools" dependency:copy-dependencies -DoutputDirectory=lib
jbang() { # arguments as for the script
  local command
  command=$(JBANG_DIR=$WORK/jbang JBANG_REPO=$REPOSITORY java -cp "$WORK/project/jbang/lib/*" dev.jbang.Main run \
    --repos "central,staged=file://$STAGING" "$@")
  eval "$command"
}
{ block $PAGE text //DEPS; block README.md java 'class TutorialL0'; } > TutorialL0.java
RUN=$(block $PAGE sh 'jbang ')
check "$(eval "$RUN")"
