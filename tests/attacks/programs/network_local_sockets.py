# Sockets of the daemon and of the host's programs.
# output: refused

import socket

opened = []
for path in (
    "/var/run/docker.sock",
    "/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/run/dbus/system_bus_socket",
    "\0/containerd-shim/moby/x/shim.sock@",
    "\0dbus",
):
    try:
        socket.socket(socket.AF_UNIX).connect(path)
        opened.append(path)
    except OSError:
        pass
names = [line.split()[-1] for line in open("/proc/net/unix") if "@" in line]
print("ESCAPED" if opened or names else "refused", opened, names)
