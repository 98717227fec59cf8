#!/usr/bin/env bash
# Unpacks packages of a Debian into a folder and installs nothing: for libraries and Javas of other systems.
#
#   debian.sh SUITE ARCHITECTURE FOLDER PACKAGE...      such as: debian.sh bullseye amd64 /tmp/old libc6 libstdc++6
#
# Needs apt-get and dpkg-deb. The list of the suite's packages is kept in FOLDER/.apt.
set -euo pipefail

[ $# -ge 4 ] || { echo "debian.sh SUITE ARCHITECTURE FOLDER PACKAGE..." >&2; exit 2; }
SUITE=$1 ARCHITECTURE=$2
mkdir -p "$3"
FOLDER=$(cd "$3" && pwd)
shift 3
APT=$FOLDER/.apt
mkdir -p "$APT"/{lists,archives}/partial "$APT/packages"
: > "$APT/status"
KEYS=/usr/share/keyrings/debian-archive-keyring.gpg
# The registry that this machine is set up for.
REGISTRY=$(sed -n 's/^URIs: *//p; s/^deb \(\[[^]]*\] \)\?\(http[^ ]*\) .*/\2/p' /etc/apt/sources.list \
  /etc/apt/sources.list.d/* 2>/dev/null | grep '/debian/\?$' | sed -n 1p || true)
[ -n "$REGISTRY" ] || { echo "debian.sh: apt has no source of Debian's packages on this machine." >&2; exit 1; }
echo "deb [signed-by=$KEYS] $REGISTRY $SUITE main" > "$APT/sources.list"

apt() {
  apt-get -q -o Dir::State="$APT" -o Dir::State::status="$APT/status" -o Dir::Cache="$APT" -o Dir::Etc::sourceparts=- \
    -o Dir::Etc::sourcelist="$APT/sources.list" -o APT::Architecture="$ARCHITECTURE" \
    -o APT::Architectures="$ARCHITECTURE" -o APT::Sandbox::User=root -o Acquire::Languages=none "$@" >&2
}
if [ ! -e "$APT/complete" ]; then
  apt update
  touch "$APT/complete"
fi
cd "$APT/packages"
apt download "$@"
for package in *.deb; do
  dpkg-deb -x "$package" "$FOLDER"
  rm "$package"
done
