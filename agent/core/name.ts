import type { Unit } from './device.js';

/** Its name for people: its own name, its model, or the kernel's name; a unit may have gone since it was bound. */
export const nameOf = (unit: Unit | undefined): string =>
  unit?.head.attributes['name'] ?? unit?.head.properties['ID_MODEL'] ?? unit?.head.sysname ?? 'gone';
