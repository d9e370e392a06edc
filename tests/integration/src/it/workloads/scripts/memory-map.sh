# SQLite with its database mapped into memory, a write-ahead log in shared memory, and four writers at once.
sqlite3 d.db 'pragma journal_mode = wal; create table t (n integer, what text);' > /dev/null
sqlite3 d.db 'pragma mmap_size = 268435456; with recursive c(n) as (select 1 union all select n + 1 from c where n < 20000)
  insert into t select n, hex(randomblob(20)) from c; select count(*), sum(n) from t;'
for w in 1 2 3 4; do
  sqlite3 -cmd '.timeout 60000' d.db "insert into t values (-$w, 'writer');" &
done
wait
sqlite3 d.db "select count(*) from t where what = 'writer'; pragma integrity_check; vacuum;"
