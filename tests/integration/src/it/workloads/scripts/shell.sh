# What shells do: jobs, pipes, fifos, locks, here-documents, traps, time limits.
(sleep 0.2; echo job) &
wait
mkfifo p
(echo through a fifo > p &)
cat p
flock f echo locked
timeout 0.3 sleep 5 || echo "timed out with $?"
trap 'echo trapped' USR1
kill -USR1 $$
yes | head -n 10000 | sort | uniq -c | sed 's/^ *//'
diff <(seq 3) <(seq 3) && echo same
echo "$(ulimit -n > n; test -s n && echo limits)"
find /usr/share -name '*.conf' -newermt 1990-01-01 > found; test -s found && echo found
