#!/usr/bin/env python3
"""Takes all that it can get: burns every processor, allocates without end and forks without end. The init of a pid
namespace, so that all of it ends with it. Usage: unshare --pid --fork --kill-child hog.py"""
import os
import signal
import time

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
PIECE = 8 << 20


def burn():
    while True:
        pass


def allocate():
    # A child that is killed for its memory has a successor.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    while True:
        try:
            child = os.fork()
        except OSError:
            time.sleep(0.05)
            continue
        if child == 0:
            held = []
            while True:
                held.append(b"\1" * PIECE)
        os.waitpid(child, 0)


def fork():
    # A shell that finds no room for another one ends; there is always a next one.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    while True:
        try:
            os.waitpid(os.posix_spawn("/bin/sh", ["sh", "-c", "b() { b | b & }; b"], os.environ), 0)
        except OSError:
            pass
        time.sleep(0.05)


def no_room():
    try:
        if os.fork() == 0:
            os._exit(0)
        return False
    except OSError:
        return True


room, full = os.pipe()
for work in [allocate] * 3 + [fork] + [burn] * (2 * os.cpu_count()):
    if os.fork() == 0:
        os.close(full)
        # Without memory nothing forks: that comes first.
        if work is allocate:
            os.read(room, 1)
        # Among themselves: without this, hundreds of shells leave those that allocate no time to do it.
        if work is not allocate:
            os.nice(19)
        work()
while not no_room():
    time.sleep(0.05)
os.close(full)
print("at work", flush=True)
while True:
    time.sleep(3600)
