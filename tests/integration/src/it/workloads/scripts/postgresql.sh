# PostgreSQL: a cluster made, loaded by COPY, stopped, started again and asked; shared memory, parallel workers, unix socket.
export PATH=$PATH:$(echo /usr/lib/postgresql/*/bin) PGHOST=$work PGUSER=user PGDATABASE=postgres
user initdb -D "$work/data" -U user --auth=trust --no-sync > init.log
start() { user pg_ctl -D "$work/data" -w -t 120 -l "$work/log" -o "-k $work -h '' -c fsync=off" start > /dev/null; }
start
user psql -q -c 'create table t (n int primary key, what text)'
seq 5000 | awk '{ print $1 "\ttext " $1 }' | user psql -q -c 'copy t from stdin'
user psql -q -c 'set max_parallel_workers_per_gather = 2' -c 'set min_parallel_table_scan_size = 0' \
  -c 'set parallel_setup_cost = 0' -c "select count(*), sum(n) from t where what like 'text%'" -At
user pg_ctl -D "$work/data" -w -m fast stop > /dev/null
start
user psql -At -c 'select max(n) from t' -c 'update t set n = n + 5000 where n > 4990' -c 'vacuum analyze t'
user psql -At -c 'select max(n) from t'
user pg_dump -t t | grep -c '^COPY'
user pg_ctl -D "$work/data" -w -m fast stop > /dev/null
