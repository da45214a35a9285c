#!/bin/bash
# Run once by the postgres image: a table, a role with no more rights than streaming needs, and the publication.
set -euo pipefail
psql -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d "$POSTGRES_DB" -v password="$CDC_PASSWORD" <<'SQL'
create table users (id bigint generated always as identity primary key, email text, deleted_at timestamptz);
create role cdc login replication password :'password';
create publication sidestream_shop for all tables
    with (publish = 'insert, update, delete, truncate', publish_via_partition_root = true);
SQL
