"""Input devices of the kernel's own making (uinput, uhid): what QEMU cannot plug, and what it plugs too slowly.

    virtual.py serve            commands on standard input, an answer to each on standard output:
        plug ID KIND NAME...    keyboard, mouse, gamepad, touchscreen, touchpad or tablet, by uinput
        bluetooth ID UNIQ NAME...   a keyboard on the Bluetooth bus, by uhid: it has a hidraw sibling
        press ID CODE           a key, down and up
        unplug ID
    virtual.py cycle ROUNDS SEAT...   so many rounds: two devices for each seat come, are bound, go, are gone
    virtual.py ports ROUNDS SEAT...   so many rounds: what is plugged at USB ports below hubs is cut off and let in again
"""
import fcntl
import glob
import os
import struct
import sys
import time

EV_SYN, EV_KEY, EV_REL, EV_ABS = 0, 1, 2, 3
# linux/uinput.h
SET_EV, SET_KEY, SET_REL, SET_ABS, SET_PROP = 0x40045564, 0x40045565, 0x40045566, 0x40045567, 0x4004556E
ABS_SETUP, DEV_SETUP, DEV_CREATE = 0x401C5504, 0x405C5503, 0x5501
BTN_LEFT, BTN_SOUTH, BTN_TOOL_PEN, BTN_TOOL_FINGER, BTN_TOUCH, BTN_STYLUS = 0x110, 0x130, 0x140, 0x145, 0x14A, 0x14B
ABS_X, ABS_Y, ABS_PRESSURE, ABS_MT_SLOT, ABS_MT_X, ABS_MT_Y, ABS_MT_ID = 0, 1, 0x18, 0x2F, 0x35, 0x36, 0x39
POINTER, DIRECT = 0, 1

KINDS = {
    "keyboard": {"keys": range(1, 128)},
    "mouse": {"keys": [BTN_LEFT, BTN_LEFT + 1], "rels": [0, 1, 8]},
    "gamepad": {"keys": range(BTN_SOUTH, BTN_SOUTH + 15), "abs": [ABS_X, ABS_Y, 3, 4]},
    "touchscreen": {"keys": [BTN_TOUCH], "abs": [ABS_X, ABS_Y, ABS_MT_SLOT, ABS_MT_X, ABS_MT_Y, ABS_MT_ID], "prop": DIRECT},
    "touchpad": {"keys": [BTN_LEFT, BTN_TOOL_FINGER, BTN_TOUCH], "abs": [ABS_X, ABS_Y], "prop": POINTER},
    "tablet": {"keys": [BTN_TOOL_PEN, BTN_TOUCH, BTN_STYLUS], "abs": [ABS_X, ABS_Y, ABS_PRESSURE], "prop": POINTER},
}

# The boot keyboard of the HID specification, appendix B.1, without its lights.
BOOT_KEYBOARD = bytes.fromhex(
    "05010906a101050719e029e71500250175019508810295017508810195067508150025650507190029658100c0"
)
UHID_CREATE2, UHID_INPUT2 = 11, 12  # linux/uhid.h


def uinput(kind, name):
    wanted = KINDS[kind]
    fd = os.open("/dev/uinput", os.O_WRONLY)
    for bit in [EV_KEY] + ([EV_REL] if "rels" in wanted else []) + ([EV_ABS] if "abs" in wanted else []):
        fcntl.ioctl(fd, SET_EV, bit)
    for key in wanted["keys"]:
        fcntl.ioctl(fd, SET_KEY, key)
    for axis in wanted.get("rels", []):
        fcntl.ioctl(fd, SET_REL, axis)
    for axis in wanted.get("abs", []):
        fcntl.ioctl(fd, SET_ABS, axis)
        fcntl.ioctl(fd, ABS_SETUP, struct.pack("Hxx6i", axis, 0, 0, 9 if axis == ABS_MT_SLOT else 4095, 0, 0, 40))
    if "prop" in wanted:
        fcntl.ioctl(fd, SET_PROP, wanted["prop"])
    fcntl.ioctl(fd, DEV_SETUP, struct.pack("4H80sI", 3, 0x1209, 0x0001, 1, name.encode(), 0))
    fcntl.ioctl(fd, DEV_CREATE)
    return fd


def uhid(uniq, name):
    fd = os.open("/dev/uhid", os.O_RDWR)
    head = struct.pack("<I128s64s64sHHIIII", UHID_CREATE2, name.encode(), b"", uniq.encode(), len(BOOT_KEYBOARD), 5, 0x1209, 2, 1, 0)
    os.write(fd, head + BOOT_KEYBOARD.ljust(4096, b"\0"))
    return fd


def press(fd, kind, code):
    for value in (1, 0):
        if kind == "bluetooth":  # `code` is a usage of the keyboard page here
            report = bytes([0, 0, code if value else 0, 0, 0, 0, 0, 0])
            os.write(fd, struct.pack("<IH", UHID_INPUT2, len(report)) + report.ljust(4096, b"\0"))
        else:
            os.write(fd, struct.pack("llHHi", 0, 0, EV_KEY, code, value) + struct.pack("llHHi", 0, 0, EV_SYN, 0, 0))
        time.sleep(0.05)


def serve():
    devices = {}
    print("ready", flush=True)
    for line in sys.stdin:
        command, who, *rest = line.split()
        if command == "plug":
            devices[who] = (uinput(rest[0], " ".join(rest[1:])), rest[0])
        elif command == "bluetooth":
            devices[who] = (uhid(rest[0], " ".join(rest[1:])), "bluetooth")
        elif command == "press":
            press(*devices[who], int(rest[0]))
        elif command == "unplug":
            os.close(devices.pop(who)[0])
        else:
            sys.exit(f"unknown command {command}")
        print(command, who, flush=True)


def bound(seat):
    return len(glob.glob(f"/run/hotseat/seats/{seat}/dev/input/event*"))


def until(seats, count):
    end = time.monotonic() + 60
    while True:
        began = time.monotonic()
        if all(bound(seat) == count for seat in seats):
            return
        if began > end:
            sys.exit(f"after 60 s still not {count} event nodes in each of {seats}")
        # Looking takes the time of what is waited for: it rests longer than it looks.
        time.sleep(0.02 + 2 * (time.monotonic() - began))


def cycle(rounds, seats):
    for number in range(1, rounds + 1):
        devices = [uinput(kind, f"cycle {seat} {kind}") for seat in seats for kind in ("keyboard", "mouse")]
        until(seats, 2)
        for fd in devices:
            os.close(fd)
        until(seats, 0)
        print(number, flush=True)


def ports(rounds, seats):
    devices = [path for path in glob.glob("/sys/bus/usb/devices/*-*.*/authorized") if ":" not in path]
    counts = {seat: bound(seat) for seat in seats}
    for number in range(1, rounds + 1):
        for authorized, wanted in (("0", {seat: 0 for seat in seats}), ("1", counts)):
            for path in devices:
                with open(path, "w") as file:
                    file.write(authorized)
            for seat in seats:
                until([seat], wanted[seat])
        print(number, len(devices), flush=True)


match sys.argv[1]:
    case "cycle":
        cycle(int(sys.argv[2]), sys.argv[3:])
    case "ports":
        ports(int(sys.argv[2]), sys.argv[3:])
    case "serve":
        serve()
    case other:
        sys.exit(f"unknown command {other}")
