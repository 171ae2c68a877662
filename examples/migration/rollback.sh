#!/bin/sh
# rollback.sh - back to the schema of v1, with all that was written to that of
# v2. However far migrate.sh came; killed anywhere, it can be run again.
set -eu
sql() { sqlite3 -bail -cmd '.timeout 20000' guests.db "$@"; }

echo "change-begins rollback" >>runs.log
schema=$(sql 'PRAGMA user_version')
case $schema in
2)
    sql <<'SQL'
BEGIN IMMEDIATE;
CREATE TABLE guests_before (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
INSERT INTO guests_before SELECT id, rtrim(first || ' ' || last) FROM guests;
DROP TABLE guests;
ALTER TABLE guests_before RENAME TO guests;
PRAGMA user_version = 1;
COMMIT;
SQL
    ;;
1) sql 'DROP TABLE IF EXISTS guests_next' ;;
*) exit 1 ;;
esac
echo "change-ends rollback" >>runs.log
