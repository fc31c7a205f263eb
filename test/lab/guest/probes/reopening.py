#!/usr/bin/env python3
"""Opens nodes again and again, and says after each line on its input how often that went well and how often it was refused since
the one before. Usage: reopening.py /dev/input/event3 ..."""
import os
import select
import sys

# A keyboard that nobody has open goes to sleep, and takes 50 ms to wake up.
held = [os.open(node, os.O_RDONLY | os.O_NONBLOCK) for node in sys.argv[1:]]
opened = refused = 0
print("at it", flush=True)
while True:
    for node in sys.argv[1:]:
        try:
            os.close(os.open(node, os.O_RDONLY | os.O_NONBLOCK))
            opened += 1
        except OSError:
            refused += 1
    if select.select([sys.stdin], [], [], 0)[0]:
        if sys.stdin.readline() == "":
            break
        print("since then", opened, refused, flush=True)
        opened = refused = 0
