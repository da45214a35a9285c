# shellcheck shell=bash
# story.sh: what the demos share; source it. A throw-away database with a shop (shop.sql) that has products and customers already, a
# sidecar that copies these and captures what follows, a day of business in two sessions with the sidecar killed in the middle of it,
# and the comparison of a SQLite file with the database.
#
# The caller sets `out` (a folder), sources the database (postgres.sh says what is wanted of one), writes $out/demo.yaml, and defines
# progress_of (a few words: how far the output is).
set -euo pipefail
: "${out:?}"
# shellcheck disable=SC2034  # the callers use it
here=$PWD
sidestream=$PWD/${BUILD:-build/release}/sidestream
orders=${DEMO_ORDERS:-4000} # of each session

bold='' plain=''
if [ -t 1 ]; then bold=$'\e[1m' plain=$'\e[0m'; fi
SECONDS=0
say() { printf '%s%3d s  %s%s\n' "$bold" "$SECONDS" "$*" "$plain"; }
note() { printf '       %s\n' "$*"; }
die() {
    printf 'demo: %s\n' "$*" >&2
    exit 1
}

pids=() work='' at_end=:
cleanup() {
    local p
    for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done
    $at_end || true
    database_down || true
    [ -z "$work" ] || rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

db() { sqlite3 -readonly "$out/replica.db" "$@"; }

needs() { # GROUP...: of scripts/install.sh
    say "installing what is missing, building"
    scripts/install.sh build "$@"
    make -s -j2 ${BUILD:+"BUILD=$BUILD"}
    [ -x "$sidestream" ] || die "make did not build $sidestream"
    rm -rf "$out"
    mkdir -p "$out"
    work=$(mktemp -d /tmp/sidestream-demo.XXXXXX)
    chmod 755 "$work"
}

# ---- the business, and the kill ----------------------------------------------------------------------

sidecar=
start_sidecar() {
    "$sidestream" run "$out/demo.yaml" 2>>"$out/sidecar.log" &
    sidecar=$!
    pids+=("$sidecar")
    for _ in $(seq 100); do
        kill -0 "$sidecar" 2>/dev/null || die "the sidecar ended; its log: $(tail -3 "$out/sidecar.log")"
        ! streaming || return 0
        sleep 0.1
    done
    die "the sidecar does not stream; its log: $(tail -3 "$out/sidecar.log")"
}

session() { # PART FIRST LAST
    sql "call shop.work($1, $2, $3)" &
    pids+=($!)
    workers+=($!)
}
progress() {
    local w placed total=$((2 * orders))
    for w in "${workers[@]}"; do
        while kill -0 "$w" 2>/dev/null; do
            placed=$(sql "select coalesce(max(id), 0) from shop.orders")
            note "about $placed of $total orders placed, $(progress_of)"
            sleep 1
        done
        wait "$w" || die "a session of the workload failed"
    done
    workers=()
}

before=0
opening() { # what is there before the sidecar
    say "the shop opens: its first products and customers"
    sql "call shop.open(0)" "call shop.open(1)"
    before=$(sql "select (select count(*) from shop.products) + (select count(*) from shop.customers)")
}
copied() { # waits until the four tables are copied
    for _ in $(seq 300); do
        [ "$(grep -c 'snapshot: table .* is copied' "$out/sidecar.log")" -lt 4 ] || return 0
        sleep 0.1
    done
    die "the rows are not copied; the sidecar's log: $(tail -3 "$out/sidecar.log")"
}

business() {
    opening
    say "checking, then copying these $before rows and capturing what follows"
    "$sidestream" check "$out/demo.yaml" >"$out/check.txt" || { cat "$out/check.txt"; die "sidestream check"; }
    start_sidecar
    copied
    judge

    say "two sessions do business: orders, shipments, price changes, cancellations, deletions, rollbacks"
    workers=()
    session 0 1 $((orders / 2))
    session 1 1 $((orders / 2))
    sleep 1.5
    say "kill -9 of the sidecar, in the middle of it"
    kill -9 "$sidecar"
    wait "$sidecar" 2>/dev/null || true
    note "$(progress_of); business goes on without it"
    sleep 1
    say "a column is added while it is away, and the sidecar started again"
    sql "alter table shop.customers add column points int"
    start_sidecar
    progress
    sql "update shop.customers set points = 10 * (id % 7), updated_at = now()"
    session 0 $((orders / 2 + 1)) "$orders"
    session 1 $((orders / 2 + 1)) "$orders"
    progress
    sql "delete from shop.customers where id % 40 = 7"

    say "business is over: SIGTERM, and what is left is drained"
    kill "$sidecar"
    wait "$sidecar" || die "the sidecar ended with $?; its log: $(tail -3 "$out/sidecar.log")"
    "$sidestream" run "$out/demo.yaml" --until-caught-up 2>>"$out/sidecar.log" ||
        die "run --until-caught-up: $(tail -3 "$out/sidecar.log")"
}

# ---- what a consumer sees, and whether it is true ------------------------------------------------------

newest() { # TABLE COLUMNS: the last rows that live, and the last that were deleted
    note "$1"
    db -box "select $2, __deleted as deleted, substr(__deleted_at, 12, 8) as deleted_at, substr(__updated_at, 12, 8) as updated_at from (
      select * from (select * from \"$1\" where not __deleted order by __seq desc limit 5)
      union all select * from (select * from \"$1\" where __deleted order by __seq desc limit 4))"
}
look() {
    say "two tables as a consumer sees them"
    echo
    newest shop.customers "id, name, city, points"
    newest shop.orders "id, customer_id, status, total"
    echo
    note "deleted rows stay, marked and with their last known values"
}

bad=0
line() { printf '       %-17s %8s %-14s %8s %-14s %8s   %s\n' "$@"; }
compare() { # TABLE COLUMNS-IN-SQL COLUMNS-IN-SQLITE
    local table=$1 theirs ours n m d verdict=same
    theirs=$(rows_of "select $2 from $table" | LC_ALL=C sort | md5sum | cut -c1-12)
    ours=$(db -nullvalue NULL "select $3 from \"$table\" where not __deleted" | LC_ALL=C sort | md5sum | cut -c1-12)
    n=$(sql "select count(*) from $table")
    m=$(db "select count(*) from \"$table\" where not __deleted")
    d=$(db "select count(*) from \"$table\" where __deleted")
    [ "$n $theirs" = "$m $ours" ] || { verdict=DIFFERENT bad=1; }
    line "$table" "$n" "$theirs" "$m" "$ours" "$d" "$verdict"
}
compare_all() { # COPY PLACE COUNT READ: what the copy is called, where the captured row changes are, how many, how many rows read
    local same committed verdict=same
    say "compared with the database, row for row"
    printf '       %-17s %8s %-14s %8s %-14s %8s\n' table database md5 "$1" md5 deleted
    same="id, name, email, city, points"
    compare shop.customers "$same, $(iso updated_at)" "$same, updated_at"
    compare shop.products "id, name, price, description" "id, name, price, description"
    same="id, customer_id, status, total"
    compare shop.orders "$same, $(iso placed_at)" "$same, placed_at"
    same="order_id, line, product_id, quantity, price"
    compare shop.order_items "$same" "$same"
    committed=$(judged) # each must have been captured, once
    [ "$committed" = "$3" ] || { verdict=DIFFERENT bad=1; }
    line "row changes" "$committed" "committed" "$3" "in the $2" "" "$verdict"
    # The rows of before: each read once, some twice if the kill came into the copy.
    verdict=same
    [ "$4" -ge "$before" ] || { verdict=DIFFERENT bad=1; }
    line "rows of before" "$before" "at the start" "$4" "copied" "" "$verdict"
}
the_end() {
    "$sidestream" fsck "$out/demo.yaml" >"$out/fsck.txt" 2>&1 || { cat "$out/fsck.txt"; bad=1; }
    "$sidestream" drop "$out/demo.yaml" --yes >/dev/null 2>>"$out/sidecar.log" ||
        { note "drop failed: $(tail -1 "$out/sidecar.log")"; bad=1; }
    [ $bad = 0 ] || die "the database and what was captured disagree (above); everything is in $out"
    echo
    say "nothing lost, nothing doubled"
}
