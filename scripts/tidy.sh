#!/bin/sh
# clang-tidy-14 with the short list of .clang-tidy. Files may be named; all otherwise.
set -eu
cd "$(dirname "$0")/.."
command -v clang-tidy-14 >/dev/null || { echo "tidy.sh: clang-tidy-14 is missing" >&2; exit 1; }
flags="-std=gnu11 -Iinclude -Icore -DCDC_VERSION=\"0\"
    $(pkg-config --cflags libpq jansson yaml-0.1 libdeflate libzstd sqlite3 libcrypto avro-c)"
# shellcheck disable=SC2046
[ $# -gt 0 ] || set -- $(find core connectors -name '*.c' | sort)
run() { # flags on top; files on standard input. One at a time: a run over all keeps the memory of all
    # shellcheck disable=SC2086
    xargs -r -P 2 -I{} clang-tidy-14 --quiet {} -- $flags $1
}
printf '%s\n' "$@" | grep -v '^core/base/error\.c$' | run '-include scripts/analyzer.h'
printf '%s\n' "$@" | { grep '^core/base/error\.c$' || true; } | run ''
