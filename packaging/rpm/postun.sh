if [ -d /run/systemd/system ]; then
  systemctl daemon-reload || :
fi
if [ "$1" -eq 0 ]; then
  if [ -x /var/lib/lockc/lockc-runc-wrapper ]; then
    mv /var/lib/lockc/lockc-runc-wrapper /usr/bin/
    mkdir -p /etc/tmpfiles.d
    printf 'r! /usr/bin/lockc-runc-wrapper\nr! /etc/tmpfiles.d/lockc-removed.conf\n' > /etc/tmpfiles.d/lockc-removed.conf
    echo "lockc: /usr/bin/lockc-runc-wrapper stays until the next boot: running containers are stopped by it" >&2
  fi
  rm -rf /var/lib/lockc
fi
