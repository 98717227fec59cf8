#!/usr/bin/env bash
# Finds libtorch, compiles the shim (native/) against it, runs the shim's C tests, and prints the path of the result.
# Does nothing if that result is up to date. Needs a C++17 compiler; for the default libtorch also Maven and Python 3
# with pip.
#
# libtorch comes from the first of these that exists:
#   1. $LIBTORCH, an unpacked libtorch (include/ and lib/), 2.4 or newer;
#   2. the torch package of `python3`;
#   3. the libraries of ai.djl.pytorch:pytorch-native-cpu (Maven) with the headers of the torch wheel (PyPI), kept in
#      the cache: $PANASCOPE_CACHE, or else panascope/ in $XDG_CACHE_HOME or ~/.cache.
#
# PANASCOPE_NATIVE_TESTS=no compiles neither with sanitizers nor the stand-in for CUDA, and runs no test: for machines
# without the sanitizers' libraries, and for trying the rest when the C test fails.
set -euo pipefail
cd "$(dirname "$0")"

VERSION=2.7.1
JAR=pytorch-native-cpu-$VERSION-linux-x86_64.jar
JAR_SHA256=1769928feaaa2389b4aa68390e7787ce1707290258b167d016a200fced4b8c39
WHEEL_SHA256=aea4fc1bf433d12843eb2c6b2204861f43d8364597697074c8d38ae2507f8730

OUT=target/native/linux-x86_64
CACHE=${PANASCOPE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/panascope}
CXX=${CXX:-g++} CC=${CC:-gcc} READELF=${READELF:-readelf}
TESTS=${PANASCOPE_NATIVE_TESTS:-yes}

die() { echo "build-native: $*" >&2; exit 1; }
need() { command -v "$1" >/dev/null || die "'$1' is needed $2, and is not on the PATH."; }
[ "$(uname -sm)" = "Linux x86_64" ] || die "only Linux on x86_64 is supported so far; this is $(uname -sm)."

