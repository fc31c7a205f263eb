#!/usr/bin/env python3
"""A display server without a screen: libinput's udev backend, with devices from libseat, as wlroots and Weston do it. Prints
what comes and goes, what is typed line by line, and each key that goes down or up."""
import ctypes
import os
import select

seat_lib, input_lib, udev_lib = (ctypes.CDLL(name, use_errno=True) for name in ("libseat.so.1", "libinput.so.10", "libudev.so.1"))
pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int


def function(library, name, result, *arguments):
    found = getattr(library, name)
    found.restype, found.argtypes = result, arguments
    return found


Changed = ctypes.CFUNCTYPE(None, pointer, pointer)
Open = ctypes.CFUNCTYPE(number, text, number, pointer)
Close = ctypes.CFUNCTYPE(None, number, pointer)
open_seat = function(seat_lib, "libseat_open_seat", pointer, pointer, pointer)
dispatch_seat = function(seat_lib, "libseat_dispatch", number, pointer, number)
seat_fd = function(seat_lib, "libseat_get_fd", number, pointer)
open_device = function(seat_lib, "libseat_open_device", number, pointer, text, ctypes.POINTER(number))
close_device = function(seat_lib, "libseat_close_device", number, pointer, number)
seat_name = function(seat_lib, "libseat_seat_name", text, pointer)
disable = function(seat_lib, "libseat_disable_seat", number, pointer)
udev_new = function(udev_lib, "udev_new", pointer)
create = function(input_lib, "libinput_udev_create_context", pointer, pointer, pointer, pointer)
assign = function(input_lib, "libinput_udev_assign_seat", number, pointer, text)
input_fd = function(input_lib, "libinput_get_fd", number, pointer)
dispatch = function(input_lib, "libinput_dispatch", number, pointer)
next_event = function(input_lib, "libinput_get_event", pointer, pointer)
event_type = function(input_lib, "libinput_event_get_type", number, pointer)
event_device = function(input_lib, "libinput_event_get_device", pointer, pointer)
device_name = function(input_lib, "libinput_device_get_name", text, pointer)
destroy_event = function(input_lib, "libinput_event_destroy", None, pointer)
keyboard = function(input_lib, "libinput_event_get_keyboard_event", pointer, pointer)
key_of = function(input_lib, "libinput_event_keyboard_get_key", ctypes.c_uint, pointer)
state_of = function(input_lib, "libinput_event_keyboard_get_key_state", number, pointer)

rows = {16: "qwertyuiop", 30: "asdfghjkl", 44: "zxcvbnm", 2: "1234567890", 57: " "}
letters = {first + at: letter for first, row in rows.items() for at, letter in enumerate(row)}
active = False
ids = {}


def say(*words):
    print(*words, flush=True)


@Changed
def enabled(_seat, _data):
    global active
    active = True


@Changed
def disabled(which, _data):
    say("disabled")
    disable(which)


@Open
def opened(path, _flags, _data):
    fd = number(-1)
    device = open_device(seat, path, ctypes.byref(fd))
    if device < 0:
        error = ctypes.get_errno()
        say("refused", path.decode(), error)
        return -error
    ids[fd.value] = device
    return fd.value


@Close
def closed(fd, _data):
    close_device(seat, ids.pop(fd))
    os.close(fd)


listener = (pointer * 2)(ctypes.cast(enabled, pointer), ctypes.cast(disabled, pointer))
interface = (pointer * 2)(ctypes.cast(opened, pointer), ctypes.cast(closed, pointer))
seat = open_seat(listener, None)
if not seat:
    raise OSError(ctypes.get_errno(), "no seat")
while not active:
    dispatch_seat(seat, -1)
context = create(interface, None, udev_new())
assert assign(context, seat_name(seat)) == 0
say("at", seat_name(seat).decode())

line = ""
while True:
    ready, _, _ = select.select([seat_fd(seat), input_fd(context)], [], [])
    if seat_fd(seat) in ready and dispatch_seat(seat, 0) < 0:
        say("lost")
        break
    dispatch(context)
    while event := next_event(context):
        kind = event_type(event)
        if kind in (1, 2):  # LIBINPUT_EVENT_DEVICE_ADDED, …_REMOVED
            say("added" if kind == 1 else "removed", device_name(event_device(event)).decode())
        elif kind == 300:  # LIBINPUT_EVENT_KEYBOARD_KEY
            key, down = key_of(keyboard(event)), state_of(keyboard(event)) == 1
            if key == 28 and down:
                say("line", line)
                line = ""
            elif down:
                line += letters.get(key, "?")
            say("down" if down else "up", key)
        destroy_event(event)
