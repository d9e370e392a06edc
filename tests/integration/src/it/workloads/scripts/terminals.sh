# Pseudo-terminals: script, tmux, stty.
script -qec 'test -t 0 && stty size > /dev/null && echo a terminal' /dev/null < /dev/null | tr -d '\r'
export TMUX_TMPDIR=$work TERM=screen
tmux -f /dev/null new-session -d -x 80 -y 24 'echo inside tmux; sleep 100'
patiently sh -c 'tmux capture-pane -p | grep -q inside'
tmux capture-pane -p | head -n 1
tmux kill-server
