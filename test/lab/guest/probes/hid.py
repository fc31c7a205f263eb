"""HID devices of the kernel's own making (uhid), each with a raw node beside its inputs.

    hid.py serve                commands on standard input, an answer to each on standard output:
        plug ID KIND NAME...    pad: a game pad, one input; both: a keyboard and a mouse in one, two inputs
        report ID HEX           an input report: of a pad buttons, x and y; of both its number and what follows
        unplug ID
"""
import os
import struct
import sys

UHID_CREATE2, UHID_INPUT2 = 11, 12  # linux/uhid.h

# Device Class Definition for HID, chapter 6.2.2.
DESCRIPTORS = {
    "pad": "05010905a101" "05091901290815002501750195088102" "050109300931" "1581257f750895028102" "c0",
    "both": "05010906a1018501" "050719e029e71500250175019508810295067508150025651900296581" "00c0"
    "05010902a1018502" "0901a100" "05091901290315002501950375018102" "950175058103"
    "0501093009311581257f750895028106" "c0c0",
}


def plug(kind, name):
    descriptor = bytes.fromhex(DESCRIPTORS[kind])
    fd = os.open("/dev/uhid", os.O_RDWR)
    head = struct.pack("<I128s64s64sHHIIII", UHID_CREATE2, name.encode(), b"", b"", len(descriptor), 3, 0x1209, 3, 1, 0)
    os.write(fd, head + descriptor.ljust(4096, b"\0"))
    return fd


def report(fd, data):
    os.write(fd, struct.pack("<IH", UHID_INPUT2, len(data)) + data.ljust(4096, b"\0"))


devices = {}
print("ready", flush=True)
for line in sys.stdin:
    command, who, *rest = line.split()
    if command == "plug":
        devices[who] = plug(rest[0], " ".join(rest[1:]))
    elif command == "report":
        report(devices[who], bytes.fromhex(rest[0]))
    elif command == "unplug":
        os.close(devices.pop(who))
    else:
        sys.exit(f"unknown command {command}")
    print(command, who, flush=True)
