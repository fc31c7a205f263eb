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
