#!/bin/sh
# cppcheck over the code, warnings are errors. Left out, with the reason:
#   missingIncludeSystem     it does not read the system's headers
#   normalCheckLevelMaxBranches  information, not a finding
#   unusedFunction           the contract in include/cdc is for connectors to come
#   constParameterCallback   ops and callbacks share one signature
#   variableScope            declarations stand where a reader looks for them
#   unusedStructMember       tables and contracts have members that one file does not use
#   checkersReport           information, not a finding
#   unmatchedSuppression     other versions know other names
set -eu
cd "$(dirname "$0")/.."
command -v cppcheck >/dev/null || { echo "cppcheck.sh: cppcheck is missing" >&2; exit 1; }
suppress=""
for name in $(sed -nE 's/^#   ([a-zA-Z]+)  .*/\1/p' "$0"); do
    suppress="$suppress --suppress=$name"
done
# shellcheck disable=SC2086
exec cppcheck --std=c11 --quiet --enable=warning,portability,performance --inline-suppr \
    --error-exitcode=1 -j 2 -Iinclude -Icore -D__linux__ -DCDC_VERSION='"0"' --include=scripts/analyzer.h \
    -icore/base/error.c $suppress core connectors
