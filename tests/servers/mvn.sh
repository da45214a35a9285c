#!/usr/bin/env bash
# mvn.sh ARGUMENT...: Maven, one at a time, since its folder in the user's home stands no two; three tries, since networks fail.
set -eu
mkdir -p "$HOME/.m2"
exec 8>"$HOME/.m2/sidestream.lock"
flock 8
for pause in 5 20 0; do
    mvn -q -B "$@" 8>&- && exit 0
    sleep "$pause"
done
exit 1
