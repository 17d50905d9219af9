# Devices of the host.
# output: refused

import os

opened = []
for name in ("mem", "kmem", "port", "kmsg", "sda", "vda", "nvme0n1", "kvm", "fuse", "loop0", "net/tun"):
    try:
        os.close(os.open(f"/dev/{name}", os.O_RDONLY))
        opened.append(name)
    except OSError:
        pass
print("ESCAPED" if opened else "refused", opened, sorted(os.listdir("/dev")))
