#!/usr/bin/env python3
"""Holds a device open and prints a line for every read, and the error that ends it. Told how, it hides the descriptor
where the table of its process does not show it: in an unread message of a socket, from which it takes it again when the
node has gone, in a thread with a table of its own, or in requests to an io_uring, which hold what they read from; the
ring itself has no descriptor by then. Told to keep it busy, it asks the device for its name, which the kernel never gets to write
down, and does nothing else to it meanwhile.
Usage: holder.py /dev/input/event3 [socket|thread|ring|busy]
With "seat" instead, it opens the device three times as a client of seatd would, says whether what it got can be opened once more
by its descriptor, and hides one in each of these places, each in a process of its own. With "seat-busy" it opens it so once, and keeps
it busy.
Usage: holder.py /dev/input/event3 seat|seat-busy"""
import ctypes
import mmap
import os
import select
import socket
import struct
import sys
import threading
import time


def read_on(fd):
    while True:
        try:
            # What a seat's server opens does not block (O_NONBLOCK).
            select.select([fd], [], [])
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
    time.sleep(1 if how == "seat" else 4)
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


def hide_in_ring(fd):
    libc = ctypes.CDLL(None, use_errno=True)
    params = ctypes.create_string_buffer(120)
    ring = libc.syscall(425, 8, params)  # io_uring_setup
    tail_at, array_at, head_at, end_at, results_at = (
        struct.unpack_from("I", params, at)[0] for at in (44, 64, 80, 84, 100)
    )
    rings = mmap.mmap(ring, 4096)
    entries = mmap.mmap(ring, 4096, offset=0x10000000)  # IORING_OFF_SQES
    data = ctypes.create_string_buffer(4096)

    def word(at):
        return struct.unpack_from("I", rings, at)[0]

    # Each of these requests to read (IORING_OP_READ) holds the file until it has been served.
    count = 8
    for slot in range(count):
        entry = struct.pack("=BBHiQQI", 22, 0, 0, fd, 2**64 - 1, ctypes.addressof(data), 4096)
        entries[slot * 64 : slot * 64 + 64] = entry.ljust(64, b"\0")
        struct.pack_into("I", rings, array_at + 4 * slot, slot)
    struct.pack_into("I", rings, tail_at, count)
    libc.syscall(426, ring, count, 0, 0, None, 0)  # io_uring_enter
    own = ctypes.create_string_buffer(struct.pack("IIQ", 2**32 - 1, 0, ring))
    assert libc.syscall(427, ring, 20, own, 1) == 1  # io_uring_register, IORING_REGISTER_RING_FDS
    registered = struct.unpack_from("I", own)[0]
    os.close(ring)
    os.close(fd)
    print("hidden", flush=True)
    for served in range(count):
        while word(end_at) == served:
            # A call of the waiting thread puts completed requests into the ring.
            libc.syscall(426, registered, 0, 0, 1 | 16, None, 0)  # IORING_ENTER_GETEVENTS, …_REGISTERED_RING
            time.sleep(0.05)
        result = struct.unpack_from("=Qi", rings, results_at + 16 * served)[1]
        struct.pack_into("I", rings, head_at, served + 1)
        if result < 0:
            print("error", -result, flush=True)
            break
        print("read", result, flush=True)


def keep_busy(fd):
    libc = ctypes.CDLL(None, use_errno=True)
    faults = libc.syscall(323, 0o2000000)  # userfaultfd, O_CLOEXEC
    assert libc.ioctl(faults, ctypes.c_ulong(0xC018AA3F), struct.pack("QQQ", 0xAA, 0, 0)) == 0  # UFFDIO_API
    page = mmap.mmap(-1, 4096)
    at = ctypes.addressof(ctypes.c_char.from_buffer(page))
    missing = struct.pack("QQQQ", at, 4096, 1, 0)  # UFFDIO_REGISTER_MODE_MISSING
    assert libc.ioctl(faults, ctypes.c_ulong(0xC020AA00), missing) == 0  # UFFDIO_REGISTER
    print("busy", flush=True)
    libc.ioctl(fd, ctypes.c_ulong(0x81004506), ctypes.c_void_p(at))  # EVIOCGNAME


def opened_by_seat(times):
    seat = socket.socket(socket.AF_UNIX)
    seat.connect("/dev/input/seatd.sock")
    seat.sendall(struct.pack("=HH", 1, 0))
    answer = b""
    while len(answer) < 16:  # SEAT_OPENED, ENABLE_SEAT
        answer += seat.recv(16 - len(answer))
    name = path.encode() + b"\0"
    fds = []
    for _ in range(times):
        seat.sendall(struct.pack("=HHH", 3, len(name) + 2, len(name)) + name)
        _, got, _, _ = socket.recv_fds(seat, 8, 1)
        fds += got
    return seat, fds


def hide_everywhere():
    global path
    connection, fds = opened_by_seat(3)
    try:
        os.open(f"/proc/self/fd/{fds[0]}", os.O_RDONLY)
        print("opened again", flush=True)
    except OSError as error:
        print("refused", error.errno, flush=True)
    number = os.fstat(fds[0]).st_rdev
    path = f"/run/udev/data/c{os.major(number)}:{os.minor(number)}"
    places = (lambda fd: hide_in_socket(path, fd), hide_in_thread, hide_in_ring)
    for hide, fd in zip(places, fds):
        if os.fork() == 0:
            for other in fds:
                if other != fd:
                    os.close(other)
            hide(fd)
            os._exit(0)
    for fd in fds:
        os.close(fd)
    for _ in fds:
        os.wait()
    connection.sendall(struct.pack("=HH", 7, 0))
    print("still at the seat" if connection.recv(4) else "closed", flush=True)


path, how = (sys.argv[1:] + ["open"])[:2]
if how == "seat":
    hide_everywhere()
    sys.exit()
if how == "seat-busy":
    connection, (fd,) = opened_by_seat(1)
    keep_busy(fd)
    sys.exit()
fd = os.open(path, os.O_RDONLY)
if how == "socket":
    hide_in_socket(path, fd)
elif how == "thread":
    hide_in_thread(fd)
elif how == "ring":
    hide_in_ring(fd)
elif how == "busy":
    keep_busy(fd)
else:
    print("open", flush=True)
    read_on(fd)
