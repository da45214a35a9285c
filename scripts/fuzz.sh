#!/usr/bin/env bash
# fuzz.sh SECONDS: runs every fuzz target for so long, from the corpus in tests/data. Build first: make fuzz-build.
set -u
cd "$(dirname "$0")/.." || exit 1
seconds=${1:-60} passed=0 failed=0
declare -A corpus=([pgoutput]=pgoutput [avro]=avro [row_schema]=row_schema [config]=config [lake_commit]=lake [schema]=registry)
for source in tests/fuzz/fuzz_*.c; do
    name=$(basename "$source" .c)
    short=${name#fuzz_}
    found=build/fuzz/found/$short
    mkdir -p "$found"
    seeds=tests/data/${corpus[$short]:-$short}
    [ -d "$seeds" ] || { echo "fuzz $short: no corpus in $seeds"; failed=$((failed + 1)); continue; }
    if build/fuzz/tests/fuzz/"$name" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 -verbosity=0 \
        -print_final_stats=1 -artifact_prefix="$found/crash-" "$found" "$seeds" >build/fuzz/"$short".log 2>&1; then
        echo "fuzz $short: ok, $(grep -o 'number_of_executed_units: *[0-9]*' build/fuzz/"$short".log | grep -o '[0-9]*$') runs"
        passed=$((passed + 1))
    else
        echo "fuzz $short: FAILED, see build/fuzz/$short.log"
        tail -n 40 build/fuzz/"$short".log
        failed=$((failed + 1))
    fi
done
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
