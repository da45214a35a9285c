#!/usr/bin/env bash
# run.sh: what we write, read by fastavro and Apache Avro for Python; what fastavro writes, read by us.
set -eu
cd "$(dirname "$0")/../.."
make -s -j2 build/release/tests/compat/avro_types
.cache/venv/bin/python tests/compat/avro_types.py build/release/tests/compat/avro_types
