# shellcheck shell=bash
# postgres.sh: throw-away PostgreSQL servers on loopback. Source it, then
#
#   pg_up BINDIR BASE PORT [postgresql.conf lines...]   makes the cluster in BASE at the first call, starts it
#   pg_down BINDIR BASE [fast|smart|immediate]          stops it and waits
#   pg_crash BASE                                       kills every process of it at once, as a machine's end does
#   pg_free_port                                        a port nobody listens on now
#
# BASE holds data/, log and the unix socket. Its parents must be searchable by user postgres (so: under
# /tmp, not under a home folder), and its path short: a socket's path has at most 107 bytes. Root may not run
# a server, so root's clusters belong to postgres; an ordinary user's are his own. fsync is off: a
# killed server is a fair test, a power cut would not be.

pg_as() {
    if [ "$(id -u)" = 0 ]; then (cd / && exec runuser -u postgres -- "$@"); else "$@"; fi
}

pg_init() {
    local bin=$1 base=$2 port=$3
    pg_as "$bin/initdb" -D "$base/data" -A trust -U postgres -E UTF8 --locale=C.UTF-8 --no-sync >"$base/initdb.log" 2>&1 ||
        { tail -5 "$base/initdb.log" >&2; return 1; }
    pg_as tee -a "$base/data/postgresql.conf" >/dev/null <<CONF
listen_addresses = '127.0.0.1'
port = $port
unix_socket_directories = '$base'
wal_level = logical
max_wal_senders = 20
max_replication_slots = 20
shared_buffers = 32MB
max_wal_size = 256MB
fsync = off
jit = off
CONF
}

pg_up() {
    local bin=$1 base=$2 port=$3 line
    shift 3
    mkdir -p "$base"
    [ "$(id -u)" != 0 ] || chown postgres "$base"
    if [ ! -f "$base/data/PG_VERSION" ]; then
        pg_init "$bin" "$base" "$port" || return 1
        for line in "$@"; do echo "$line" | pg_as tee -a "$base/data/postgresql.conf" >/dev/null; done
    fi
    pg_as "$bin/pg_ctl" -D "$base/data" -l "$base/log" -w -t 60 start >/dev/null || { tail -5 "$base/log" >&2; return 1; }
}

pg_down() { pg_as "$1/pg_ctl" -D "$2/data" -m "${3:-fast}" -w -t "${PG_STOP_TIMEOUT:-60}" stop >/dev/null; }

# SIGQUIT would let the children clean up; SIGKILL to the postmaster's own process group does not. Stopped, it has no more
# children while they are counted: one that was missed would keep the shared memory, and the next start would be refused.
pg_crash() {
    local pid pids
    pid=$(head -1 "$1/data/postmaster.pid") || return 1
    kill -STOP "$pid" 2>/dev/null
    pids=$(ps -o pid= --ppid "$pid")
    # shellcheck disable=SC2086  # a list of numbers
    kill -9 "$pid" $pids 2>/dev/null
    while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
    for pid in $pids; do while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done; done
    rm -f "$1/data/postmaster.pid"
}

pg_free_port() {
    local port
    while port=$((20000 + RANDOM % 12000)); do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
    done
}
