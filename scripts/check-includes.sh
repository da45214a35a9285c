#!/usr/bin/env bash
# The direction of includes: connectors see cdc/*.h and their own headers, the core sees no connector,
# and a client library's header stays where it is wrapped. Prints each breach; exits 1 if there is any.
set -euo pipefail
cd "${1:-$(dirname "$0")/..}"

includes() { # folders: "file:header" for each include in them
    find "$@" -name '*.[ch]' -print0 |
        xargs -0 grep -HoE '^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"][^>"]+' /dev/null |
        sed -E 's/:[[:space:]]*#[[:space:]]*include[[:space:]]*[<"]/:/' | sort -u
}

refuse() { # what: names what stands on standard input
    sed "s|^|check-includes: $1: |"
}

only() { # header pattern, place: the header nowhere else
    includes include core connectors | grep -E ":($1)$" | grep -v "^$2" | refuse "belongs in $2 only"
}

connector() { # its folder
    local header
    includes "$1" | grep -E ':(avro|base|cli|config|envelope|http|metrics|pipeline|registry|replica|connectors|\.\.)/' |
        refuse "a connector sees cdc/*.h and its own headers only"
    while IFS=: read -r file header; do
        if [ ! -e "$1/$header" ] && compgen -G "connectors/*/$header" >/dev/null; then
            echo "$file:$header" | refuse "is another connector's header"
        fi
    done < <(includes "$1")
}

breaches() {
    local folder
    for folder in connectors/*/; do
        connector "${folder%/}"
    done
    includes core include | grep connectors/ | grep -v '\.def$' | refuse "the core sees no connector"
    includes include | grep -E ':[^:]*/' | grep -vE ':(cdc|sys)/' | refuse "a public header sees public ones only"
    only 'librdkafka/.*' connectors/kafka/
    only 'libpq-fe\.h|libpq/.*|postgres_ext\.h' connectors/postgres/
    only 'mariadb/.*|mysql\.h|errmsg\.h' connectors/mysql/
    only 'sqlite3\.h' core/replica/
    only 'yaml\.h' core/config/yaml.c
    only 'avro\.h|avro/(basics|schema|value|io|generic)\.h' core/avro/check.c
    only 'curl/.*' 'core/\(registry/client\|http/ask\)\.c'
    only 'microhttpd\.h' core/http/
    only 'libdeflate\.h|zstd\.h' '\(core/avro/\|connectors/mysql/compress\.\)'
}

set +e +o pipefail # from here a grep that finds nothing is what is wanted
found=$(breaches)
[ -z "$found" ] || { printf '%s\n' "$found" >&2; exit 1; }
