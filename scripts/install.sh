#!/usr/bin/env bash
# install.sh [GROUP...]: puts onto a Debian 12 machine what the project needs. Groups:
#   build  the compiler and the libraries' headers
#   demo   PostgreSQL 15, MariaDB and the SQLite shell
#   test   the checkers, the fault injectors, and .cache/venv from tests/requirements.txt
# Without an argument: build and test. A second call asks dpkg and finds nothing to do: no network then.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

build=(gcc make pkg-config libc6-dev libpq-dev libmariadb-dev libjansson-dev libyaml-dev libdeflate-dev libzstd-dev
  libsqlite3-dev libssl-dev libavro-dev librdkafka-dev libcurl4-openssl-dev
  libmicrohttpd-dev)
demo=(postgresql-15 postgresql-client-15 mariadb-server-core mariadb-client-core sqlite3 procps)
test=("${demo[@]}" libcmocka-dev clang-14 libclang-rt-14-dev clang-format-14 clang-tidy-14 cppcheck valgrind
  shellcheck dpkg-dev groff-base systemd python3 python3-venv patchelf unzip xz-utils fiu-utils libfiu-dev faketime
  util-linux iproute2 openssl kcat mariadb-client)
# From Maven come PostgreSQL 14 and 16, MariaDB 11.4, MySQL 8.0, Kafka, a registry, and readers in Java (single files, which
# a JDK runs); from npm
# a reader in JavaScript. What is already there is as good as Debian's.
command -v mvn >/dev/null 2>&1 || test+=(maven)
command -v javac >/dev/null 2>&1 || test+=(default-jdk-headless)
command -v npm >/dev/null 2>&1 || test+=(nodejs npm)

say() { echo "install: $*"; }
die() {
    echo "install: $*" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo "$@"
    else
        die "root is needed to install packages and there is no sudo; as root: scripts/install.sh ${groups[*]}"
    fi
}

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# Debian's package would make and start a cluster of its own, which nobody here uses.
no_main_cluster() {
    local conf=/etc/postgresql-common/createcluster.conf
    [ -e "$conf" ] || as_root sh -c "mkdir -p ${conf%/*} && echo 'create_main_cluster = false' > $conf"
}

packages() {
    local p missing=()
    for p in "$@"; do installed "$p" || missing+=("$p"); done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "packages: ${missing[*]}"
    case " ${missing[*]} " in *" postgresql-15 "*) no_main_cluster ;; esac
    # The lists may be missing or old (a fresh container has none): refresh, and go on with what is there otherwise.
    as_root apt-get update -qq || say "apt-get update failed; trying with the lists that are there"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confold "${missing[@]}" >/dev/null ||
        die "apt-get install failed for: ${missing[*]}"
}

# .cache/venv follows its requirements. Debian's python3 where there is one: another may vanish.
venv() {
    local dir=.cache/venv want python=python3
    [ ! -x /usr/bin/python3 ] || python=/usr/bin/python3
    want=$(sha256sum tests/requirements.txt)
    [ "$(cat "$dir/made-from" 2>/dev/null)" != "$want" ] || return 0
    say "$dir from tests/requirements.txt"
    mkdir -p .cache
    "$dir/bin/python" -c 'import pip' 2>/dev/null || "$python" -m venv --clear "$dir" || die "python3 -m venv failed"
    "$dir/bin/python" -m pip install -q --disable-pip-version-check -r tests/requirements.txt ||
        die "pip could not install tests/requirements.txt"
    echo "$want" >"$dir/made-from"
}

groups=("$@")
[ ${#groups[@]} -gt 0 ] || groups=(build test)
[ -r /etc/debian_version ] || die "this is not Debian; the package names are in ${BASH_SOURCE[0]}"
want=() with_venv=
for g in "${groups[@]}"; do
    case $g in
    build) want+=("${build[@]}") ;;
    demo) want+=("${demo[@]}") ;;
    test) want+=("${test[@]}") with_venv=1 ;;
    *) die "no group '$g' (there are: build demo test)" ;;
    esac
done
packages "${want[@]}"
[ -z "$with_venv" ] || venv
