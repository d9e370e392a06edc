# tini as a sub-reaper: orphans collected, a signal handed on, the exit status kept.
tini -s -- bash -c 'for n in 1 2 3; do (sleep 0.1 &) ; done; sleep 1; ps -eo ppid,stat | awk -v p=$PPID "\$1 == p && /Z/" | wc -l'
tini -s -- bash -c 'trap "exit 9" TERM; kill -TERM $PPID; while :; do sleep 0.1; done' || echo "status $?"
