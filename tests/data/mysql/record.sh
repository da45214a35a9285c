#!/usr/bin/env bash
# record.sh [SCENE...]: makes the binlogs of this folder (<scene>.<server>.bin) on a MariaDB and a MySQL of its own: a file
# of the binlog each, from the format description on. types.tsv is a scene, and so is each .sql file; what stands behind
# "-- mysql:" or "-- mariadb:" in one is for that server alone; a scene with "-- only: mysql" is recorded on that one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
# shellcheck source=tests/servers/mysql.sh
. ../../servers/mysql.sh

# Each type is a table c<n> (id, v), each line of the table a row of it with the line's number as id.
types_sql() {
    awk -F'\t' -v server="$1" '
        /^#/ || NF < 3 || ($1 != "both" && $1 != server) { next }
        !($2 in seen) { seen[$2] = ++n; printf "CREATE TABLE c%d (id INT PRIMARY KEY, v %s);\n", n, $2 }
        { printf "INSERT INTO c%d VALUES (%d, %s);\n", seen[$2], NR, $3 }' types.tsv
}

scene_sql() {
    if [ "$2" = types ]; then types_sql "$1"; else sed "s/^-- $1: //" "$2.sql"; fi
}

record() { # SERVER SCENE
    local file
    if [ -f "$2.sql" ] && grep -q '^-- only:' "$2.sql" && ! grep -q "^-- only: $1" "$2.sql"; then return; fi
    my_sql "$base/$1" -e "DROP DATABASE IF EXISTS g; CREATE DATABASE g CHARACTER SET utf8mb4; FLUSH BINARY LOGS"
    file=$(my_sql "$base/$1" -N -e 'SHOW BINARY LOGS' | tail -1 | cut -f1)
    { echo "SET time_zone='+00:00', sql_mode='', timestamp=1700000000.123456;" && scene_sql "$1" "$2"; } |
        my_sql "$base/$1" --binary-mode g
    my_sql "$base/$1" -e "FLUSH BINARY LOGS"
    cp "$base/$1/data/$file" "$2.$1.bin"
    chmod 644 "$2.$1.bin"
}

stop() {
    my_down "$base/mariadb" || true
    my_down "$base/mysql" || true
    rm -rf "$base"
}

base=$(mktemp -d /tmp/mys.XXXXXX)
chmod 755 "$base"
trap stop EXIT
my_up mariadb "$base/mariadb" "$(my_free_port)" gtid_strict_mode=OFF
my_up mysql "$base/mysql" "$(my_free_port)"
[ $# -gt 0 ] || set -- ./*.sql types.tsv
for scene in "$@"; do
    scene=$(basename "${scene%.*}")
    record mariadb "$scene"
    record mysql "$scene"
done
