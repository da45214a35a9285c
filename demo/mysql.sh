# shellcheck shell=bash disable=SC2034,SC2154
# mysql.sh: the demos' database, a throw-away MariaDB; source it behind story.sh. The functions are those of postgres.sh.

# shellcheck source=tests/servers/mysql.sh
. tests/servers/mysql.sh
type=mysql up=''

database() {
    local port
    say "starting a throw-away $(mariadbd --version | sed 's/.*Ver \([0-9.]*\)-MariaDB.*/MariaDB \1/')"
    port=$(my_free_port)
    my_up mariadb "$work/my" "$port" max_connections=20
    up=1
    sql "create user cdc@'127.0.0.1' identified by 'demo'" "grant select on shop.* to cdc@'127.0.0.1'" \
        "grant replication slave, binlog monitor, reload, process on *.* to cdc@'127.0.0.1'"
    url=mysql://cdc:demo@127.0.0.1:$port/
    my_sql "$work/my" <demo/shop-mysql.sql
}
database_down() { [ -z "$up" ] || my_down "$work/my"; }

sql() {
    local statement
    { echo "set time_zone = '+00:00';"; for statement; do echo "$statement;"; done; } | my_sql "$work/my" -N
}
rows_of() { sql "$1" | tr '\t' '|'; }
iso() { echo "date_format($1, '%Y-%m-%dT%H:%i:%s.%fZ')"; }
streaming() { [ "$(sql "select count(*) from information_schema.processlist where command = 'Binlog Dump'")" != 0 ]; }

# Triggers write a row for each row that changes, in the same transaction; the sidecar has no part in it.
judge() { sql "truncate judge.changes"; }
judged() { sql "select count(*) from judge.changes"; }
