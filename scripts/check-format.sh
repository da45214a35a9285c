#!/bin/sh
# Every .c and .h as clang-format-14 (Debian 12; other versions differ) would write it.
set -eu
cd "$(dirname "$0")/.."
command -v clang-format-14 >/dev/null || { echo "check-format: clang-format-14 is missing" >&2; exit 1; }
find include core connectors tests bench \( -name '*.c' -o -name '*.h' \) -print0 |
    xargs -0 clang-format-14 --dry-run -Werror
