# Priorities, limits, affinity and signals of the container's own processes.
cp "$(command -v sleep)" snooze
./snooze 100 & p=$!
renice -n 5 -p $p > /dev/null; ps -o ni= -p $p | tr -d ' '
ionice -c 3 -p $p; ionice -p $p
chrt -p $p | grep -o SCHED_OTHER
chrt -b -p 0 $p && chrt -p $p | grep -o SCHED_BATCH
taskset -p $p | grep -c mask; taskset -cp 0 $p > /dev/null
prlimit --pid $p --nofile=512:1024; prlimit --pid $p --nofile --noheadings -o SOFT,HARD | tr -s ' '
nice -n 3 nice
kill -STOP $p; patiently grep -q 'State:.T' /proc/$p/status; kill -CONT $p
kill -0 $p && pkill -P $$ -x snooze; wait $p || echo "ended with $?"
user ./snooze 100 & patiently pgrep -x snooze; sleep 0.5; killall snooze && echo killed
setsid -w sh -c 'kill -TERM 0' || echo "group $?"
busybox adjtimex | grep -c status
