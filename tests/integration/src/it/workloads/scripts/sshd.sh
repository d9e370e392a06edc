# OpenSSH's server with PAM: a login by key, a terminal, files copied, a forwarded port, privilege separation.
mkdir -p /run/sshd
ssh-keygen -q -t ed25519 -N '' -f hostkey
ssh-keygen -q -t ed25519 -N '' -f key
useradd -m -s /bin/bash bob
install -d -m 700 -o bob -g bob /home/bob/.ssh
install -m 600 -o bob -g bob key.pub /home/bob/.ssh/authorized_keys
printf 'Port 2222\nListenAddress 127.0.0.1\nHostKey %s\nPidFile %s\nUsePAM yes\nSubsystem sftp internal-sftp\n' "$work/hostkey" "$work/pid" > conf
/usr/sbin/sshd -f "$work/conf" -E "$work/log"
o=(-i key -o Port=2222 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR)
patiently ssh "${o[@]}" bob@127.0.0.1 true
ssh "${o[@]}" bob@127.0.0.1 'id -un; pwd; echo through ssh'
ssh "${o[@]}" -tt bob@127.0.0.1 'tty > /dev/null && echo terminal' | tr -d '\r'
echo copied > f
scp -q "${o[@]}" f bob@127.0.0.1:g
ssh "${o[@]}" bob@127.0.0.1 cat g
kill "$(cat pid)"
patiently test ! -e pid
userdel -rf bob 2> /dev/null
