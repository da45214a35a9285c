#!/usr/bin/env bash
# deb.sh VERSION: build/deb/sidestream_VERSION_ARCH.deb, out of `make install` into a folder. Depends comes from the
# libraries that the program was linked with, so the package fits the Debian it was built on.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
version=${1:?usage: deb.sh VERSION}
out=build/deb root=build/deb/root

for tool in dpkg-deb dpkg-shlibdeps dpkg-buildflags strip gzip; do
    command -v "$tool" >/dev/null || { echo "deb: $tool is missing: apt-get install dpkg-dev" >&2; exit 1; }
done
# The same sources give the same bytes: the time is the last commit's, not the clock's.
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2>/dev/null || stat -c %Y Makefile)}"
export SOURCE_DATE_EPOCH

rm -rf "$root" "$out/debian"
hardening=hardening=+all,-format # -format: -Wformat=2 of the Makefile says more
make -s -j"${JOBS:-2}" BUILD="$out/obj" PREFIX=/usr SYSCONFDIR=/etc DESTDIR="$root" \
    CFLAGS="$(DEB_BUILD_MAINT_OPTIONS=$hardening dpkg-buildflags --get CFLAGS) $(dpkg-buildflags --get CPPFLAGS)" \
    LDFLAGS="$(DEB_BUILD_MAINT_OPTIONS=$hardening dpkg-buildflags --get LDFLAGS)" install
strip --strip-unneeded "$root/usr/bin/sidestream"
gzip -9n "$root/usr/share/man/man1/sidestream.1"

# dpkg-shlibdeps wants to stand beside a debian/control.
mkdir -p "$out/debian" "$root/DEBIAN"
printf 'Source: sidestream\n\nPackage: sidestream\nArchitecture: any\n' >"$out/debian/control"
depends=$(cd "$out" && dpkg-shlibdeps -O root/usr/bin/sidestream | sed -n 's/^shlibs:Depends=//p')
[ -n "$depends" ] || { echo "deb: dpkg-shlibdeps names no library" >&2; exit 1; }

cat >"$root/DEBIAN/control" <<EOF
Package: sidestream
Version: $version
Architecture: $(dpkg --print-architecture)
Maintainer: sidestream maintainers <root@localhost>
Section: database
Priority: optional
Installed-Size: $(du -sk --exclude=DEBIAN "$root" | cut -f1)
Depends: $depends, passwd
Suggests: sqlite3
Description: change data capture as a sidecar
 Reads PostgreSQL's logical replication log and writes every committed change
 as an Avro record to lake files: each exactly once, in commit order, with soft
 deletes, whatever crashes in between. One small program, no JVM; its position
 lies in the same atomic step as the data.
EOF
echo /etc/sidestream/example.yaml >"$root/DEBIAN/conffiles"
install -m 755 packaging/postinst packaging/prerm packaging/postrm "$root/DEBIAN"
(cd "$root" && find usr -type f -printf '%P\0' | sort -z | sed -z 's:^:usr/:' | xargs -0 md5sum >DEBIAN/md5sums)

find "$root" -newermt "@$SOURCE_DATE_EPOCH" -exec touch -hd "@$SOURCE_DATE_EPOCH" {} +
deb=$out/sidestream_${version}_$(dpkg --print-architecture).deb
rm -f "$out"/*.deb
dpkg-deb --root-owner-group -Zxz --build "$root" "$deb"
