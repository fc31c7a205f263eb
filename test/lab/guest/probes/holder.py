#!/usr/bin/env python3
"""Holds a device open and prints a line for every read, and the error that ends it. Told how, it hides the descriptor
where the table of its process does not show it: in an unread message of a socket, from which it takes it again when the
node has gone, or in a thread with a table of its own. Usage: holder.py /dev/input/event3 [socket|thread]"""
import os
import socket
import sys
import threading
import time


def read_on(fd):
    while True:
        try:
            print("read", len(os.read(fd, 4096)), flush=True)
        except OSError as error:
            print("error", error.errno, flush=True)
            break


def hide_in_socket(path, fd):
    ours, theirs = socket.socketpair()
    socket.send_fds(ours, [b"x"], [fd])
    os.close(fd)
    print("hidden", flush=True)
    while os.path.exists(path):
        time.sleep(0.05)
    time.sleep(4)
    read_on(socket.recv_fds(theirs, 1, 1)[1][0])


def hide_in_thread(fd):
    apart = threading.Event()

    def keep():
        os.unshare(os.CLONE_FILES)
        apart.set()
        read_on(fd)

    thread = threading.Thread(target=keep)
    thread.start()
    apart.wait()
    os.close(fd)
    print("hidden", flush=True)
    thread.join()


path, how = (sys.argv[1:] + ["open"])[:2]
fd = os.open(path, os.O_RDONLY)
if how == "socket":
    hide_in_socket(path, fd)
elif how == "thread":
    hide_in_thread(fd)
else:
    print("open", flush=True)
    read_on(fd)
