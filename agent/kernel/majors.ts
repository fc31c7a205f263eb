import { majors } from '../core/device.js';
import { readOptional } from './read.js';

/**
 * Majors that a guarded container can open by grant alone: input, sound, drm, and the major that the kernel chose for
 * hidraw when it loaded its HID core (proc_devices(5)); none while that is not loaded.
 */
export function guardedMajors(): number[] {
  const hidraw = /^\s*(\d+) hidraw$/m.exec(readOptional('/proc/devices') ?? '')?.[1];
  return [...Object.values(majors), ...(hidraw === undefined ? [] : [Number(hidraw)])];
}

/** A major, or one number of it. */
export interface NumberPattern {
  readonly major: number;
  readonly minor?: number;
}

/**
 * Other numbers that lead to the same devices. Nothing of these is ever granted: each joins seats, or has the kernel open a
 * device that belongs to somebody else.
 */
export const otherNames: readonly NumberPattern[] = [
  // /dev/psaux: all mice at once (drivers/input/mousedev.c).
  { major: 10, minor: 1 },
  // OSS: /dev/dsp, /dev/audio, /dev/mixer, /dev/sequencer of all sound cards (sound/sound_core.c).
  { major: 14 },
  // /dev/fb0: what the console shows on a graphics card (drivers/video/fbdev/core/fbmem.c).
  { major: 29 },
  // /dev/usb/hiddev0: all that a HID device says (drivers/hid/usbhid/hiddev.c); its minor is as the kernel was built.
  { major: 180 },
];
