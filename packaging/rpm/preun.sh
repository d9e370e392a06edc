if [ "$1" -eq 0 ]; then
  # An engine must not be left with a runtime that is gone.
  for engine in docker containerd crio podman; do
    /usr/bin/lockc uninstall "$engine" --restart || echo "lockc: $engine still names the lockc runtime: see above" >&2
  done
  # Containers that run stay confined, and their engine stops them by the wrapper: postun puts it back.
  if ! /usr/bin/lockc unload --if-idle; then
    cp -p /usr/bin/lockc-runc-wrapper /var/lib/lockc/ || :
  fi
  systemctl disable lockc.service || :
fi
