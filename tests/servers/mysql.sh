# shellcheck shell=bash
# mysql.sh: throw-away MariaDB and MySQL servers on loopback. Source it, then
#
#   my_root KIND                              the folder of its programs; fetches at the first call
#   my_up KIND BASE PORT [my.cnf lines...]    makes the data in BASE at the first call, starts it; root has no password
#   my_down BASE                              stops it and waits
#   my_crash BASE                             kills it at once
#   my_sql BASE [mariadb's arguments...]      SQL from the arguments or standard input, as root, over the socket
#   my_free_port                              a port nobody listens on now
#   my_plugins KIND                           the folder of its plugins (logins)
#
# KIND is mariadb (Debian 12's own 10.11), mariadb105, mariadb114, mariadb118, mysql (9.7), mysql80 (8.0.31) or mysql8015;
# mysql_fetch.sh says where each comes from. Root's servers belong to nobody; an ordinary user's are his own. BASE's
# parents must be searchable by nobody, and its path short: a socket's path has at most 107 bytes.

# shellcheck source=tests/servers/mysql_fetch.sh
. "$(dirname "${BASH_SOURCE[0]}")/mysql_fetch.sh"

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
    [ "$kind" = mariadb ] || cat <<CNF
plugin_dir=$root/usr/lib/mysql/plugin
lc_messages_dir=$root/usr/share/mysql
character_sets_dir=$root/usr/share/mysql/charsets
CNF
    case $kind in
    mariadb*) printf '%s\n' gtid_strict_mode=ON log_slave_updates=ON innodb_log_file_size=16M ;;
    *) printf '%s\n' mysqlx=OFF gtid_mode=ON enforce_gtid_consistency=ON performance_schema=OFF table_open_cache=200 ;;
    esac
    case $kind in
    mysql8015) echo innodb_log_file_size=8M ;;
    mysql*) echo innodb_redo_log_capacity=16M ;;
    mariadb11*) printf '%s\n' "ssl_cert=$base/tls.crt" "ssl_key=$base/tls.key" ;;
    esac
}

# MariaDB 11.4 and newer make themselves a key of 4096 bits at each start (7 to 14 s) where they are given none.
my_cert() { # BASE
    [ -e "$1/tls.crt" ] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=throw-away \
        -keyout "$1/tls.key" -out "$1/tls.crt" 2>/dev/null || return 1
    [ "$(id -u)" != 0 ] || chown nobody "$1/tls.key"
}

my_user() { [ "$(id -u)" != 0 ] || echo --user=nobody; }

my_make() { # KIND ROOT BASE
    local kind=$1 root=${2%/} base=$3
    # shellcheck disable=SC2046  # one word or none
    case $kind in
    mariadb*)
        "$root/usr/bin/mariadb-install-db" --defaults-file="$base/my.cnf" ${root:+--basedir="$root/usr"} $(my_user) \
            --auth-root-authentication-method=normal --skip-test-db --skip-name-resolve
        ;;
    *) "$root/usr/sbin/mysqld" --defaults-file="$base/my.cnf" $(my_user) --initialize-insecure ;;
    esac
}

# Most take seconds to make their first data: made once and copied, without the server's uuid and log.
my_make_copied() { # KIND ROOT BASE
    local base=$3 made
    made=$(my_cache)/$(my_name "$1")-data-$(id -u)
    (
        exec 9>"$made.lock"
        flock 9
        [ ! -e "$made/.complete" ] || exit 0
        rm -rf "$made"
        my_make "$@" && cp -a --reflink=auto "$base/data" "$made" && rm -rf "$base/data" "$made/auto.cnf" "$made"/bin.* && touch "$made/.complete"
    ) && cp -a --reflink=auto "$made" "$base/data" && rm "$base/data/.complete"
}

my_init() { # KIND ROOT BASE
    if [ "$1" = mariadb ] || grep -q lower_case_table_names "$3/my.cnf"; then
        my_make "$@"
    else
        my_make_copied "$@"
    fi >"$3/init.log" 2>&1 || { tail -qn 5 "$3/init.log" "$3/my.err" >&2; return 1; }
}

my_up() {
    local kind=$1 base=$2 port=$3 root program=mysqld
    shift 3
    root=$(my_root "$kind") || return 1
    [[ $kind != mariadb* ]] || program=mariadbd
    mkdir -p "$base"
    [ "$(id -u)" != 0 ] || chown nobody "$base"
    [[ $kind != mariadb11* ]] || my_cert "$base" || return 1
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
    tail -qn 5 "$base/my.err" >&2
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
    rm -f "$1/my.pid" "$1/my.sock.lock" # a number in it that somebody else has by now would refuse the next start
}

my_down() { my_stop "$1" -TERM; }
my_crash() { my_stop "$1" -KILL; }

my_free_port() {
    local port
    while port=$((20000 + RANDOM % 12000)); do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
    done
}
