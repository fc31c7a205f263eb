#!/usr/bin/env python3
"""Gets a lease as a display server does, and tries with it what is not its own. Prints one line of JSON: which connectors and
CRTCs it could use of all ids up to 200, what else was refused, and what it could do with its neighbour's pictures.
Usage: lessee.py [hold]: with `hold` it then waits, with the lease, and tries once more for each line that it reads."""
import array
import ctypes
import errno
import fcntl
import json
import mmap
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


def named(code, number):
    """A request about a framebuffer or a GEM name: its number is the first field."""
    data = bytearray(128)
    struct.pack_into("I", data, 0, number)
    return ioctl(code, data)


# The system call of 32-bit programs: push rbx; mov ebx, edi; mov ecx, esi; mov eax, 54 (ioctl); int 0x80; pop rbx; ret. All below
# 4 GiB (MAP_32BIT), and what is asked behind it.
old = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40, prot=7)
code = bytes.fromhex("53 89fb 89f1 b836000000 cd80 5b c3")
old[: len(code)] = code
place = ctypes.addressof(ctypes.c_char.from_buffer(old))
old_ioctl = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_uint, ctypes.c_uint)(place)


def named_in_32_bits(code, number):
    old[2048:2176] = struct.pack("I", number).ljust(128, b"\0")
    error = old_ioctl(card, code, place + 2048)
    return None if error >= 0 else errno.errorcode.get(-error, str(-error))


def flinked():
    """A name for a buffer of its own."""
    data = bytearray(32)
    struct.pack_into("III", data, 0, 64, 64, 32)
    made = ioctl(0xC02064B2, data)
    return made or named(0xC008640A, struct.unpack_from("I", data, 16)[0])


def first_mode(own):
    """Of the own connector, as the kernel has it (struct drm_mode_modeinfo)."""
    modes = array.array("B", bytes(68 * 64))
    asked = bytearray(80)
    struct.pack_into("Q", asked, 8, modes.buffer_info()[0])
    struct.pack_into("I", asked, 32, 64)
    struct.pack_into("I", asked, 48, own)
    ioctl(0xC05064A7, asked)
    return modes.tobytes()[:68]


def shown(number):
    """SETCRTC with a foreign framebuffer on the own output."""
    connectors = array.array("I", own_connectors)
    data = bytearray(104)
    struct.pack_into("QIII", data, 0, connectors.buffer_info()[0], 1, own_crtcs[0], number)
    struct.pack_into("I", data, 32, 1)
    data[36:104] = mode
    return ioctl(0xC06864A2, data)


def flipped(number):
    """PAGE_FLIP to a foreign framebuffer. While the flip before it is on its way the kernel answers EBUSY."""
    for _ in range(20):
        data = bytearray(struct.pack("=IIIIQ", own_crtcs[0], number, 0, 0, 0))
        error = ioctl(0xC01864B0, data)
        if error != "EBUSY":
            break
        time.sleep(0.02)
    return error


def summary(all):
    return {"done": all.count(None), "errors": sorted({one for one in all if one})}


def screens():
    """Both with all ids. A flip needs a picture that is on (drm_plane.c, drm_mode_page_flip_ioctl)."""
    on = [shown(one) for one in ids]
    last = [one for one, error in zip(ids, on) if error is None]
    if last:
        shown(last[-1])
    return {"shown": summary(on), "flipped": summary([flipped(one) for one in ids])}


def pictures():
    """Requests for foreign pictures that were answered, and the errors of the others. GETFB2 also with another size, with another
    letter than DRM's, and as one that only gives: it makes a handle all the same, which can be guessed."""
    requests = {"getfb": 0xC01C64AD, "getfb2": 0xC06864CE, "getfb2 of 112 bytes": 0xC07064CE, "gem_open": 0xC010640B}
    requests |= {"getfb2 of another letter": 0xC06854CE, "getfb2 without an answer": 0x406864CE}
    tried = {name: [named(code, one) for one in ids] for name, code in requests.items()}
    tried["getfb2 of 32 bits"] = [named_in_32_bits(requests["getfb2"], one) for one in ids]
    tried["gem_flink"] = [flinked()]
    return {name: summary(all) for name, all in tried.items()}


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
own_connectors = [one for one in ids if connector(one) is None]
own_crtcs = [one for one in ids if switch_off(one) is None]
mode = first_mode(own_connectors[0])
print(
    json.dumps(
        {
            "answer": json.loads(text),
            "connectors": own_connectors,
            "crtcs": own_crtcs,
            "refused": {
                "lease": lease_again(),
                "master": ioctl(0x641E, 0),
                "reopen": opened(f"/proc/self/fd/{card}"),
            },
            "pictures": pictures(),
            "screens": screens(),
        }
    ),
    flush=True,
)
if sys.argv[1:] == ["hold"]:
    for _ in sys.stdin:
        print(json.dumps({"pictures": pictures(), "screens": screens()}), flush=True)
