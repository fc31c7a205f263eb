import type { Kind } from './policy.js';

/** What udev says of a kind: the property that input_id sets to 1 (systemd, udev-builtin-input_id.c), or a subsystem. */
export type KindTest =
  | { readonly property: string; readonly subsystem?: never }
  | { readonly subsystem: 'sound' | 'drm'; readonly property?: never };

export const kindTests: Readonly<Record<Kind, KindTest>> = {
  keyboard: { property: 'ID_INPUT_KEYBOARD' },
  mouse: { property: 'ID_INPUT_MOUSE' },
  touchpad: { property: 'ID_INPUT_TOUCHPAD' },
  touchscreen: { property: 'ID_INPUT_TOUCHSCREEN' },
  tablet: { property: 'ID_INPUT_TABLET' },
  joystick: { property: 'ID_INPUT_JOYSTICK' },
  switch: { property: 'ID_INPUT_SWITCH' },
  sound: { subsystem: 'sound' },
  display: { subsystem: 'drm' },
};
