# strace and gdb on programs of the container's own: started, attached to, and followed through fork.
strace -f -o trace sh -c 'echo traced; (true)'
grep -c 'write(1, "traced' trace
sleep 100 & p=$!
strace -p $p -o attach & s=$!
sleep 1
kill $s
grep -c . attach
printf 'int f(int n) { return n * 2; }\nint main(void) { return f(21) - 42; }\n' > a.c
gcc -g -o a a.c
gdb -q -batch -ex 'set startup-with-shell off' -ex 'break f' -ex run -ex 'print n' -ex continue ./a 2> /dev/null | grep -oE '^\$1.*|exited.*'
gdb -q -batch -p $p -ex 'info inferiors' -ex detach 2> /dev/null | grep -c sleep
head -c 0 /proc/$p/environ && tr '\0' ' ' < /proc/$p/cmdline; echo
ls /proc/$p/fd > /dev/null && readlink /proc/$p/cwd > /dev/null && echo readable
kill $p
