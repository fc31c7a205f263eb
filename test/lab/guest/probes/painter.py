#!/usr/bin/env python3
"""A Wayland client that fills its window with a colour, and writes into a file when it hears a keyboard, and what is typed, a
line for each Enter. What has been typed since the last Enter is in FILE.now.
Usage: painter.py RRGGBB FILE. It speaks the protocol by itself, because nothing that could is in a seat of the lab."""
import mmap
import os
import socket
import struct
import sys

colour, lines = struct.pack("=I", int(sys.argv[1], 16)), open(sys.argv[2], "w", buffering=1)
line = socket.socket(socket.AF_UNIX)
line.connect(os.path.join(os.environ["XDG_RUNTIME_DIR"], os.environ["WAYLAND_DISPLAY"]))

DISPLAY, REGISTRY = 1, 2
last = REGISTRY
rows = {16: "qwertyuiop", 30: "asdfghjkl", 44: "zxcvbnm", 2: "1234567890", 57: " "}
letters = {first + at: letter for first, row in rows.items() for at, letter in enumerate(row)}


def new():
    global last
    last += 1
    return last


def say(thing, operation, *words, fd=None):
    body = b"".join(word if isinstance(word, bytes) else struct.pack("=i", word) for word in words)
    message = struct.pack("=IHH", thing, operation, 8 + len(body)) + body
    socket.send_fds(line, [message], [] if fd is None else [fd])


def text(word):
    data = word.encode() + b"\0"
    return struct.pack("=I", len(data)) + data + bytes(-len(data) % 4)


def messages():
    data = b""
    while True:
        part, fds, _, _ = socket.recv_fds(line, 65536, 8)
        for fd in fds:  # The keymap, which is not needed: the keys of this keyboard are known.
            os.close(fd)
        if not part:
            return
        data += part
        while len(data) >= 8:
            thing, operation, size = struct.unpack_from("=IHH", data)
            if len(data) < size:
                break
            body, data = data[8:size], data[size:]
            yield thing, operation, body


def bind(interface, version):
    thing = new()
    say(REGISTRY, 0, known[interface], text(interface), version, thing)
    return thing


def paint(surface, memory, width, height):
    size = 4 * width * height
    fd = os.memfd_create("picture")
    os.ftruncate(fd, size)
    with mmap.mmap(fd, size) as picture:
        picture[:] = colour * (width * height)
    pool, buffer = new(), new()
    say(memory, 0, pool, size, fd=fd)
    os.close(fd)
    say(pool, 0, buffer, 0, width, height, 4 * width, 1)
    say(surface, 1, buffer, 0, 0)
    say(surface, 2, 0, 0, width, height)
    say(surface, 6)


known = {}
say(DISPLAY, 1, REGISTRY)
synced = new()
say(DISPLAY, 0, synced)
memory = shell = seat = surface = window = top = keyboard = heard = None
width, height, typed = 640, 480, ""
for thing, operation, body in messages():
    if thing == DISPLAY and operation == 0:
        sys.exit(f"an error of the protocol: {body!r}")
    elif thing == REGISTRY and operation == 0:
        name, length = struct.unpack_from("=II", body)
        known[body[8 : 7 + length].decode()] = name
    elif thing == synced:
        compositor, memory, shell = bind("wl_compositor", 4), bind("wl_shm", 1), bind("xdg_wm_base", 1)
        seat = bind("wl_seat", 3)
        surface, window, top = new(), new(), new()
        say(compositor, 0, surface)
        say(shell, 2, window, surface)
        say(window, 1, top)
        say(surface, 6)
    elif thing == shell:
        say(shell, 3, body)
    elif thing == top and operation == 0:
        width, height = (wanted or now for wanted, now in zip(struct.unpack_from("=ii", body), (width, height)))
    elif thing == top and operation == 1:
        break
    elif thing == window:
        say(window, 4, body)
        paint(surface, memory, width, height)
    elif thing == seat and operation == 0 and struct.unpack("=I", body)[0] & 2 and keyboard is None:
        keyboard = new()
        say(seat, 1, keyboard)
        heard = new()
        say(DISPLAY, 0, heard)
    elif thing == heard:
        print("listening", file=lines)
    elif thing == keyboard and operation == 3:
        _, _, key, state = struct.unpack("=IIII", body)
        if state == 0:
            continue
        if key == 28:
            print(typed, file=lines)
            typed = ""
        else:
            typed += letters.get(key, "?")
        with open(sys.argv[2] + ".now", "w") as now:
            now.write(typed)
