#!/bin/sh
# migrate.sh - from the schema of v1 to that of v2: a name becomes two.
#
# In two transactions: the copy, which takes long, and the exchange. A write
# between them would be lost; none runs. Killed anywhere, it can be run again.
set -eu
sql() { sqlite3 -bail -cmd '.timeout 20000' guests.db "$@"; }

echo "change-begins migrate" >>runs.log
schema=$(sql 'PRAGMA user_version')
case $schema in
1)
    sql <<'SQL'
BEGIN IMMEDIATE;
DROP TABLE IF EXISTS guests_next;
CREATE TABLE guests_next (id INTEGER PRIMARY KEY, first TEXT NOT NULL, last TEXT NOT NULL);
INSERT INTO guests_next
    SELECT id, substr(name, 1, instr(name || ' ', ' ') - 1), substr(name, instr(name || ' ', ' ') + 1)
    FROM guests;
COMMIT;

BEGIN IMMEDIATE;
DROP TABLE guests;
ALTER TABLE guests_next RENAME TO guests;
PRAGMA user_version = 2;
COMMIT;
SQL
    ;;
2) echo "the schema is that of v2 already" ;;
*) exit 1 ;;
esac
echo "change-ends migrate" >>runs.log
