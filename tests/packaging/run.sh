#!/usr/bin/env bash
# run.sh: is what we hand out whole? make install and uninstall, the .deb, the man page, the unit, docker-compose.yml, and
# docs/operations.md against the refusals of the sources. The last line counts: N passed, N failed, N skipped. What needs
# a tool that is not here is skipped, loudly. Building an image needs a registry and is not tried.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
tmp=$(mktemp -d /tmp/sidestream-packaging.XXXXXX)
trap 'rm -rf "$tmp"' EXIT
passed=0 failed=0 skipped=0

check() { # check NAME COMMAND...
    local name=$1
    shift
    if "$@" >"$tmp/log" 2>&1; then
        echo "ok    $name"
        passed=$((passed + 1))
    else
        echo "FAIL  $name"
        tail -n 30 "$tmp/log"
        failed=$((failed + 1))
    fi
}

# have TOOL NAME: is it here? If not, NAME is skipped.
have() {
    command -v "$1" >/dev/null && return 0
    echo "SKIP  $2: no $1 on this machine"
    skipped=$((skipped + 1))
    return 1
}

installs() { # and what uninstall leaves is empty folders alone
    make -s install DESTDIR="$tmp/inst" PREFIX=/opt/cdc SYSCONFDIR=/opt/etc || return 1
    local f
    for f in opt/cdc/bin/sidestream opt/cdc/share/man/man1/sidestream.1 opt/cdc/share/doc/sidestream/operations.md \
        opt/cdc/lib/systemd/system/sidestream@.service opt/etc/sidestream/example.yaml; do
        [ -s "$tmp/inst/$f" ] || { echo "not installed: $f"; return 1; }
    done
    grep -q '^ExecStart=/opt/cdc/bin/sidestream run /opt/etc/sidestream/%i.yaml$' \
        "$tmp/inst/opt/cdc/lib/systemd/system/sidestream@.service" || { echo "the unit has other paths"; return 1; }
    "$tmp/inst/opt/cdc/bin/sidestream" --version || return 1
    make -s uninstall DESTDIR="$tmp/inst" PREFIX=/opt/cdc SYSCONFDIR=/opt/etc || return 1
    local left
    left=$(find "$tmp/inst" -type f)
    [ -z "$left" ] || { echo "left by uninstall: $left"; return 1; }
}

# The example has to be a configuration; its server need not be there.
example_reads() {
    PGPASSWORD=x build/release/sidestream check "$1" >"$tmp/check" 2>&1
    cat "$tmp/check"
    head -n 1 "$tmp/check" | grep -q "^ok    $1: pipeline shop,"
}

deb_is_right() {
    local deb
    deb=$(ls build/deb/sidestream_*.deb) || return 1
    dpkg-deb -f "$deb" Depends | tee "$tmp/depends"
    grep -q libpq5 "$tmp/depends" && grep -q libc6 "$tmp/depends" || return 1
    dpkg-deb -R "$deb" "$tmp/deb" || return 1
    (cd "$tmp/deb" && md5sum -c --quiet DEBIAN/md5sums) || return 1
    sh -n "$tmp/deb/DEBIAN/postinst" && sh -n "$tmp/deb/DEBIAN/prerm" && sh -n "$tmp/deb/DEBIAN/postrm" || return 1
    local foreign
    foreign=$(dpkg-deb -c "$deb" | awk '$2 != "root/root"')
    [ -z "$foreign" ] || { echo "not root's: $foreign"; return 1; }
    "$tmp/deb/usr/bin/sidestream" --version | grep -qx "sidestream $(dpkg-deb -f "$deb" Version)"
}

# systemd-analyze looks for ExecStart's program: the package's stands in for the one of /usr/bin.
unit_verifies() {
    mkdir -p "$tmp/units"
    sed "s:/usr/bin/sidestream:$tmp/deb/usr/bin/sidestream:" packaging/sidestream@.service >"$tmp/units/sidestream@.service"
    systemd-analyze verify --man=no "$tmp/units/sidestream@test.service" 2>&1 | tee "$tmp/verify"
    ! grep -q 'sidestream@' "$tmp/verify" || return 1
    grep -qx 'RestartPreventExitStatus=2 3' packaging/sidestream@.service
}

man_is_clean() {
    local page=build/release/sidestream.1
    make -s $page && groff -man -Tutf8 -ww $page 2>"$tmp/groff" >/dev/null
    cat "$tmp/groff"
    [ ! -s "$tmp/groff" ]
}

# Every package that scripts/install.sh builds with must be in the Dockerfile.
dockerfile_libraries() {
    local p
    for p in $(sed -n '/^build=(/,/)/p' scripts/install.sh | tr -d '()' | sed 's/^build=//'); do
        grep -qw -- "$p" packaging/Dockerfile || { echo "packaging/Dockerfile lacks $p"; return 1; }
    done
}

# docker's plugin, or Debian 13's, which is a program of its own and is fetched once.
find_compose() {
    if docker compose version >/dev/null 2>&1; then
        compose=(docker compose)
        return
    fi
    local cache=${SIDESTREAM_CACHE:-$PWD/.cache}
    compose=("$cache/docker-compose/usr/libexec/docker/cli-plugins/docker-compose")
    [ -x "${compose[0]}" ] && return
    # shellcheck source=tests/servers/debroot.sh
    . tests/servers/debroot.sh
    DEBROOT_CACHE=$cache/debroot debroot trixie "$cache/docker-compose" docker-compose >"$tmp/fetch" 2>&1 &&
        "${compose[0]}" version >/dev/null
}

compose_reads() { "${compose[@]}" "$@" config --quiet; }

check install installs
check example-config example_reads packaging/example.yaml
check compose-sidecar-config example_reads packaging/compose/sidestream.yaml
if have dpkg-shlibdeps deb; then
    check deb-build make -s deb
    check deb deb_is_right
    have systemd-analyze unit && check unit unit_verifies
fi
have groff manpage && check manpage man_is_clean
check dockerfile-libraries dockerfile_libraries
if find_compose; then
    check compose compose_reads
    check compose-kafka compose_reads --profile kafka
else
    echo "SKIP  compose, compose-kafka: no docker compose here, and it could not be fetched"
    skipped=$((skipped + 2))
fi
check refusals scripts/check-refusals.sh
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
