#!/usr/bin/env bash
# test-readers.sh [PATTERN...]: installs readers that are not ours and compares what they make of a lake with what SQL says.
# Into .cache/readers: a venv with DuckDB, Polars and Spark, the jars of avro-tools and spark-avro; 0.7 GB, once.
# The last line counts: N passed, N failed, N skipped. SKIP_INSTALL=1 trusts that everything is installed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
dir=.cache/readers
jars=(org.apache.avro:avro-tools:1.12.2 org.apache.spark:spark-avro_2.12:3.5.7)

fail() {
    echo "test-readers: $*" >&2
    echo "0 passed, 1 failed, 0 skipped"
    exit 1
}

venv() {
    local want python=python3
    [ ! -x /usr/bin/python3 ] || python=/usr/bin/python3
    want=$(sha256sum tests/readers/requirements.txt)
    [ "$(cat "$dir/made-from" 2>/dev/null)" != "$want" ] || return 0
    echo "test-readers: $dir from tests/readers/requirements.txt"
    mkdir -p .cache
    "$dir/bin/python" -c 'import pip' 2>/dev/null || "$python" -m venv --clear "$dir" || fail "python3 -m venv failed"
    "$dir/bin/python" -m pip install -q --disable-pip-version-check --no-cache-dir -r tests/readers/requirements.txt ||
        fail "pip could not install tests/readers/requirements.txt"
    # DuckDB looks for extensions below HOME; the snippets get this one.
    mkdir -p "$dir/home"
    HOME=$PWD/$dir/home "$dir/bin/python" -c 'import duckdb_extensions as x; x.import_extension("avro")' ||
        fail "DuckDB's avro extension could not be installed"
    echo "$want" >"$dir/made-from"
}

jar() { # jar GROUP:ARTIFACT:VERSION
    local name=${1#*:}
    name=${name/:/-}.jar
    [ -s "$dir/jars/$name" ] && return 0
    echo "test-readers: $name"
    mvn -q -B dependency:copy -Dartifact="$1" -DoutputDirectory="$PWD/$dir/jars" >&2 || fail "Maven could not fetch $1"
}

if [ -z "${SKIP_INSTALL:-}" ]; then
    scripts/install.sh build test || fail "scripts/install.sh failed"
    # What is there may be Maven with a Java of its own.
    command -v java >/dev/null || fail "no java; install default-jre-headless"
    venv
    for artifact in "${jars[@]}"; do jar "$artifact"; done
fi
.cache/venv/bin/python tests/readers/run.py "$@"
