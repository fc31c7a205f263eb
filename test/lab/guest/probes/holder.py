#!/usr/bin/env python3
"""Holds a device open and prints a line for every read, and the error that ends it. Usage: holder.py /dev/input/event3"""
import os
import sys

fd = os.open(sys.argv[1], os.O_RDONLY)
print("open", flush=True)
while True:
    try:
        print("read", len(os.read(fd, 4096)), flush=True)
    except OSError as error:
        print("error", error.errno, flush=True)
        break
