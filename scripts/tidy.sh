#!/usr/bin/env bash
# clang-tidy-14 with the short list of .clang-tidy. Files may be named; all otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v clang-tidy-14 >/dev/null || { echo "tidy.sh: clang-tidy-14 is missing" >&2; exit 1; }
read -ra flags < <(pkg-config --cflags libpq libmariadb jansson yaml-0.1 libdeflate libzstd sqlite3 libcrypto avro-c rdkafka)
flags+=(-std=gnu11 -Iinclude -Icore '-DCDC_VERSION="0"')
[ $# -gt 0 ] || mapfile -t found < <(find core connectors -name '*.c' | sort)
[ $# -gt 0 ] || set -- "${found[@]}"

run() { # extra flags; one file at a time, since a run over all of them keeps the memory of all
    xargs -r -P 2 -I{} clang-tidy-14 --quiet {} -- "${flags[@]}" "$@"
}
printf '%s\n' "$@" | { grep -v '^core/base/error\.c$' || true; } | run -include scripts/analyzer.h
printf '%s\n' "$@" | { grep '^core/base/error\.c$' || true; } | run
