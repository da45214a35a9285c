#!/usr/bin/env bash
# torture.sh [ROUNDS] [SEED]: the crash, fault and random scenarios in their long form (make torture). MINUTES, or KILLS, of
# random faults in one long-lived pipeline on each of VERSIONS (15); then the scenarios of single faults, with ROUNDS
# kills of the sidecar (100) and as many other faults in proportion, ten minutes of a stalled sink. MINUTES=0: only those.
# SINK=kafka (make torture-kafka): a real broker is the sink; KILLS (100) and FAULTS (60) of the network between them.
# COPIES=100 (make torture-snapshot): instead so many random histories of copies on each of VERSIONS and SINKS (lake kafka).
# The seed is printed; what failed leaves logs, lake and replica in build/test-logs/.
set -u
cd "$(dirname "$0")/.." || exit 1
rounds=${1:-100} seed=${2:-$(date +%s)} rc=0
scripts/install.sh build test || exit 1
if [ -n "${COPIES:-}" ]; then
    echo "torture: $COPIES histories of copies, seed $seed"
    for version in ${VERSIONS:-15}; do
        for sink in ${SINKS:-lake kafka}; do
            .cache/venv/bin/python tests/torture/snapshot.py --sink "$sink" --histories "$COPIES" --seed "$seed" \
                --version "$version" --first "${FIRST:-0}" || rc=1
        done
    done
    exit $rc
fi
echo "torture: $rounds rounds, seed $seed"
how=()
if [ "${SINK:-lake}" = kafka ]; then
    how=(--sink kafka --faults "${FAULTS:-60}")
    [ -n "${MINUTES:-}" ] || KILLS=${KILLS:-100}
fi
[ -n "${KILLS:-}${MINUTES:-}" ] || how+=(--rounds "$rounds")
[ -z "${KILLS:-}" ] || how+=(--kills "$KILLS")
[ -z "${MINUTES:-}" ] || how+=(--minutes "$MINUTES")
if [ "${MINUTES:-}" != 0 ]; then
    for version in ${VERSIONS:-15}; do
        .cache/venv/bin/python tests/torture/run.py "${how[@]}" --seed "$seed" --version "$version" || rc=1
    done
fi
if [ "${SINK:-lake}" = kafka ]; then
    .cache/venv/bin/python tests/integration/run.py 'kafka_*' --rounds "$rounds" --seed "$seed" || rc=1
    exit $rc
fi
SIDESTREAM_STALL_SECONDS=${SIDESTREAM_STALL_SECONDS:-600} .cache/venv/bin/python tests/integration/run.py \
    'crash_*' disk_full fsync_errors server_crash connection_cut network_faults black_hole failover timeline restored_backup \
    slot_loss replica_equal memory --rounds "$rounds" --seed "$seed" || rc=1
exit $rc
