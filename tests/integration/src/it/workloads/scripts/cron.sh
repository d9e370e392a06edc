# cron: jobs of root and of a user at its start, each through PAM and a shell of its own.
echo "@reboot root id -un > $work/root" > /etc/cron.d/lockc-test
echo "@reboot id -un > $work/user" | crontab -u user -
rm -f /run/crond.reboot /var/run/crond.reboot
cron -f > log 2>&1 & c=$!
patiently test -s root
patiently test -s user
cat root user
kill $c
crontab -u user -r
rm /etc/cron.d/lockc-test
