"""A program that does a known amount of something inside a cgroup, and says what it did; it ends with its standard input.

`python cgroup_load.py CGROUP burn SECONDS` uses so much CPU time; `... hold BYTES` touches so much memory; `... rest` does nothing;
`... read DEVICE BYTES` reads past the page cache. It writes `done NUMBER`, then waits.
Its last line is `used NS`: its CPU time since it joined the cgroup.
"""

import mmap
import os
import sys
import time

cgroup, what, *words = sys.argv[1:]
with open(f"{cgroup}/cgroup.procs", "w") as file:
    file.write("0")
joined_ns = time.process_time_ns()
done = 0
kept: list[object] = []
if what == "burn":
    begun = time.process_time_ns()
    while time.process_time_ns() - begun < float(words[0]) * 1e9:
        sum(range(2000))
    done = time.process_time_ns() - begun
elif what == "hold":
    kept.append(bytearray(b"x") * int(words[0]))
    done = int(words[0])
elif what == "read":
    descriptor = os.open(words[0], os.O_RDONLY | os.O_DIRECT)
    block = mmap.mmap(-1, 1 << 16)
    while done < int(words[1]):
        done += os.preadv(descriptor, [block], done)
print("done", done, flush=True)
sys.stdin.read()
print("used", time.process_time_ns() - joined_ns, flush=True)
# The end of an interpreter takes longer than what is left to do.
os._exit(0)
