#!/usr/bin/env python3
"""Reads a virtual console raw, as an eavesdropper would, and prints every byte it gets in hex. Usage: raw-reader.py /dev/tty1"""
import os
import sys
import tty

fd = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)
tty.setraw(fd)
print("reading", flush=True)
while True:
    print(os.read(fd, 64).hex(), flush=True)