# --- libtorch: sets SOURCE, INCLUDE and LIB
fetch_default() {
  local kept=$CACHE/libtorch/$VERSION-cpu-linux-x86_64 jar
  if [ ! -e "$kept/complete" ]; then
    need python3 "to fetch libtorch's headers"; need unzip "to unpack libtorch"
    mkdir -p "$CACHE/libtorch"
    new=$(mktemp -d "$CACHE/libtorch/new.XXXXXX")
    trap 'rm -rf "$new"' EXIT
    jar=${PANASCOPE_LIBTORCH_JAR:-}
    if [ ! -f "$jar" ]; then
      need mvn "to fetch libtorch's libraries"
      echo "build-native: fetching libtorch $VERSION (about 110 MB) with Maven" >&2
      mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy -DoutputDirectory="$new" \
        -Dartifact=ai.djl.pytorch:pytorch-native-cpu:$VERSION:jar:linux-x86_64 >&2 || die "Maven could not fetch $JAR."
      jar=$new/$JAR
    fi
    echo "$JAR_SHA256  $jar" | sha256sum --check --status ||
      die "$jar is not the file that was published (its SHA-256 is not $JAR_SHA256). Delete it and try again."
    echo "build-native: fetching libtorch's headers (about 69 MB) with pip" >&2
    # The macOS wheel has the same public headers as the Linux one and none of its gigabytes of CUDA.
    echo "torch==$VERSION --hash=sha256:$WHEEL_SHA256" > "$new/wanted.txt"
    python3 -m pip download -q --disable-pip-version-check --no-deps --only-binary=:all: --platform macosx_11_0_arm64 \
      --python-version 3.11 --require-hashes -r "$new/wanted.txt" -d "$new" >&2 ||
      die "pip could not fetch torch $VERSION from PyPI."
    unzip -q -j "$jar" 'pytorch/cpu/linux-x86_64/*' -d "$new/lib"
    unzip -q "$new"/torch-*.whl 'torch/include/*' -d "$new" && mv "$new/torch/include" "$new/include"
    rm -rf "$new"/torch "$new"/torch-*.whl "$new"/*.jar "$new/wanted.txt"
    touch "$new/complete"
    mv -T "$new" "$kept" 2>/dev/null || [ -e "$kept/complete" ] || die "could not write $kept."
  fi
  SOURCE=default INCLUDE=$kept/include LIB=$kept/lib
}

find_libtorch() {
  local torch find='import importlib.util as u; s = u.find_spec("torch"); print(s.submodule_search_locations[0])'
  if [ -n "${LIBTORCH:-}" ]; then
    [ -f "$LIBTORCH/lib/libtorch_cpu.so" ] && [ -d "$LIBTORCH/include" ] ||
      die "LIBTORCH=$LIBTORCH has no lib/libtorch_cpu.so or no include/."
    SOURCE=LIBTORCH INCLUDE=$LIBTORCH/include LIB=$LIBTORCH/lib
  elif torch=$(python3 -c "$find" 2>/dev/null) \
      && [ -f "$torch/lib/libtorch_cpu.so" ]; then
    SOURCE=python INCLUDE=$torch/include LIB=$torch/lib
  else
    fetch_default
  fi
}

# --- compile: everything under native/, with one set of flags. The shim names no folder of this machine, so that it has
# the same bytes wherever it is built: it finds libtorch beside itself or, as Java does it, opened before.
compile() { # folder, extra flags
  local dir=$1 objects; shift
  mkdir -p "$dir"
  local common=(-O2 -g1 -fPIC -fvisibility=hidden -Wall -Wextra -Werror -Inative/include
                "-ffile-prefix-map=$PWD=." "-ffile-prefix-map=$INCLUDE=libtorch/include" "$@")
  local cxx=("-std=$STANDARD" "-D_GLIBCXX_USE_CXX11_ABI=$CXX11_ABI" "-DPSC_HEADER_SHA256=\"$HEADER\""
             -isystem "$INCLUDE" -isystem "$INCLUDE/torch/csrc/api/include" -include native/src/older_glibc.h)
  printf '%s\n' native/src/*.cpp |
    xargs -P "$(nproc)" -I{} sh -c 'f=$1; d=$2; shift 2; "$@" -c "$f" -o "$d/$(basename "$f" .cpp).o"' \
    - {} "$dir" "$CXX" "${cxx[@]}" "${common[@]}"
  mapfile -t objects < <(printf '%s\n' "$dir"/*.o | LC_ALL=C sort)
  "$CXX" -shared "$@" -Wl,--version-script=native/psc.map -Wl,-soname,libpanascope.so -Wl,--no-undefined \
    -Wl,-rpath,'$ORIGIN' -o "$dir/libpanascope.so" "${objects[@]}" -L"$LIB" -ltorch_cpu -lc10 -lpthread -ldl
  "$CC" -std=c11 "${common[@]}" native/test/psc_test.c -o "$dir/psc_test" -L"$dir" -lpanascope -lm \
    -Wl,-rpath,"$PWD/$dir" -Wl,-rpath-link,"$LIB"
  "$CC" -std=c11 "${common[@]}" -shared native/test/consumer.c -o "$dir/libconsumer.so"
  "$CXX" "${cxx[@]}" "${common[@]}" -shared -DNDEBUG native/test/counters.cpp \
    -o "$dir/libcounters.so" -L"$LIB" -ltorch_cpu -lc10 -Wl,-rpath,"$LIB"
}

# --- what the shim may ask of the system: no newer glibc and libstdc++ than the default libtorch itself needs
LIMITS="GLIBC_2.29 GLIBCXX_3.4.26 CXXABI_1.3.11"
check_versions() { # library
  local symbol version limit
  while IFS=@ read -r symbol version; do
    for limit in $LIMITS; do
      [ "${limit%_*}" != "${version%_*}" ] || [ "$(printf '%s\n' "$version" "$limit" | sort -V | tail -n 1)" = "$limit" ] ||
        die "the shim needs $symbol of $version, and libtorch itself needs no more than $limit: native/src/older_glibc.h" \
          "is the place to ask for an older version of it."
    done
  done < <("$READELF" --dyn-syms -W "$1" | awk '$7 == "UND" && $8 ~ /@/ {print $8}')
}

# --- the stand-in for CUDA (native/test/standin.cpp): a separate libtorch folder for tests, never part of a jar
standin() {
  local dir=$PWD/target/native-build/standin
  mkdir -p "$dir/lib"
  ln -sf "$LIB"/*.so* "$dir/lib/"
  ln -sfn "$INCLUDE" "$dir/include"
  "$CXX" "-std=$STANDARD" "-D_GLIBCXX_USE_CXX11_ABI=$CXX11_ABI" -O2 -g1 -fPIC -fvisibility=hidden \
    -Wall -Wextra -Werror -shared \
    -isystem "$INCLUDE" -isystem "$INCLUDE/torch/csrc/api/include" -Wl,-soname,libtorch_cuda.so -Wl,-rpath,"$LIB" \
    native/test/standin.cpp -o "$dir/lib/libtorch_cuda.so" -L"$LIB" -ltorch_cpu -lc10
}

# --- the C test: prints its result; warnings of libtorch and the sanitizers, which it provokes, only if it fails
c_test() { # name of the test, kind of compilation, environment variables
  local name=$1 dir=target/native-build/$2 said
  shift 2
  echo "build-native: the C test, $name" >&2
  said=$(env "$@" LD_LIBRARY_PATH="$LIB" "$dir/psc_test" "$dir/test.pt" 2>&1) ||
    { echo "$said" >&2; die "the C test, $name, failed."; }
  tail -n 1 <<< "$said" >&2
}

find_libtorch
# Later versions of libtorch have the version numbers in headeronly/.
TORCH_VERSION=$(cat "$INCLUDE"/torch/{csrc/api/include/torch,headeronly}/version.h 2>/dev/null \
  | awk '$1 == "#define" && $2 ~ /^TORCH_VERSION_(MAJOR|MINOR|PATCH)$/ {v = v s $3; s = "."} END {print v}' || true)
[ -n "$TORCH_VERSION" ] || die "$INCLUDE has no torch/version.h: is it libtorch's include folder?"
HEADER=$(sha256sum < native/include/psc.h | cut -d' ' -f1)
STAMP=$( { find native build-native.sh -type f | LC_ALL=C sort | xargs sha256sum
  echo "$SOURCE $INCLUDE $LIB $TORCH_VERSION $CXX $TESTS"; } | sha256sum | cut -d' ' -f1)
if [ "$(cat target/native-build/stamp 2>/dev/null)" = "$STAMP" ] && [ -f "$OUT/libpanascope.so" ]; then
  echo "$PWD/$OUT/libpanascope.so"; exit 0
fi

need "$CXX" "to compile the shim"; need "$CC" "to compile the shim's test"
STANDARD=c++17
# The headers of newer versions need C++ 20.
[ "$(printf '%s\n' 2.10 "$TORCH_VERSION" | sort -V | head -1)" = 2.10 ] && STANDARD=c++20
CXX11_ABI=1; grep -q _ZNSt7__cxx11 "$LIB/libc10.so" || CXX11_ABI=0  # as libtorch itself was compiled
echo "build-native: compiling the shim for libtorch $TORCH_VERSION ($SOURCE)" >&2
rm -rf target/native-build "$OUT"
compile target/native-build/plain
# Another libtorch is this machine's, and so is a shim for it.
[ "$SOURCE" != default ] || check_versions target/native-build/plain/libpanascope.so
if [ "$TESTS" != no ]; then
  compile target/native-build/asan -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
  [ -e "$LIB/libtorch_cuda.so" ] || standin || {
    # The stand-in uses internals of libtorch, which differ from version to version.
    echo "build-native: no stand-in for CUDA with libtorch $TORCH_VERSION; tests that need one are left out" >&2
    rm -rf target/native-build/standin
  }
  for kind in plain asan; do
    c_test "$kind" "$kind" \
      ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1:detect_odr_violation=0 \
      LSAN_OPTIONS=suppressions=native/test/lsan.supp:print_suppressions=0
  done
  if [ -d target/native-build/standin ]; then
    c_test "with the stand-in for CUDA" plain "LD_PRELOAD=$PWD/target/native-build/standin/lib/libtorch_cuda.so"
  fi
fi

mkdir -p "$OUT"
cp target/native-build/plain/libpanascope.so "$OUT/"
"${STRIP:-strip}" --strip-debug "$OUT/libpanascope.so"
printf 'torch.version=%s\ntorch.source=%s\nheader.sha256=%s\nlibrary.sha256=%s\n' "$TORCH_VERSION" "$SOURCE" "$HEADER" \
  "$(sha256sum < "$OUT/libpanascope.so" | cut -d' ' -f1)" > "$OUT/shim.properties"
echo "$STAMP" > target/native-build/stamp
echo "$PWD/$OUT/libpanascope.so"
