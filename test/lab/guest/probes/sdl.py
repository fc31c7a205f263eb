"""What a game sees: joysticks that come, go and are pressed, by SDL2. With SDL_JOYSTICK_DISABLE_UDEV=1 it watches
/dev/input itself (inotify) instead of listening to udev."""
import ctypes
import struct
import sys
import time

sdl = ctypes.CDLL("libSDL2-2.0.so.0")
sdl.SDL_JoystickOpen.restype = ctypes.c_void_p
sdl.SDL_JoystickName.restype = ctypes.c_char_p
sdl.SDL_JoystickName.argtypes = [ctypes.c_void_p]
JOYSTICK = 0x200
DOWN, ADDED, REMOVED = 0x603, 0x605, 0x606

if sdl.SDL_Init(JOYSTICK) != 0:
    sys.exit("SDL_Init failed")
print("ready", flush=True)
event = ctypes.create_string_buffer(128)
while True:
    while sdl.SDL_PollEvent(event):
        kind, _, which = struct.unpack_from("IIi", event)
        if kind == ADDED:
            joystick = sdl.SDL_JoystickOpen(which)
            print("added", (sdl.SDL_JoystickName(joystick) or b"?").decode(), flush=True)
        elif kind == REMOVED:
            print("removed", flush=True)
        elif kind == DOWN:
            print("pressed", flush=True)
    time.sleep(0.02)
