# ping, ip, ss and sockets of several kinds in the container's own network.
ping -c 2 -i 0.2 127.0.0.1 | grep -o '2 received'
ip -br link | awk '{ print $1 }' | sed 's/@.*//' | sort
ip -4 route | grep -c default
ip neigh > /dev/null
busybox httpd -f -p 127.0.0.1:8086 -h "$work" & h=$!
patiently curl -s -o /dev/null http://127.0.0.1:8086/
ss -tln | grep -c 8086
ss -xan > /dev/null; ss -s > /dev/null
cat /proc/net/tcp /proc/net/dev /proc/net/route /proc/net/unix > /dev/null
cat /sys/class/net/eth0/mtu /sys/class/net/lo/operstate
socat UNIX-LISTEN:"$work/s",fork EXEC:'echo from the socket' & s=$!
patiently test -S s
# Its input is over at once: the answer may take longer than the half second that it waits by default.
socat -t 30 - UNIX-CONNECT:"$work/s"
socat -u ABSTRACT-LISTEN:lockc-own STDOUT > abstract & a=$!
sleep 1
echo abstract | socat -u - ABSTRACT-CONNECT:lockc-own
wait $a
cat abstract
getent hosts localhost > /dev/null && echo resolved
kill $h $s
