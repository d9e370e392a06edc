# supervisor: programs kept alive, restarted when killed, controlled through its unix socket.
echo "echo started >> $work/starts; while :; do sleep 1; done" > loop
cat > s.conf <<C
[supervisord]
logfile=$work/log
pidfile=$work/pid
childlogdir=$work
[unix_http_server]
file=$work/s
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://$work/s
[program:web]
command=busybox httpd -f -p 127.0.0.1:8085 -h $work
startsecs=0
[program:loop]
command=bash $work/loop
startsecs=0
C
supervisord -c s.conf 2> /dev/null
patiently test -s starts
pkill -9 -f "$work/loop"
patiently sh -c 'test "$(wc -l < starts)" = 2'
wc -l < starts
supervisorctl -c s.conf status | awk '{ print $1, $2 }'
kill "$(cat pid)"
patiently test ! -e pid
