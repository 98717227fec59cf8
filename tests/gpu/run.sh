#!/usr/bin/env bash
# Compiles the shim for the libtorch of this machine, tests and measures on its GPU, and leaves results/results.md.
#
#   run.sh [MINUTES [STEP...]]    all of it within 25 minutes, or within MINUTES; all steps, or those that are named
#
# Travels in the archive that tests/gpu/prepare.sh makes. Needs: Python's torch or LIBTORCH (include/ and lib/), g++,
# gcc; a folder without spaces in its path.
# Variables: LIBTORCH; DEVICE (cuda, unless it says cpu or cuda:1); RESULTS (a folder, in place of results/).
# A step that fails stops no other; the exit status is 1 if any failed, and 2 if nothing could be started.
set -euo pipefail
cd "$(dirname "$0")"

die() { echo "run: $*" >&2; exit 2; }
MINUTES=${1:-25}
shift || true
WANTED=("$@")
[[ "$MINUTES" =~ ^[1-9][0-9]{0,3}$ ]] || die "the first argument is a number of minutes, not '$MINUTES'."
[ -x java/bin/java ] && [ -f tests/device-tests.txt ] \
  || die "this folder is not what prepare.sh packs: unpack panascope-gpu.tar.xz and start run.sh there."
[[ "$PWD" != *[[:space:]]* ]] || die "the path of this folder has spaces in it: unpack the archive somewhere else."
END=$((SECONDS + MINUTES * 60 - 10))  # what is left when the last step is cut off is for this script
DEVICE=${DEVICE:-cuda}
RESULTS=$(mkdir -p "${RESULTS:-results}" && cd "${RESULTS:-results}" && pwd)
LOGS=$RESULTS/logs
WORK=$PWD/work
rm -rf "$LOGS" "$WORK"
mkdir -p "$LOGS" "$WORK/tmp"
: > "$WORK/table.md"; : > "$WORK/details.md"

# --- libtorch: LIBTORCH, else the torch of python3, which build-native.sh and Java find too
if [ -z "${LIBTORCH:-}" ]; then
  unset LIBTORCH
  QUESTION='import importlib.util as u; s = u.find_spec("torch"); print(s.submodule_search_locations[0] if s else "")'
  TORCH=$(python3 -c "$QUESTION" 2>/dev/null || true)
  [ -n "$TORCH" ] || die "python3 has no torch: set LIBTORCH to a folder of include/ and lib/, or PATH to another one."
else
  TORCH=$(cd "$LIBTORCH" 2>/dev/null && pwd) || die "LIBTORCH=$LIBTORCH is no folder."
  export LIBTORCH=$TORCH
fi
[ -f "$TORCH/lib/libtorch_cpu.so" ] && [ -d "$TORCH/include" ] \
  || die "$TORCH has no lib/libtorch_cpu.so or no include/."

# --- what the steps share
BUILT=target/native-build/plain
export LC_ALL=C.UTF-8 PANASCOPE_CACHE=$WORK/cache PANASCOPE_NATIVE_TESTS=no
export PANASCOPE_SHIM=$PWD/target/native/linux-x86_64/libpanascope.so
unset JAVA_TOOL_OPTIONS JDK_JAVA_OPTIONS _JAVA_OPTIONS CLASSPATH
# An archive of the runtime's own classes, which every JDK has and jlink leaves out: starts take half as long with it.
[ -f java/lib/server/classes.jsa ] || java/bin/java -Xshare:dump -Xlog:disable > /dev/null 2>&1 || true
PANASCOPE="java/bin/java -jar target/panascope.jar"
BENCH="java/bin/java -Djava.io.tmpdir=$WORK/tmp -jar target/panascope.jar bench --device $DEVICE"
# TF32: cuBLAS never uses it where the first variable is 0; PyTorch asks for it in products only where the second is 1.
TF32_OFF="NVIDIA_TF32_OVERRIDE=0"
TF32_ON="NVIDIA_TF32_OVERRIDE=1 TORCH_ALLOW_TF32_CUBLAS_OVERRIDE=1"

# A compiler newer than ours may warn where ours does not; that should cost a line in the results, and not all of them.
for tool in g++ gcc; do
  printf '#!/bin/sh\nexec %s "$@" -Wno-error\n' "$tool" > "$WORK/$tool"
  chmod +x "$WORK/$tool"
done
BUILD="./build-native.sh || { echo 'once more, without -Werror' && CXX=$WORK/g++ CC=$WORK/gcc ./build-native.sh; }"

# CUDA's kernels are there only once libtorch_cuda.so is open: this build of the C test is linked with it.
C_TEST="$BUILT/psc_test_gpu"
LINK="gcc -std=c11 -O2 -g1 -Inative/include native/test/psc_test.c -o $C_TEST -L$BUILT -lpanascope -lm"
LINK+=" -Wl,-rpath,$PWD/$BUILT"
[ ! -f "$TORCH/lib/libtorch_cuda.so" ] \
  || LINK+=" -L$TORCH/lib -Wl,-rpath,$TORCH/lib -Wl,--no-as-needed -ltorch_cuda"
