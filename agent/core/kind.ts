import type { Kind } from './policy.js';

/**
 * One thing that udev knows of a head. `property`: input_id sets it to 1 (systemd, udev-builtin-input_id.c). `path`: a pattern
 * of its path in sysfs. `stream`: a sound card has a PCM node that captures or plays (sound/core/pcm.c, snd_pcm_new_stream).
 */
export type Fact =
  | { readonly on: 'property'; readonly property: string; readonly negate?: true }
  | { readonly on: 'subsystem'; readonly subsystem: 'sound' | 'drm' }
  | { readonly on: 'path'; readonly pattern: string }
  | { readonly on: 'stream'; readonly stream: Stream };

export type Stream = 'capture' | 'playback';
/** How the name of a PCM node ends. */
export const streamLetters: Readonly<Record<Stream, string>> = { capture: 'c', playback: 'p' };

const input = (...names: readonly string[]): Fact[] =>
  names.map((name) => ({ on: 'property', property: `ID_INPUT_${name}` }));
const noInput = (...names: readonly string[]): Fact[] =>
  names.map((name) => ({ on: 'property', property: `ID_INPUT_${name}`, negate: true }));

/** The conditions for each kind: all of them must hold. */
export const kindTests: Readonly<Record<Kind, readonly Fact[]>> = {
  keyboard: input('KEYBOARD'),
  mouse: input('MOUSE'),
  touchpad: input('TOUCHPAD'),
  touchscreen: input('TOUCHSCREEN'),
  tablet: input('TABLET'),
  joystick: input('JOYSTICK'),
  accelerometer: input('ACCELEROMETER'),
  switch: input('SWITCH'),
  keys: [...input('KEY'), ...noInput('KEYBOARD', 'MOUSE', 'TOUCHPAD', 'TOUCHSCREEN', 'TABLET', 'JOYSTICK')],
  // The sockets of a sound card are inputs below the card (sound/core/jack.c).
  jack: [{ on: 'path', pattern: '*/sound/card*/input*' }],
  sound: [{ on: 'subsystem', subsystem: 'sound' }],
  microphone: [{ on: 'stream', stream: 'capture' }],
  speaker: [{ on: 'stream', stream: 'playback' }],
  display: [{ on: 'subsystem', subsystem: 'drm' }],
};
