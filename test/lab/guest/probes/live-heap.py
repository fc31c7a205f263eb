"""Has a Node process collect its garbage and write a heap snapshot (--heapsnapshot-signal=SIGUSR2), and prints the bytes that live.

live-heap.py PID DIRECTORY: of the process, and where it writes
"""
import glob
import json
import os
import signal
import sys
import time

pid, directory = int(sys.argv[1]), sys.argv[2]
pattern = f"{directory}/Heap*.heapsnapshot"
for old in glob.glob(pattern):
    os.remove(old)
os.kill(pid, signal.SIGUSR2)
end = time.monotonic() + 100
while True:
    time.sleep(0.5)
    try:
        with open(glob.glob(pattern)[0]) as file:
            snapshot = json.load(file)
        break
    except (IndexError, ValueError):  # not there yet, or not whole
        if time.monotonic() > end:
            sys.exit("no heap snapshot within 100 s")
fields = snapshot["snapshot"]["meta"]["node_fields"]
print(sum(snapshot["nodes"][fields.index("self_size") :: len(fields)]))
