# shellcheck shell=bash
# registry.sh: a throw-away schema registry (Apicurio, which speaks Confluent's API) on loopback. Source it, then
#
#   registry_fetch            gets its program from Maven Central once; prints the folder
#   registry_up APP BASE PORT starts it; BASE holds log, pid and, durable over restarts, the schemas
#   registry_wait BASE PORT   waits until it answers
#   registry_down BASE...     SIGTERM, then SIGKILL
#
# The URL for a client is http://127.0.0.1:PORT/apis/ccompat/v7. Its default level is NONE (Confluent: BACKWARD).

REGISTRY_VERSION=2.6.13.Final
registry_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# The folder counts only with its mark, as in fetch.sh.
registry_fetch() (
    set -e
    cache=${SIDESTREAM_CACHE:-$registry_here/../../.cache}
    mkdir -p "$cache"
    cache=$(cd "$cache" && pwd)
    dest=$cache/apicurio-$REGISTRY_VERSION
    exec 9>"$dest.lock"
    flock 9
    if [ ! -e "$dest/.complete" ]; then
        echo "fetch: Apicurio Registry $REGISTRY_VERSION" >&2
        rm -rf "$dest"
        mkdir -p "$dest/app"
        "$registry_here/mvn.sh" dependency:copy "-Dartifact=io.apicurio:apicurio-registry-app:$REGISTRY_VERSION:tar.gz:all" \
            "-DoutputDirectory=$dest" >&2
        tar xzf "$dest"/*.tar.gz -C "$dest/app"
        rm "$dest"/*.tar.gz
        touch "$dest/.complete"
    fi
    echo "$dest/app"
)

registry_up() {
    local app=$1 base=$2 port=$3
    mkdir -p "$base"
    (cd "$app" && exec setsid java -Xmx256m -XX:+UseSerialGC -XX:-UsePerfData -XX:TieredStopAtLevel=1 \
        -Dquarkus.http.host=127.0.0.1 "-Dquarkus.http.port=$port" \
        "-Dquarkus.datasource.jdbc.url=jdbc:h2:file:$base/db;DB_CLOSE_ON_EXIT=FALSE" \
        -jar "apicurio-registry-app-$REGISTRY_VERSION-runner.jar" >>"$base/log" 2>&1 </dev/null 9>&-) &
    echo $! >"$base/pid"
}

registry_wait() { # BASE PORT
    local pid
    pid=$(cat "$1/pid")
    for _ in $(seq 600); do
        ! curl -sf -o /dev/null "http://127.0.0.1:$2/apis/ccompat/v7/subjects" || return 0
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    tail -5 "$1/log" >&2
    return 1
}

registry_down() {
    local base pid left
    for base in "$@"; do
        [ -f "$base/pid" ] || continue
        pid=$(cat "$base/pid")
        kill "$pid" 2>/dev/null || true
        for ((left = 100; left > 0; left--)); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        kill -9 "$pid" 2>/dev/null || true
        rm -f "$base/pid"
    done
}
