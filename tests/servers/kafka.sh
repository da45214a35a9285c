# shellcheck shell=bash
# kafka.sh: throw-away Kafka brokers (KRaft) on loopback. Source it, then
#
#   kafka_fetch                         gets the broker's jars from Maven Central once; prints their folder
#   kafka_up LIB BASE ID PORT CPORT VOTERS [property=value...]
#                                       makes the node's log folder in BASE at the first call, starts it
#   kafka_wait BASE PORT                waits until it listens
#   kafka_down BASE...                  SIGTERM to all, then SIGKILL to what is left
#   kafka_crash BASE...                 SIGKILL
#
# Each node is broker and controller. VOTERS: 1@127.0.0.1:C1[,2@127.0.0.1:C2,3@...]; with three, factors are 3 and
# min.insync.replicas 2. A property given later in the line replaces the one below. KAFKA_HEAP (384m), KAFKA_FORMAT:
# more arguments of the
# storage tool (--add-scram ...), KAFKA_TIER (1: starts fast; 4: what a benchmark wants). BASE holds data/, log, pid, server.properties.
# Stop a group of three at once: the last of them would wait for a quorum for ever.

KAFKA_VERSION=4.3.1 # 4.4.0 is published incompletely
kafka_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

kafka_pom() {
    cat <<POM
<project><modelVersion>4.0.0</modelVersion><groupId>t</groupId><artifactId>kafka-broker</artifactId><version>1</version>
<packaging>pom</packaging><dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$KAFKA_VERSION</version></dependency>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>$KAFKA_VERSION</version></dependency>
<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
</dependencies></project>
POM
}

# The folder counts only with its mark, as in fetch.sh.
kafka_fetch() (
    set -e
    cache=${SIDESTREAM_CACHE:-$kafka_here/../../.cache}
    mkdir -p "$cache"
    cache=$(cd "$cache" && pwd)
    dest=$cache/kafka-$KAFKA_VERSION
    exec 9>"$dest.lock"
    flock 9
    if [ ! -e "$dest/.complete" ]; then
        echo "fetch: Kafka $KAFKA_VERSION" >&2
        rm -rf "$dest"
        mkdir -p "$dest"
        kafka_pom >"$dest/pom.xml"
        (cd "$dest" && "$kafka_here/mvn.sh" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=lib) >&2
        touch "$dest/.complete"
    fi
    echo "$dest/lib"
)

kafka_conf() { # ID PORT CPORT VOTERS BASE
    local n factor=1 isr=1
    n=$(tr -cd , <<<"$4" | wc -c)
    [ "$n" -lt 2 ] || factor=3 isr=2
    cat <<CONF
process.roles=broker,controller
node.id=$1
controller.quorum.voters=$4
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listeners=PLAINTEXT://127.0.0.1:$2,CONTROLLER://127.0.0.1:$3
advertised.listeners=PLAINTEXT://127.0.0.1:$2
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=$5/data
auto.create.topics.enable=false
default.replication.factor=$factor
min.insync.replicas=$isr
offsets.topic.replication.factor=$factor
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=$factor
transaction.state.log.min.isr=$isr
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=$factor
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
replica.lag.time.max.ms=3000
log.index.size.max.bytes=1048576
log.segment.bytes=67108864
log.segment.delete.delay.ms=1000
log.cleaner.dedupe.buffer.size=4194304
num.network.threads=2
num.io.threads=2
CONF
}

kafka_java=(java -XX:+UseSerialGC -XX:-UsePerfData -Dorg.slf4j.simpleLogger.defaultLogLevel=warn
    -Dorg.slf4j.simpleLogger.showDateTime=true)

kafka_up() {
    local lib=$1 base=$2 heap=${KAFKA_HEAP:-384m}
    mkdir -p "$base"
    if [ ! -f "$base/server.properties" ]; then
        kafka_conf "$3" "$4" "$5" "$6" "$base" >"$base/server.properties"
        printf '%s\n' "${@:7}" >>"$base/server.properties"
    fi
    if [ ! -f "$base/data/meta.properties" ]; then
        # shellcheck disable=SC2086  # a list of arguments
        "${kafka_java[@]}" -XX:TieredStopAtLevel=1 -cp "$lib/*" kafka.tools.StorageTool format -t AAAAAAAAQACAAAAAAAAAAQ \
            -c "$base/server.properties" ${KAFKA_FORMAT:-} >"$base/format.log" 2>&1 || { tail -5 "$base/format.log" >&2; return 1; }
    fi
    setsid "${kafka_java[@]}" -XX:TieredStopAtLevel="${KAFKA_TIER:-1}" "-Xms$heap" "-Xmx$heap" -cp "$lib/*" kafka.Kafka \
        "$base/server.properties" >>"$base/log" 2>&1 </dev/null 9>&- &
    echo $! >"$base/pid"
    disown $! # a shell that is told to kill it need not say so
}

kafka_wait() { # BASE PORT
    local pid
    pid=$(cat "$1/pid")
    for _ in $(seq 600); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$2") 2>/dev/null; then return 0; fi
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    tail -5 "$1/log" >&2
    return 1
}

kafka_signal() { # SIGNAL BASE...
    local base signal=$1
    for base in "${@:2}"; do
        [ ! -f "$base/pid" ] || kill "-$signal" "$(cat "$base/pid")" 2>/dev/null || true
    done
}

kafka_gone() { # TENTHS BASE...: whether all have ended within so many tenths of a second
    local base left=$1
    for base in "${@:2}"; do
        while [ -f "$base/pid" ] && kill -0 "$(cat "$base/pid")" 2>/dev/null; do
            [ "$left" -gt 0 ] || return 1
            left=$((left - 1))
            sleep 0.1
        done
    done
}

kafka_crash() {
    kafka_signal KILL "$@"
    kafka_gone 300 "$@" && rm -f "${@/%//pid}"
}

kafka_down() {
    kafka_signal CONT "$@"
    kafka_signal TERM "$@"
    kafka_gone 100 "$@" || true
    kafka_crash "$@"
}
