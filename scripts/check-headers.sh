#!/bin/sh
# Every header compiles alone, with gcc and with clang: it includes all that it needs.
set -eu
cd "$(dirname "$0")/.."
flags="-std=gnu11 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -Iinclude -Icore
    $(pkg-config --cflags libpq libmariadb jansson yaml-0.1 libdeflate libzstd sqlite3 libcrypto avro-c)"
failed=0
for header in $(find include core connectors -name '*.h' | sort); do
    for cc in gcc clang-14; do
        # As an included file, so that what is static and unused in it is no warning.
        # shellcheck disable=SC2086
        printf '#include "%s"\ntypedef int not_empty;\n' "$PWD/$header" |
            $cc $flags -I"$(dirname "$header")" -x c - || { echo "check-headers: $header ($cc)" >&2; failed=1; }
    done
done
exit $failed
