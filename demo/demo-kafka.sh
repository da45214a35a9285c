#!/usr/bin/env bash
# demo-kafka.sh: the same story as demo.sh with Kafka (make demo-kafka): a throw-away broker beside the throw-away PostgreSQL, one
# topic for each table. What consumers see is read by demo/consumer.py, an ordinary Python consumer (confluent-kafka, fastavro)
# that has nothing of ours, folded into a SQLite file, and compared with the database. Ends with 1 if anything disagrees.
# Needs Debian's packages, the broker's jars from Maven Central and two Python packages; it gets all of them.
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
out=$PWD/build/demo-kafka
# shellcheck source=demo/story.sh
. demo/story.sh
# shellcheck source=demo/postgres.sh
. demo/postgres.sh
# shellcheck source=tests/servers/kafka.sh
. tests/servers/kafka.sh

needs demo test
say "starting a throw-away Kafka $KAFKA_VERSION"
jars=$(kafka_fetch)
broker=$(pg_free_port) controller=$(pg_free_port)
at_end() { kafka_crash "$work/kafka"; }
at_end=at_end
kafka_up "$jars" "$work/kafka" 1 "$broker" "$controller" "1@127.0.0.1:$controller"
kafka_wait "$work/kafka" "$broker"
database
cat >"$out/demo.yaml" <<CONFIG
name: demo
source:
  type: $type
  url: $url
capture:
  - tables: shop.*
    envelope: row
sink:
  type: kafka
  brokers: 127.0.0.1:$broker
  partitions: 3
CONFIG
note "configuration: ${out#"$here"/}/demo.yaml"

consumer() { .cache/venv/bin/python demo/consumer.py "127.0.0.1:$broker" demo "$@"; }
progress_of() { consumer --count; }
business
say "an ordinary Python consumer reads the topics (read_committed)"
consumer --to "$out/replica.db" | tee "$out/consumer.txt" | while IFS= read -r text; do note "$text"; done
look
figure() { sed -n "s/^\([0-9]*\) $1.*/\1/p" "$out/consumer.txt"; }
compare_all consumer topics "$(figure "row changes")" "$(figure "rows copied")"
the_end
note "the consumer: demo/consumer.py   (what it folded: ${out#"$here"/}/replica.db; the topics went with the broker)"
