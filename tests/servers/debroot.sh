# shellcheck shell=bash
# debroot.sh: single packages of another Debian suite, unpacked into a folder and not installed. Source it, then
#
#   debroot SUITE DEST PACKAGE...       own lists and an empty dpkg status; the mirror is the machine's own
#   debroot_relocate DEST PROGRAM...    makes the programs use DEST's libc and libraries
#
# The programs start siblings of theirs (pg_ctl starts postgres), so neither chroot nor LD_LIBRARY_PATH will
# do: patchelf writes interpreter and search path into each. A tree cannot be moved afterwards. One suite per DEST.

debroot() (
    set -e
    suite=$1 dest=$2
    shift 2
    a=${DEBROOT_CACHE:?}/$suite
    mkdir -p "$a/lists/partial" "$a/cache/archives/partial" "$a/debs" "$dest"
    exec 8>"$a/lock" # PostgreSQL and MariaDB of one suite may be wanted at once
    flock 8
    : >"$a/status"
    # shellcheck disable=SC2016  # apt's own placeholder
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -m1 '/debian/*$')
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$a/sources.list"
    cat >"$a/apt.conf" <<CONF
Dir::Etc::SourceList "$a/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::State::Lists "$a/lists";
Dir::State::status "$a/status";
Dir::Cache "$a/cache";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "3";
CONF
    export APT_CONFIG=$a/apt.conf
    [ -n "$(find "$a/lists" -name '*Packages*' -mmin -600 2>/dev/null)" ] || apt-get update -qq
    cd "$a/debs"
    apt-get download -qq "$@"
    for p in "$@"; do
        deb=$(find . -name "${p%%=*}_*.deb" -printf '%T@ %p\n' | sort -n | tail -1 | cut -d' ' -f2)
        dpkg-deb -x "$deb" "$dest"
        rm "$deb"
    done
    # Packages older than the merge of /lib into /usr/lib.
    for d in lib lib64; do
        if [ -d "$dest/$d" ] && [ ! -L "$dest/$d" ]; then
            mkdir -p "$dest/usr/$d"
            cp -a "$dest/$d/." "$dest/usr/$d/"
            rm -rf "${dest:?}/$d"
            ln -s "usr/$d" "$dest/$d"
        fi
    done
    # Absolute links (alternatives) are pointed into the tree.
    find "$dest" -type l -lname '/*' | while read -r l; do
        t=$(readlink "$l")
        [ ! -e "$dest$t" ] || ln -sfn "$dest$t" "$l"
    done
)

# --force-rpath: RUNPATH is not inherited by libraries, RPATH is. Scripts and data are left alone.
debroot_relocate() {
    local r=$1 f old
    shift
    for f in "$@"; do
        [ ! -L "$f" ] || continue
        old=$(patchelf --print-rpath "$f" 2>/dev/null) || continue
        patchelf --print-interpreter "$f" >/dev/null 2>&1 || continue
        patchelf --set-interpreter "$r/usr/lib64/ld-linux-x86-64.so.2" \
            --force-rpath --set-rpath "${old:+$old:}$r/usr/lib/x86_64-linux-gnu" "$f"
    done
}
