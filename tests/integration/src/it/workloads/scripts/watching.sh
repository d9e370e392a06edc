# inotify: tail -F over a rotation, and inotifywait.
echo first > log
tail -n +1 -F log > seen 2> /dev/null & t=$!
patiently grep first seen
mv log log.1; echo second > log
patiently grep second seen
kill $t
inotifywait -q -e close_write --format '%f %e' -t 60 "$work" > event & i=$!
sleep 1
echo x > watched
wait $i
cat event seen
