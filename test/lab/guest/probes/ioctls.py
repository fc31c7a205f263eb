#!/usr/bin/env python3
"""Which requests to a device a seccomp filter refuses: prints, as JSON, those of all lowest bytes whose answer is not that of a file
that knows none, by whether the kernel would read what is asked (bit 30), as a program of 64 and of 32 bits."""
import ctypes
import errno
import fcntl
import json
import mmap

# push rbx; mov ebx, edi; mov ecx, esi; xor edx, edx; mov eax, 54 (ioctl); int 0x80; pop rbx; ret
code = mmap.mmap(-1, 4096, prot=7)
code.write(bytes.fromhex("53 89fb 89f1 31d2 b836000000 cd80 5b c3"))
place = ctypes.addressof(ctypes.c_char.from_buffer(code))
of_32_bits = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_uint)(place)
file = open("/proc/self/stat")


def of_64_bits(fd, request):
    try:
        fcntl.ioctl(fd, request)
        return 0
    except OSError as error:
        return -error.errno


# The letter of neither DRM nor anything else that every file knows.
print(
    json.dumps(
        {
            name: {
                kind: [byte for byte in range(256) if call(file.fileno(), kinds | 0xFE00 | byte) != -errno.ENOTTY]
                for kind, kinds in {"read": 0xC0100000, "unread": 0x80100000}.items()
            }
            for name, call in {"64": of_64_bits, "32": of_32_bits}.items()
        }
    )
)
