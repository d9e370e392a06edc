# What an earlier removal left to be done at the next boot.
rm -f /etc/tmpfiles.d/lockc-removed.conf
if [ -d /run/systemd/system ]; then
  systemd-tmpfiles --create lockc.conf || :
  systemctl daemon-reload || :
fi
# Installed to be on at boot, the first time; afterwards the administrator's choice holds.
if [ "$1" -eq 1 ]; then
  systemctl enable lockc.service || :
fi
if [ -d /run/systemd/system ] && systemctl is-enabled --quiet lockc.service; then
  # Starting again replaces the programs of an older release without a gap.
  systemctl restart lockc.service || :
fi
if [ -d /run/systemd/system ]; then
  code=0
  /usr/bin/lockc status > /dev/null 2>&1 || code=$?
  # 4: the programs are loaded, and a container is in audit mode.
  if [ $code -ne 0 ] && [ $code -ne 4 ]; then
    echo "lockc: the programs are not loaded; no container starts under lockc until they are. Why, and what to do:" >&2
    /usr/bin/lockc doctor >&2 || :
  fi
fi
