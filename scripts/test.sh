#!/usr/bin/env bash
# test.sh: installs what the tests need and runs all of them. The last line counts: N passed, N failed, N skipped.
# Parts: lint build packaging unit threads live compat integration sanitized fuzz. `scripts/test.sh PART...` runs some.
# Not among them: integration-asan, integration-tsan (all scenarios with a sanitizer's binary).
# SKIP_INSTALL=1 trusts that everything is installed.
set -u
cd "$(dirname "$0")/.." || exit 1
parts=${*:-lint build packaging unit threads live compat integration sanitized fuzz}
logs=build/test-logs
mkdir -p "$logs"
passed=0 failed=0 skipped=0

say() { printf '\n== %s (%(%H:%M:%S)T)\n' "$1" -1; }

# check NAME COMMAND...: one test that is a command.
check() {
    local name=$1
    shift
    if "$@" >"$logs/$name.log" 2>&1; then
        echo "ok    $name"
        passed=$((passed + 1))
    else
        echo "FAIL  $name"
        tail -n 40 "$logs/$name.log"
        failed=$((failed + 1))
    fi
}

# count NAME RC FILE: adds up cmocka's summaries in FILE; a program that died counts as a failure.
count() {
    local name=$1 rc=$2 file=$3 ok bad
    ok=$(grep -c '^\[       OK \]' "$file")
    bad=$(grep -c '^\[  FAILED  \] [A-Za-z]' "$file")
    skipped=$((skipped + $(grep -c '^\[  SKIPPED \]' "$file")))
    [ "$rc" -ne 0 ] && [ "$bad" -eq 0 ] && bad=1
    passed=$((passed + ok)) failed=$((failed + bad))
    if [ "$rc" -eq 0 ] && [ "$bad" -eq 0 ]; then
        echo "ok    $name: $ok tests"
    else
        echo "FAIL  $name: $ok passed, $bad failed"
        grep -vE '^\[( RUN|       OK)' "$file" | head -n 60
    fi
}

# totals NAME RC FILE: adds the line "N passed, N failed, N skipped" that a driver ends with.
totals() {
    local line
    line=$(grep -E '^[0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?$' "$3" | tail -n 1)
    if [ -z "$line" ]; then
        echo "FAIL  $1: ended without a count (exit $2)"
        tail -n 40 "$3"
        failed=$((failed + 1))
        return
    fi
    read -r -a n <<<"$line"
    passed=$((passed + n[0])) failed=$((failed + n[2])) skipped=$((skipped + ${n[4]:-0}))
    [ "$2" -eq 0 ] || [ "${n[2]}" -gt 0 ] || { echo "FAIL  $1: exit $2"; failed=$((failed + 1)); }
}

unit_in() { # unit_in MODE ONLY LABEL
    local build=build/${1//,/-}
    if ! make -s -j2 SANITIZE="$1" ONLY="$2" BUILD="$build" unit-build >"$logs/$3-build.log" 2>&1; then
        echo "FAIL  $3 does not build"
        tail -n 40 "$logs/$3-build.log"
        failed=$((failed + 1))
        return
    fi
    local t name rc
    for t in "$build"/tests/unit/test_*; do
        case $t in *.o | *.d) continue ;; esac
        name=$(basename "$t")
        [ -f "tests/unit/$name.c" ] || continue
        [ "$2" = '*' ] || [[ " $2 " == *" ${name#test_} "* ]] || continue
        timeout 300 "$t" >"$logs/$3-$name.log" 2>&1
        rc=$?
        count "$3 $name" $rc "$logs/$3-$name.log"
    done
}

# integration_in SANITIZE [PATTERN...]: the scenarios with the binary of that sanitizer.
integration_in() {
    local sanitize=$1 name=sanitized-${1%%,*}
    shift
    check "$name-build" make -s -j2 SANITIZE="$sanitize" BUILD="build/${sanitize//,/-}" all
    .cache/venv/bin/python tests/integration/run.py --sanitizer "$sanitize" "$@" 2>&1 | tee "$logs/$name.log"
    totals "$name" "${PIPESTATUS[0]}" "$logs/$name.log"
}

if [ -z "${SKIP_INSTALL:-}" ]; then
    say install
    scripts/install.sh build test demo || { echo "0 passed, 1 failed, 0 skipped"; exit 1; }
fi
for part in $parts; do
    say "$part"
    case $part in
    lint)
        for name in check-format check-headers check-includes cppcheck tidy check-shell; do
            check "$name" scripts/$name.sh
        done
        ;;
    build)
        check build-gcc make -s -j2 all
        check build-clang make -s -j2 CC=clang-14 BUILD=build/clang all
        check docs-configuration bash -c 'build/release/sidestream docs configuration | diff -u docs/configuration.md -'
        ;;
    packaging)
        tests/packaging/run.sh 2>&1 | tee "$logs/packaging.log"
        totals packaging "${PIPESTATUS[0]}" "$logs/packaging.log"
        ;;
    unit) unit_in address,undefined '*' unit ;;
    threads) unit_in thread 'base pipeline contract' threads ;;
    live)
        check live-build make -s -j2 SANITIZE=address,undefined BUILD=build/address-undefined live
        timeout 600 tests/live/run.sh build/address-undefined >"$logs/live.log" 2>&1
        count live $? "$logs/live.log"
        ;;
    compat)
        check compat-avro tests/compat/run.sh
        ;;
    integration-asan) integration_in address,undefined ;;
    integration-tsan) integration_in thread ;;
    sanitized) # a handful of both in every run of the tests; the parts above have all
        integration_in address,undefined basic crash_random fsync_errors toast
        integration_in thread crash_random connection_cut
        ;;
    integration)
        .cache/venv/bin/python tests/integration/run.py 2>&1 | tee "$logs/integration.log"
        totals integration "${PIPESTATUS[0]}" "$logs/integration.log"
        ;;
    fuzz)
        check fuzz-build make -s -j2 fuzz-build
        scripts/fuzz.sh "${FUZZ_SECONDS:-15}" 2>&1 | tee "$logs/fuzz.log"
        totals fuzz "${PIPESTATUS[0]}" "$logs/fuzz.log"
        ;;
    *)
        echo "no such part: $part"
        exit 2
        ;;
    esac
done
printf '\n%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ]
