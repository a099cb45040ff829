#!/bin/sh
# Becomes a streaming replica: copies the primary once, then follows it and answers whoever only reads.
# PGHOST, PGUSER and PGPASSWORD say whom to follow, PGDATA where the copy lies.
set -eu

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    # A copy that was cut off must not be taken for a whole one, so it gets its name last.
    draft="$PGDATA.draft"
    rm -rf "$draft"
    mkdir -p "$(dirname "$PGDATA")"
    pg_basebackup --pgdata="$draft" --slot=replica --wal-method=stream --checkpoint=fast --write-recovery-conf
    mv "$draft" "$PGDATA"
fi
# The password stands in the copy's own configuration; the server's environment need not hold it.
unset PGPASSWORD PGHOST PGUSER
exec postgres -D "$PGDATA" "$@"
