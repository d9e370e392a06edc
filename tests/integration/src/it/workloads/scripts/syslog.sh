# rsyslog: messages by /dev/log, over UDP, and to a file.
cat > c <<C
module(load="imuxsock" SysSock.Use="off")
module(load="imudp")
input(type="imuxsock" Socket="$work/log.sock")
input(type="imudp" address="127.0.0.1" port="5514")
*.* action(type="omfile" file="$work/out")
C
rsyslogd -f "$work/c" -i "$work/pid"
patiently test -S log.sock
logger -u "$work/log.sock" -t one 'by the socket'
logger -n 127.0.0.1 -P 5514 -d -t two 'by the network'
patiently grep -q 'by the network' out
grep -oE 'by the (socket|network)' out | sort
kill "$(cat pid)"
patiently test ! -e pid
