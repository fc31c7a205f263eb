#!/usr/bin/env python3
"""Gets a lease as a display server does, and tries with it what is not its own. Prints one line of JSON: which connectors and
CRTCs it could use of all ids up to 200, what else was refused, and how many of its neighbour's framebuffers it could name.
Usage: lessee.py [hold]: with `hold` it then waits, with the lease, until it is killed."""
import array
import errno
import fcntl
import json
import os
import socket
import struct
import sys
import time

line = socket.socket(socket.AF_UNIX)
line.connect("/dev/dri/hotseat")
line.sendall(b"lease\n")
text, fds, _, _ = socket.recv_fds(line, 4096, 1)
if not fds:
    sys.exit(text.decode())
card = fds[0]


def ioctl(code, data):
    """The name of the error, or None."""
    try:
        fcntl.ioctl(card, code, data, True)
        return None
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error.errno))


def connector(number):
    mode = array.array("I", [0] * 17)
    data = bytearray(80)
    struct.pack_into("QQ", data, 0, 0, mode.buffer_info()[0])
    struct.pack_into("I", data, 32, 1)
    struct.pack_into("I", data, 48, number)
    return ioctl(0xC05064A7, data)


def switch_off(number):
    data = bytearray(104)
    struct.pack_into("I", data, 12, number)
    return ioctl(0xC06864A2, data)


def framebuffer(number):
    data = bytearray(104)
    struct.pack_into("I", data, 0, number)
    return ioctl(0xC06864CE, data)


def lease_again():
    data = bytearray(24)
    struct.pack_into("I", data, 12, os.O_CLOEXEC)
    return ioctl(0xC01864C6, data)


def opened(path):
    try:
        os.close(os.open(path, os.O_RDWR))
        return None
    except OSError as error:
        return errno.errorcode[error.errno]


ids = range(1, 200)
print(
    json.dumps(
        {
            "answer": json.loads(text),
            "connectors": [one for one in ids if connector(one) is None],
            "crtcs": [one for one in ids if switch_off(one) is None],
            "refused": {
                "lease": lease_again(),
                "master": ioctl(0x641E, 0),
                "reopen": opened(f"/proc/self/fd/{card}"),
            },
            "framebuffers": len([one for one in ids if framebuffer(one) is None]),
        }
    ),
    flush=True,
)
if sys.argv[1:] == ["hold"]:
    time.sleep(600)
