if [ "$1" -eq 0 ]; then
  leave=
  case "${LOCKC_REMOVE:-}" in
    '') ;;
    force | keep-name) leave="--$LOCKC_REMOVE" ;;
    *)
      echo "lockc: LOCKC_REMOVE is neither force nor keep-name" >&2
      exit 1
      ;;
  esac
  # A container must not be left without the runtime that it was created with.
  stop=
  for engine in docker containerd crio podman; do
    status=0
    said=$(/usr/bin/lockc uninstall "$engine" --dry-run $leave 2>&1) || status=$?
    if [ "$status" -eq 3 ]; then
      echo "$said" >&2
      stop=yes
    fi
  done
  if [ -n "$stop" ]; then
    echo "lockc: the package is not removed; LOCKC_REMOVE=keep-name or LOCKC_REMOVE=force in the environment of the command removes it" >&2
    exit 1
  fi
  # An engine must not be left with a runtime that is gone.
  for engine in docker containerd crio podman; do
    /usr/bin/lockc uninstall "$engine" --restart $leave || echo "lockc: $engine still names the lockc runtime: see above" >&2
  done
  # Optional units that the administrator enabled.
  systemctl disable --now lockc-metrics.socket lockc-journal.service lockc-textfile.timer 2> /dev/null || :
  # Containers that run stay confined, and their engine stops them by the wrapper: postun puts it back.
  if ! /usr/bin/lockc unload --if-idle; then
    cp -p /usr/bin/lockc-runc-wrapper /var/lib/lockc/ || :
  fi
  systemctl disable lockc.service || :
fi
