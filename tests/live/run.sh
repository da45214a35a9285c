#!/usr/bin/env bash
# run.sh BUILD: runs every tests/live program against throw-away servers: test_mysql_* against MariaDB and MySQL (KINDS),
# test_*_kafka against a broker, all others against PostgreSQL (VERSIONS, default 15).
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/servers/postgres.sh
. tests/servers/postgres.sh
# shellcheck source=tests/servers/mysql.sh
. tests/servers/mysql.sh
# shellcheck source=tests/servers/kafka.sh
. tests/servers/kafka.sh
build=${1:-build/release} rc=0

run_all() { # SERVER, then programs
    local server=$1 t
    shift
    for t in "$@"; do
        echo "# $(basename "$t") on $server"
        timeout 300 "$t" || rc=1
    done
}

postgres=() mysql=() kafka=()
for t in "$build"/tests/live/test_*; do
    case $t in
        *.o | *.d) ;;
        */test_mysql_*) mysql+=("$t") ;;
        */test_*_kafka) kafka+=("$t") ;;
        *) postgres+=("$t") ;;
    esac
done
for version in ${VERSIONS:-15}; do
    bin=/usr/lib/postgresql/$version/bin
    [ -x "$bin/initdb" ] || bin=$(tests/servers/fetch.sh "$version") || { rc=1; continue; }
    base=$(mktemp -d /tmp/live.XXXXXX) port=$(pg_free_port)
    chmod 755 "$base"
    pg_up "$bin" "$base/pg" "$port" || { rc=1; continue; }
    export PGURL="postgresql://postgres@127.0.0.1:$port/postgres"
    run_all "PostgreSQL $version" "${postgres[@]}"
    pg_down "$bin" "$base/pg" immediate
    rm -rf "$base"
done
for kind in ${KINDS:-mariadb mysql}; do
    base=$(mktemp -d /tmp/live.XXXXXX)
    chmod 755 "$base"
    my_up "$kind" "$base/my" "$(my_free_port)" || { rc=1; continue; }
    export MYURL="mysql://root@/?socket=$base/my/my.sock"
    run_all "$kind" "${mysql[@]}"
    my_down "$base/my"
    rm -rf "$base"
done
base=$(mktemp -d /tmp/live.XXXXXX)
port=$(my_free_port)
control=$(my_free_port)
if lib=$(kafka_fetch) && kafka_up "$lib" "$base/kafka" 1 "$port" "$control" "1@127.0.0.1:$control" && kafka_wait "$base/kafka" "$port"; then
    export KAFKA_BROKERS="127.0.0.1:$port"
    run_all "Kafka $KAFKA_VERSION" "${kafka[@]}"
else
    echo "no broker" >&2
    rc=1
fi
kafka_down "$base/kafka"
rm -rf "$base"
exit $rc
