import { majors } from '../core/device.js';
import { readOptional } from './read.js';

/** Drivers whose major the kernel chooses when they are loaded. usbmon tells of all that USB devices say; nothing of it is granted. */
const chosen = /^\s*(\d+) (?:hidraw|usbmon)$/gm;

/**
 * Majors that a guarded container can open by grant alone: input, sound, drm, and those that the kernel chose for hidraw and usbmon
 * (`devices`: proc_devices(5)); none while these are not loaded.
 */
export function guardedMajors(devices = readOptional('/proc/devices') ?? ''): number[] {
  return [...Object.values(majors), ...[...devices.matchAll(chosen)].map(([, major]) => Number(major))];
}

/** The driver of character devices with this major, as it calls itself; undefined where there is none (proc_devices(5)). */
export function driverOf(major: number, devices = readOptional('/proc/devices') ?? ''): string | undefined {
  const [characters = ''] = devices.split('Block devices:');
  const line = characters.split('\n').find((one) => Number.parseInt(one, 10) === major);
  return line?.trim().split(' ').at(1);
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
