#!/usr/bin/env bash
# torture.sh [ROUNDS] [SEED]: the crash, fault and random scenarios in their long form (make torture). ROUNDS kills of the
# sidecar (100), as many faults of each other kind in proportion, ten minutes of a stalled sink. The seed is printed.
set -eu
cd "$(dirname "$0")/.."
rounds=${1:-100} seed=${2:-$(date +%s)}
scripts/install.sh build test
echo "torture: $rounds rounds, seed $seed"
SIDESTREAM_STALL_SECONDS=${SIDESTREAM_STALL_SECONDS:-600} exec .cache/venv/bin/python tests/integration/run.py \
    'crash_*' disk_full server_crash connection_cut replica_equal memory --rounds "$rounds" --seed "$seed"
