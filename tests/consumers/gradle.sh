#!/usr/bin/env bash
# The Gradle project of the page 'In an application'. Gradle 4.4, which Debian has, neither runs on the JDK that this
# needs nor compiles with it: it reads the build and resolves the dependencies, and the JDK does the rest.
source "$(dirname "$0")/consumers.bash"
need gradle
mkdir -p "$WORK/project/src/main/java" && cd "$WORK/project"
block src/site/markdown/embedding.md groovy "id 'application'" > build.gradle
block README.md java 'class TutorialL0' > src/main/java/TutorialL0.java
# Gradle 5 and older have no mainClass.
sed -i "s/mainClass = /mainClassName = /; s|    mavenCentral()|&\n    maven { url 'file://$STAGING' }|" build.gradle
if gradle --version | grep -q '^Gradle 4'; then
  sed -i '/^application {/d; /^}$/{$d}' build.gradle
  export JAVA_HOME=${GRADLE_JAVA_HOME:-/usr/lib/jvm/java-17-openjdk-amd64}
fi
echo 'task jars { doLast { println sourceSets.main.runtimeClasspath.asPath } }' >> build.gradle
JARS=$(gradle -q --no-daemon -g "$WORK/gradle" jars | tail -1)
javac -Xlint:all,-path -Werror -cp "$JARS" -d "$WORK/classes" src/main/java/TutorialL0.java
check "$(java --enable-native-access=ALL-UNNAMED -cp "$WORK/classes:$JARS" TutorialL0)"