LINK+=" -Wl,--unresolved-symbols=ignore-in-shared-libs -Wl,-rpath-link,$TORCH/lib"

find_sanitizer() {
  command -v compute-sanitizer && return
  local places=("${CUDA_HOME:-/usr/local/cuda}"/bin /usr/local/cuda*/bin /usr/local/cuda*/compute-sanitizer
    /opt/cuda*/bin /opt/nvidia/*/compute-sanitizer "$TORCH"/../nvidia/*/bin "$TORCH"/../nvidia/*/compute-sanitizer)
  local place
  for place in "${places[@]}"; do
    [ ! -x "$place/compute-sanitizer" ] || { echo "$place/compute-sanitizer"; return; }
  done
}
SANITIZER=$(find_sanitizer)

CLASSPATH_OF_TESTS=target/test-classes:target/panascope.jar:$(printf '%s:' target/lib/*.jar)$(echo tests/lib/*.jar)
JUNIT="java/bin/java --enable-native-access=ALL-UNNAMED -Xmx2g -Dpanascope.test.device=$DEVICE"
JUNIT+=" -Djava.io.tmpdir=$WORK/tmp"
JUNIT+=" -cp $CLASSPATH_OF_TESTS org.junit.platform.console.ConsoleLauncher execute"
JUNIT+=" --disable-banner --disable-ansi-colors --details=verbose --reports-dir=$LOGS/junit --fail-if-no-tests"
JUNIT+=" --include-tag=device --exclude-tag=hub$(sed 's/^/ --select-class=/' tests/device-tests.txt | tr -d '\n')"

# --- the steps: name, share of the time, command. What one leaves of its share goes to those after it.
NAMES=(); SHARES=(); COMMANDS=()
step() {
  [ ${#WANTED[@]} -eq 0 ] || [ "$1" = build ] || [[ " ${WANTED[*]} " = *" $1 "* ]] || return 0
  NAMES+=("$1"); SHARES+=("$2"); COMMANDS+=("$3")
}
step build 400 "$BUILD"  # always; at once done where it is up to date. Much on two processors, little on many
step c-test 30 "$LINK && LD_LIBRARY_PATH=$TORCH/lib $C_TEST $WORK/c-test.pt"
# It has to say that it uses this shim and, unless the device is the CPU, that there is a GPU.
DOCTOR="$PANASCOPE doctor | tee $WORK/doctor.txt && grep -qF 'shim $PANASCOPE_SHIM' $WORK/doctor.txt"
[ "$DEVICE" = cpu ] || DOCTOR+=" && grep -q '^ok  *CUDA ' $WORK/doctor.txt"
step doctor 30 "$DOCTOR"
step tests 330 "$JUNIT"
step prompt 20 "$PANASCOPE prompt --device $DEVICE"
step tutorial 60 "$PANASCOPE tutorial --device $DEVICE --out $WORK/tutorial"
DASHBOARD="$PANASCOPE dashboard --device $DEVICE --features 0-9,748 --rows 400 --ablation"
step dashboard 60 "$DASHBOARD --out $WORK/dashboard/page.html"
step bench-float32 90 "$TF32_OFF $BENCH --json $RESULTS/bench-float32.json"
step bench-tf32 90 "$TF32_ON $BENCH --json $RESULTS/bench-tf32.json"
step bench-bfloat16 90 "$BENCH --dtype bfloat16 --json $RESULTS/bench-bfloat16.json"
step roofline 60 "$TF32_OFF $BENCH --only roofline"
# The C test asks for too much memory on purpose: what CUDA answers to that is no error here.
MEMCHECK="$SANITIZER --tool memcheck --report-api-errors no --error-exitcode 9"
step sanitizer 120 "LD_LIBRARY_PATH=$TORCH/lib $MEMCHECK $C_TEST $WORK/c-test.pt"
# 11 and all of the features, each twice: the first is to warm up.
ROWS="$TF32_OFF $BENCH --only dashboards --repeats 1"
step rows-1000 90 "$ROWS --dashboard-rows 1000 --json $RESULTS/rows-1000.json"
step rows-10000 300 "$ROWS --dashboard-rows 10000 --json $RESULTS/rows-10000.json"
for name in "${WANTED[@]}"; do
  [[ " ${NAMES[*]} " = *" $name "* ]] || die "there is no step '$name'."
done

# --- what is written: the file is whole after each step, even if this script ends in the middle
first_line() { "$@" 2>/dev/null | sed -n 1p || true; }
ask_gpu() { first_line nvidia-smi --query-gpu="$1" --format=csv,noheader; }
version_of_torch() {
  local found
  found=$(sed -n 's/^__version__ = *//p' "$TORCH/version.py" 2>/dev/null \
    || cat "$TORCH/build-version" 2>/dev/null || true)
  echo "${found//[\'\"]/}"
}
head_of_results() {
  local gpu version built memory
  gpu=$(ask_gpu name,driver_version,memory.total)
  version=$(version_of_torch)
  built=$(sed -n 's/^torch.version=//p' "${PANASCOPE_SHIM%/*}/shim.properties" 2>/dev/null || true)
  echo "# Panascope on ${gpu:-no GPU that nvidia-smi knows}"
  echo
  echo "- device asked for: $DEVICE; limit $MINUTES minutes, started $STARTED"
  echo "- libtorch: ${version:-a version that it does not say}, in $TORCH; shim compiled for: ${built:-none}"
  echo "- Java: $(java/bin/java -version 2>&1 | sed -n 2p)"
  echo "- $(first_line g++ --version); $(first_line python3 --version)"
  memory=$(awk '/MemTotal/ {printf "%.0f GiB", $2 / 1048576}' /proc/meminfo)
  echo "- system: $(uname -sr), $(nproc) processors, $memory, $(first_line ldd --version)"
  echo "- archive: $(sed -n 's/^commit=/commit /p' MADE)"
  echo
}
write() {
  { head_of_results
    echo "| step | result | seconds | of at most |"; echo "|---|---|--:|--:|"; cat "$WORK/table.md"
    echo; cat "$WORK/details.md"
  } > "$RESULTS/results.md.part"
  mv "$RESULTS/results.md.part" "$RESULTS/results.md"
}
row() { printf '| %s | %s | %s | %s |\n' "$@" >> "$WORK/table.md"; }

# What of a log is worth reading in the results; all of it is in logs/.
shown() { # step, log
  if [ "$1" != tests ]; then
    tail -n 45 "$2" | cut -c1-300
    return
  fi
  echo "$(grep -c 'status: .*SUCCESSFUL' "$2" || true) tests ended well"
  if grep -q '^Test run finished' "$2"; then
    sed -n '/^Test run finished/,$p' "$2" | grep ' tests \|finished\|containers failed'
  else
    echo "the last that began: $(grep 'uniqueId:' "$2" | tail -n 1 | sed 's/^[^a-z]*//')"
    sed -n '/^"main"/,/^$/p' "$2" | sed -n 1,40p  # where it was when its time was up
  fi
  # Which failed, why, and where in the tests; so do classes that could not be prepared.
  awk '
    / uniqueId: / { id = $0; sub(/.*engine:junit-jupiter.\//, "", id); why = at = "" }
    / caught: / { why = $0; sub(/.*caught: /, "", why); at = "" }
    /\tat io\.github\.panascope\./ && why != "" && at == "" { at = $0; sub(/.*\tat /, " at ", at) }
    / status: / { if (/FAILED|ABORTED/) print id ": " why at; why = "" }
    / finished after / && why != "" { sub(/^[^A-Za-z]*/, ""); print $0 " " why at; why = "" }
  ' "$2" | sed 's/io\.github\.panascope\.//g' | cut -c1-500 | sed -n 1,60p  # head would end this script
}

STARTED=$(date -u +%FT%TZ)
FAILED=0
for i in "${!NAMES[@]}"; do
  name=${NAMES[i]} command=${COMMANDS[i]} log=$LOGS/${NAMES[i]}.txt
  if [ "$name" = sanitizer ] && [ -z "$SANITIZER" ]; then
    row sanitizer "left out: there is no compute-sanitizer" - -; write; continue
  fi
  left=$((END - SECONDS)) shares=0
  for ((j = i; j < ${#NAMES[@]}; j++)); do shares=$((shares + SHARES[j])); done
  limit=$((left * SHARES[i] / shares))
  if [ "$limit" -lt 1 ]; then
    FAILED=1; row "$name" "**not run: the time was up**" - -; write; continue
  fi
  echo "run: $name, at most $limit s" >&2
  signal=TERM; [ "$name" != tests ] || signal=QUIT  # which makes Java print where each thread is
  begin=$(date +%s%N) status=0
  {  # without what Bash itself says of what was killed
    timeout -k 5 -s "$signal" "$limit" bash -o pipefail -c "$command" > "$log" 2>&1 < /dev/null || status=$?
  } 2> /dev/null
  seconds=$(awk -v ns="$(($(date +%s%N) - begin))" 'BEGIN {printf "%.1f", ns / 1e9}')
  case $status in
    0) result=ok;;
    124|137) result="**killed** (exit code $status)"
      [ "${seconds%.*}" -lt "$limit" ] || result="**cut off when its time was up** (exit code $status)";;
    2) result="**refused** (exit code 2)";;
    *) result="**failed** (exit code $status)";;
  esac
  [ "$status" -eq 0 ] || FAILED=1
  if [ "$name" = tests ]; then
    counts=$(sed -n 's/^\[ *\([0-9]* tests [a-z]*\) *\]/\1/p' "$log" | paste -sd, | sed 's/ tests / /g; s/,/, /g')
    result+=": ${counts:-no counts}"
  fi
  row "$name" "$result" "$seconds" "$limit"
  { echo "## $name"; echo; echo "Exit code $status after $seconds s:"; echo
    echo '```'; echo "$command" | tr -s ' \n' ' ' | cut -c1-1200; echo '```'; echo
    echo '```'; shown "$name" "$log" || true; echo '```'; echo
  } >> "$WORK/details.md"
  rm -rf "$WORK/tmp"; mkdir "$WORK/tmp"  # what a step that was cut off left there
  write
done
echo "run: $RESULTS/results.md" >&2
exit "$FAILED"
