# shellcheck shell=bash
# mysql.sh: throw-away MariaDB and MySQL servers on loopback. Source it, then
#
#   my_root KIND                              the folder of its programs; fetches at the first call
#   my_up KIND BASE PORT [my.cnf lines...]    makes the data in BASE at the first call, starts it; root has no password
#   my_down BASE                              stops it and waits
#   my_crash BASE                             kills it at once
#   my_sql BASE [mariadb's arguments...]      SQL from the arguments or standard input, as root, over the socket
#   my_free_port                              a port nobody listens on now
#   my_plugins                                a folder of MariaDB's plugins that mariadb-server-core lacks (logins)
#
# KIND is mariadb (Debian 12's own 10.11) or mysql (9.x out of Debian sid, unpacked into $SIDESTREAM_CACHE, default
# .cache; there is no MySQL in Debian 12). Root's servers belong to nobody; an ordinary user's are his own. BASE's
# parents must be searchable by nobody, and its path short: a socket's path has at most 107 bytes.

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

my_plugins() {
    local tree version
    version=$(dpkg-query -W -f '${Version}' mariadb-server-core) || return 1
    tree=$(my_cache)/mariadb-plugins-${version//[^0-9.]/_}
    (
        exec 9>"$tree.lock"
        flock 9
        [ ! -e "$tree/.complete" ] || exit 0
        echo "mysql.sh: MariaDB's plugins out of mariadb-server" >&2
        rm -rf "$tree" && mkdir -p "$tree" && cd "$tree" &&
            apt-get download -qq -o APT::Sandbox::User=root "mariadb-server=$version" &&
            dpkg-deb --fsys-tarfile ./*.deb | tar -x ./usr/lib/mysql/plugin && rm ./*.deb && touch .complete
    ) >&2 || return 1
    echo "$tree/usr/lib/mysql/plugin"
}

my_root() {
    local here cache tree
    [ "$1" = mysql ] || { echo /; return; }
    here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
    cache=$(my_cache)
    tree=$cache/mysql97
    (
        exec 9>"$cache/mysql97.lock"
        flock 9
        [ ! -e "$tree/.complete" ] || exit 0
        echo "mysql.sh: MySQL out of Debian sid" >&2
        export DEBROOT_CACHE=$cache/debroot
        # shellcheck source=tests/servers/debroot.sh
        . "$here/debroot.sh"
        rm -rf "$tree"
        debroot sid "$tree" mysql-server-core libicu78 libssl3t64 libzstd1 libprotobuf-lite32t64 libstdc++6 libgcc-s1 \
            libc6 zlib1g liblz4-1 libaio1t64 libnuma1 libgoogle-perftools4t64 libxxhash0 libunwind8 liblzma5 &&
            debroot_relocate "$tree" "$tree/usr/sbin/mysqld" && touch "$tree/.complete"
    ) >&2 || return 1
    echo "$tree"
}

# The paths are explicit: a relocated server does not find its own folders. Later lines win over these.
my_cnf() {
    local kind=$1 root=$2 base=$3 port=$4
    cat <<CNF
[mysqld]
basedir=${root%/}/usr
datadir=$base/data
tmpdir=$base
socket=$base/my.sock
pid_file=$base/my.pid
log_error=$base/my.err
port=$port
bind_address=127.0.0.1
secure_file_priv=
server_id=1
log_bin=bin
binlog_format=ROW
binlog_row_image=FULL
binlog_row_metadata=FULL
innodb_use_native_aio=0
innodb_buffer_pool_size=32M
innodb_flush_log_at_trx_commit=2
CNF
    if [ "$kind" = mysql ]; then
        cat <<CNF
plugin_dir=$root/usr/lib/mysql/plugin
lc_messages_dir=$root/usr/share/mysql
character_sets_dir=$root/usr/share/mysql/charsets
mysqlx=OFF
gtid_mode=ON
enforce_gtid_consistency=ON
innodb_redo_log_capacity=16M
performance_schema=OFF
table_open_cache=200
CNF
    else
        printf '%s\n' gtid_strict_mode=ON log_slave_updates=ON innodb_log_file_size=16M
    fi
}

my_user() { [ "$(id -u)" != 0 ] || echo --user=nobody; }

# MySQL takes seconds to make its first data: made once and copied, without the server's uuid.
my_init_copied() {
    local root=$1 base=$2 made
    made=$(my_cache)/mysql97-data-$(id -u)
    (
        exec 9>"$made.lock"
        flock 9
        [ ! -e "$made/.complete" ] || exit 0
        rm -rf "$made"
        # shellcheck disable=SC2046  # one word or none
        "$root/usr/sbin/mysqld" --defaults-file="$base/my.cnf" $(my_user) --initialize-insecure &&
            cp -a --reflink=auto "$base/data" "$made" && rm -rf "$base/data" "$made/auto.cnf" && touch "$made/.complete"
    ) && cp -a --reflink=auto "$made" "$base/data" && rm "$base/data/.complete"
}

my_init() {
    local kind=$1 root=$2 base=$3
    # shellcheck disable=SC2046  # one word or none
    if [ "$kind" = mysql ] && ! grep -q lower_case_table_names "$base/my.cnf"; then
        my_init_copied "$root" "$base"
    elif [ "$kind" = mysql ]; then
        "$root/usr/sbin/mysqld" --defaults-file="$base/my.cnf" $(my_user) --initialize-insecure
    else
        mariadb-install-db --defaults-file="$base/my.cnf" $(my_user) --auth-root-authentication-method=normal \
            --skip-test-db --skip-name-resolve
    fi >"$base/init.log" 2>&1 || { tail -5 "$base/init.log" "$base/my.err" >&2; return 1; }
}

my_up() {
    local kind=$1 base=$2 port=$3 root program=mysqld
    shift 3
    root=$(my_root "$kind") || return 1
    [ "$kind" = mysql ] || program=mariadbd
    mkdir -p "$base"
    [ "$(id -u)" != 0 ] || chown nobody "$base"
    { my_cnf "$kind" "$root" "$base" "$port" && printf '%s\n' "$@"; } >"$base/my.cnf"
    [ -d "$base/data/mysql" ] || my_init "$kind" "$root" "$base" || return 1
    # shellcheck disable=SC2046  # one word or none
    setsid "${root%/}/usr/sbin/$program" --defaults-file="$base/my.cnf" $(my_user) >/dev/null 2>&1 </dev/null &
    local pid=$! i
    for ((i = 0; i < 600; i++)); do
        ! my_sql "$base" -e 'select 1' >/dev/null 2>&1 || return 0
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    tail -5 "$base/my.err" >&2
    return 1
}

my_sql() {
    local base=$1
    shift
    mariadb --no-defaults -S "$base/my.sock" -uroot --default-character-set=utf8mb4 "$@"
}

my_stop() { # BASE SIGNAL
    local pid
    pid=$(cat "$1/my.pid") || return 1
    kill "$2" "$pid" || return 1
    while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
    rm -f "$1/my.pid"
}

my_down() { my_stop "$1" -TERM; }
my_crash() { my_stop "$1" -KILL; }

my_free_port() {
    local port
    while port=$((20000 + RANDOM % 12000)); do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
    done
}
