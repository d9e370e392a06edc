# OpenSSH's server run by an ordinary user, who logs in as himself by key.
user ssh-keygen -q -t ed25519 -N '' -f hostkey
user ssh-keygen -q -t ed25519 -N '' -f key
printf 'Port 2223\nListenAddress 127.0.0.1\nHostKey %s\nPidFile %s\nUsePAM no\nStrictModes no\nAuthorizedKeysFile %s\n' \
  "$work/hostkey" "$work/pid" "$work/key.pub" > conf
user /usr/sbin/sshd -f "$work/conf" -E "$work/log"
o=(-i key -o Port=2223 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR)
patiently user ssh "${o[@]}" user@127.0.0.1 true
user ssh "${o[@]}" user@127.0.0.1 'id -un; echo through ssh'
kill "$(cat pid)"
