#!/usr/bin/env bash
# mysql_decode.sh [mariadb|mysql]: what decoding costs per core (bench/mysql_decode.c), on the binlog of a server of its
# own: a million rows in bulk, and 100,000 transactions of one insert, one update or both. Needs `make all`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tests/servers/mysql.sh
kind=${1:-mariadb} build=${BUILD:-build/release}
base=$(mktemp -d /tmp/mysbench.XXXXXX)
chmod 755 "$base"
trap 'my_down "$base/s"; rm -rf "$base"' EXIT
objects=$(find "$build/core" "$build/connectors" -name '*.o' ! -path '*/cli/main.o')
# shellcheck disable=SC2046,SC2086  # lists
gcc -O2 -std=gnu11 -Iinclude -Icore bench/mysql_decode.c $objects -o "$base/mysql_decode" \
    $(pkg-config --libs libpq jansson yaml-0.1 libdeflate libzstd sqlite3 libcrypto avro-c libcurl libmicrohttpd rdkafka) -pthread -lm
my_up "$kind" "$base/s" "$(my_free_port)" sync_binlog=0 innodb_flush_log_at_trx_commit=0 max_binlog_size=1G

last_log() { my_sql "$base/s" -N -e 'FLUSH BINARY LOGS; SHOW BINARY LOGS' | tail -1 | cut -f1; }

my_sql "$base/s" <<'SQL'
CREATE DATABASE b CHARACTER SET utf8mb4;
USE b;
CREATE TABLE t (id BIGINT UNSIGNED PRIMARY KEY, i INT, s SMALLINT, d DECIMAL(12,2), f DOUBLE, dt DATETIME(6), ts TIMESTAMP(3) NULL,
  v VARCHAR(64), e ENUM('new','paid','sent'), w VARCHAR(255));
CREATE TABLE small LIKE t;
DELIMITER //
CREATE PROCEDURE fill(n INT) BEGIN
  DECLARE k INT DEFAULT 0;
  WHILE k < n DO
    INSERT INTO small VALUES (k, k, k % 30000, k / 100, k / 7, '2024-02-29 12:34:56.789012', '2024-02-29 12:34:56.789', CONCAT('customer ', k), 1 + k % 3, 'some text of a row');
    IF k % 2 THEN UPDATE small SET i = i + 1, e = 'sent' WHERE id = k - 1; END IF;
    SET k = k + 1;
  END WHILE;
END//
DELIMITER ;
SQL
bulk=$(last_log)
my_sql "$base/s" b <<'SQL'
INSERT INTO t WITH RECURSIVE a AS (SELECT 0 x UNION ALL SELECT x + 1 FROM a WHERE x < 999)
  SELECT p.x * 1000 + q.x, p.x, q.x, q.x / 100, q.x / 7, '2024-02-29 12:34:56.789012', '2024-02-29 12:34:56.789', CONCAT('customer ', q.x), 1 + q.x % 3,
  CONCAT('some text of row ', q.x) FROM a p, a q;
SQL
small=$(last_log)
my_sql "$base/s" b -e 'CALL fill(70000)'
last_log >/dev/null
echo "bulk ($kind)"
"$base/mysql_decode" "$base/s/data/$bulk"
echo "small transactions ($kind)"
"$base/mysql_decode" "$base/s/data/$small"
