# Accounts: users, groups and passwords made and removed; su, sudo, chsh; a login shell of another user.
useradd -m -s /bin/bash alice
groupadd team
usermod -aG team alice
echo 'alice:a long passphrase' | chpasswd
id alice | grep -o team
su - alice -c 'id -un; umask; cd; pwd'
su alice -s /bin/sh -c 'echo by su'
echo 'alice ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/alice
chmod 440 /etc/sudoers.d/alice
su - alice -c 'sudo -n id -un; sudo -n -u nobody id -un; sudo -n sh -c "echo > /root/by-sudo; rm /root/by-sudo"'
echo 'a long passphrase' | su - alice -c 'sudo -k; sudo -S -p "" echo with a password' 2> /dev/null
sudo -u alice whoami
passwd -S alice | cut -d' ' -f1,2
chage -l alice > /dev/null
rm /etc/sudoers.d/alice
userdel -r alice
groupdel team
