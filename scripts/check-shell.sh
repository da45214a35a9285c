#!/usr/bin/env bash
# check-shell.sh: every shell script of the tree.
set -eu
cd "$(dirname "$0")/.."
git ls-files '*.sh' .ci/run | xargs shellcheck -x -S warning
