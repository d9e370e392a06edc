# A session bus of one's own: activation by dbus-run-session, names, a signal.
dbus-run-session -- sh -ec '
dbus-send --session --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.RequestName string:org.example.A uint32:0 | tail -n 1
dbus-send --session --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.ListNames | grep -c org.freedesktop.DBus'
