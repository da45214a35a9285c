#!/usr/bin/env bash
# check-refusals.sh: every refusal (CDC_OPERATOR, CDC_RESNAPSHOT) of the sources has a row in docs/operations.md, and every
# row quotes words that a source says.
#
# A row's first cell holds `quotes`; `...` in one stands for anything. The text of a refusal is what string literals stand
# between CDC_OPERATOR and the end of its call or initializer, a conversion being a "...". A quote fits a text that has
# its parts in this order. Where the text is made elsewhere (`elsewhere` below), the quotes are told here.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec python3 - <<'PY'
import pathlib, re, sys

ELSEWHERE = {  # file whose refusals have no text of their own: what a row must quote for it
    "core/envelope/cells.c": ["holds a value that its Avro type cannot",
                              "is part of the key, and the source did not send it",
                              "is part of the key and holds a value that its Avro type cannot"],
    "connectors/lake/recover.c": ["the commit log is damaged or mixed from two lakes",
                                  "the commit record is damaged"],
    "connectors/kafka/errors.c": ["allow WRITE and DESCRIBE on the transactional id",
                                  "allow WRITE, DESCRIBE and (for topics that are made) CREATE",
                                  "check sasl.username, sasl.password, sasl.mechanisms",
                                  "set sink.transaction_timeout to at most",
                                  "the brokers are too old for transactions",
                                  "correct sink.topic_config", "correct sink.partitions",
                                  "the cluster's policy for topics refuses",
                                  "look at the topic's cleanup.policy and message.timestamp settings",
                                  "Kafka does not take this name of a topic"],
    "core/replica/sqlite.c": ["the replica is then built again from the feed's start"],
    "connectors/postgres/publication.c": ["has no usable replica identity",
                                          "and one of its partitions have different replica identities",
                                          "which is not in its replica identity"],
}
# Neither makes a refusal: they compare, or turn an action into an exit code.
NO_REFUSAL = re.compile(r"(==|!=|\bcase)\s*$")

def plain(text):
    return re.sub(r"\s+", " ", text.replace("`", "").replace('\\"', '"')).strip()

def literals(src, at):
    """The string literals from `at` to the end of the call or initializer around it."""
    depth, out, gap = 0, [], False
    while at < len(src):
        c = src[at]
        if c == '"':
            end = at + 1
            while src[end] != '"':
                end += 2 if src[end] == "\\" else 1
            out.append(("…" if gap and out else "") + src[at + 1:end])
            at, gap = end, False
        elif c in "({":
            depth += 1
        elif c in ")}":
            depth -= 1
            if depth < 0:
                break
        elif c == ";":
            break
        elif not c.isspace():
            gap = True  # a macro or an argument between two literals
        at += 1
    return "".join(out)

def fits(quote, text):
    at = 0
    for part in filter(None, (p.strip() for p in quote.split("..."))):
        at = text.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return True

quotes, place = set(), pathlib.Path("docs/operations.md")
section = place.read_text().split("## Refusals (exit 3)")[1].split("\n## ")[0]
for line in section.splitlines():
    if line.startswith("| `"):
        quotes |= {q for q in re.findall(r"`([^`]+)`", line.split(" | ")[0])}

bad, found, everything = [], 0, []
for path in sorted(p for d in ("core", "connectors") for p in pathlib.Path(d).rglob("*.c")):
    src = re.sub(r"/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m[0]), path.read_text(), flags=re.S)
    everything.append(plain(re.sub(r"%[-0-9.*]*[a-z]*[a-zA-Z]", "…", re.sub(r'"\s*"', "", src))))
    for m in re.finditer(r"\bCDC_(OPERATOR|RESNAPSHOT)\b", src):
        if NO_REFUSAL.search(src[:m.start()]):
            continue
        where = f"{path}:{src.count(chr(10), 0, m.start()) + 1}"
        text = plain(re.sub(r"%[-0-9.*]*(?:z|ll|l|h)?[a-zA-Z]|%", "…", literals(src, m.end())))
        found += 1
        if len(re.findall(r"[a-zA-Z]", text)) < 12:
            if str(path) not in ELSEWHERE:
                bad.append(f"{where}: a refusal without words of its own (\"{text}\"): say in this script where they are")
        elif not any(fits(q, text) for q in quotes):
            bad.append(f"{where}: no row in {place} quotes \"{text[:150]}\"")
for path, needed in ELSEWHERE.items():
    bad += [f"{path}: no row in {place} quotes \"{n}\"" for n in needed if n not in quotes]
bad += [f"{place}: no source says \"{q}\"" for q in sorted(quotes) if not any(fits(q, t) for t in everything)]

print("\n".join(bad + [f"{found} refusals, {len(quotes)} quotes, {len(bad)} amiss"]))
sys.exit(bool(bad) or found < 50)
PY
