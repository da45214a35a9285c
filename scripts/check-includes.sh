#!/bin/sh
# The direction of includes (docs/architecture.md): connectors see cdc/*.h and their own headers,
# the core sees no connector, and a client library's header stays where it is wrapped.
set -eu
cd "$(dirname "$0")/.."
failed=0

includes() { # files: "file:header" for each include
    grep -HoE '^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"][^>"]+' "$@" /dev/null |
        sed -E 's/:[[:space:]]*#[[:space:]]*include[[:space:]]*[<"]/:/'
}

refuse() { # what: prints what stands on standard input, if anything does
    found=$(cat)
    [ -z "$found" ] || { printf '%s\n' "$found" | sed "s|^|check-includes: $1: |" >&2; failed=1; }
}

only() { # header pattern, place pattern: the header nowhere else
    includes $sources | grep -E ":($1)$" | grep -vE "^($2)" | refuse "belongs in $2 only" || true
}

sources=$(find include core connectors -name '*.c' -o -name '*.h')

for folder in connectors/*/; do
    name=$(basename "$folder")
    includes $(find "$folder" -name '*.[ch]') | grep '/' |
        grep -E ':(avro|base|cli|config|envelope|pipeline|registry|replica|connectors|\.\.)/' |
        refuse "connector $name includes what is not its own nor cdc/" || true
    for header in $(includes $(find "$folder" -name '*.[ch]') | grep -E '\.h$' | sed 's/.*://' | sort -u); do
        case $header in */*) continue ;; esac
        [ -e "$folder$header" ] || ! ls connectors/*/"$header" >/dev/null 2>&1 ||
            echo "$folder: $header" | refuse "includes another connector's header"
    done
done
includes $(find core include -name '*.[ch]') | grep -E 'connectors/' | grep -vE '\.def$' |
    refuse "the core includes a connector" || true
includes $(find include -name '*.h') | grep -E ':[^<]*/' | grep -vE ':(cdc|sys)/' |
    refuse "a public header includes a private one" || true

only 'libpq-fe\.h|libpq/.*|postgres_ext\.h' connectors/postgres/
only 'sqlite3\.h' core/replica/
only 'yaml\.h' core/config/yaml.c
only 'avro\.h|avro/(basics|schema|value|io|generic)\.h' core/avro/
only 'libdeflate\.h|zstd\.h' core/avro/
exit $failed
