# Settings of the kernel, of the cgroups, of the host's hardware.
# output: refused

import os

wrote = []
for path, text in (
    ("/proc/sys/kernel/core_pattern", "|/tmp/x"),
    ("/proc/sys/kernel/hostname", "x"),
    ("/proc/sys/vm/overcommit_memory", "1"),
    ("/proc/sys/net/ipv4/ip_forward", "1"),
    ("/proc/sysrq-trigger", "h"),
    ("/proc/irq/0/smp_affinity", "1"),
    ("/sys/kernel/uevent_helper", "/tmp/x"),
    ("/sys/kernel/mm/transparent_hugepage/enabled", "never"),
    ("/proc/1/oom_score_adj", "1000"),
    ("/proc/self/uid_map", "0 0 1"),
):
    try:
        with open(path, "w") as file:
            file.write(text)
        wrote.append(path)
    except OSError:
        pass
for folder, folders, names in os.walk("/sys/fs/cgroup"):
    for name in names:
        if name in ("cgroup.procs", "tasks", "release_agent", "notify_on_release", "pids.max"):
            try:
                with open(os.path.join(folder, name), "w") as file:
                    file.write("0")
                wrote.append(os.path.join(folder, name))
            except OSError:
                pass
    try:
        os.mkdir(os.path.join(folder, "x"))
        wrote.append(folder)
    except OSError:
        pass
print("ESCAPED" if wrote else "refused", wrote)
