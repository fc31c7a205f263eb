#!/usr/bin/env python3
"""What somebody types arrives: reads keys, and for each Enter starts a shell that puts the line into a file. Prints how
late that was, in ms since the kernel had the key. Usage: typist.py /dev/input/event3"""
import fcntl
import os
import struct
import subprocess
import sys
import time

EVENT = struct.Struct("llHHi")  # struct input_event (linux/input.h)
KEY, ENTER, PRESS = 1, 28, 1
EVIOCSCLOCKID = 0x400445A0

fd = os.open(sys.argv[1], os.O_RDONLY)
fcntl.ioctl(fd, EVIOCSCLOCKID, struct.pack("i", time.CLOCK_MONOTONIC))
keys = 0
print("reading", flush=True)
while True:
    data = os.read(fd, EVENT.size * 64)
    for at in range(0, len(data), EVENT.size):
        seconds, micros, kind, code, value = EVENT.unpack_from(data, at)
        if kind != KEY or value != PRESS:
            continue
        keys += 1
        if code != ENTER:
            continue
        subprocess.run(["sh", "-c", f"echo {keys} keys >> /tmp/typed"], check=True)
        late = (time.monotonic() - seconds - micros / 1e6) * 1000
        print("line", keys, round(late, 1), flush=True)
        keys = 0
