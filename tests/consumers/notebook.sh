#!/usr/bin/env bash
# The tutorial's notebook in the kernel JJava, with the artefacts of a Maven repository. NotebookIT compares all of its
# numbers. PANASCOPE_PYTHON names a Python with jjava, nbconvert and ipykernel; without it, they are fetched.
source "$(dirname "$0")/consumers.bash"
need python3
cd "$WORK"
PYTHON=${PANASCOPE_PYTHON:-}
if [ -z "$PYTHON" ]; then
  python3 -m venv venv
  venv/bin/pip install -q --disable-pip-version-check jjava nbconvert ipykernel
  PYTHON=$WORK/venv/bin/python
fi
"$PYTHON" - "$ROOT/src/demo/notebook/tutorial.ipynb" "file://$STAGING" <<'PYTHON'
import json, sys

notebook = json.load(open(sys.argv[1]))
staged = dict(cell_type='code', id='staged', metadata={}, outputs=[], execution_count=None)
staged['source'] = '%mavenRepo staged ' + sys.argv[2]
notebook['cells'].insert(0, staged)
json.dump(notebook, open('tutorial.ipynb', 'w'))
PYTHON
export JJAVA_JVM_OPTS="--enable-native-access=ALL-UNNAMED -Dmaven.repo.local=$REPOSITORY"
"$PYTHON" -m nbconvert --to markdown --execute --log-level WARN tutorial.ipynb
[ -d "$REPOSITORY/io/github/panascope" ] || die "the kernel took nothing from $STAGING into $REPOSITORY."
check "$(cat tutorial.md)"
