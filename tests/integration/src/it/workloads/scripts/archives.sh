# tar, rsync and cp with owners, modes, hard links, sparse files, extended attributes and access lists.
mkdir -p a/d
echo x > a/f
ln a/f a/hard
ln -s f a/soft
chmod 2750 a/d
truncate -s 1M a/sparse
setfattr -n user.note -v text a/f
setfacl -m u:1234:r a/f
if [ "$(id -u)" = 0 ]; then
  chown 1234:2345 a/d
  cp /usr/bin/true a/cap
  setcap cap_net_bind_service+ep a/cap
  mkfifo a/fifo
  mknod a/null c 1 3
  echo gone > a/null
fi
tar -C a --xattrs --xattrs-include='*' --acls -czf t.tgz .
mkdir b
tar -C b --xattrs --xattrs-include='*' --acls -xzf t.tgz
rsync -aHAXS b/ c/
cp -a c d
for x in a b c d; do (cd $x && find . -printf '%p %y %m %n %s %U %G\n' | sort | grep -v -E '^\. | d |^./d ') > $x.list; done
for x in b c d; do diff a.list $x.list && echo "$x like a"; done
getfattr --only-values -n user.note d/f
getfacl -p d/f | grep user:1234
if [ "$(id -u)" = 0 ]; then
  stat -c '%u:%g %a' d/d | grep -qx '1234:2345 2750'
  getcap d/cap | grep -q cap_net_bind_service=ep
  test -c d/null -a -p d/fifo
fi
rsync -a --delete a/d/ d/
echo archived
