/** An event of evdev (linux/input.h): what happened, to which key or axis, and its new value. */
export interface InputEvent {
  readonly type: number;
  readonly code: number;
  readonly value: number;
}

/** Size of `struct input_event` on 64-bit machines: a time of two words, type, code, value. */
const eventSize = 24;

/** Events from the bytes of an event node. An incomplete event at the end is left out. */
export function parseEvents(bytes: Buffer): InputEvent[] {
  const events: InputEvent[] = [];
  for (let at = 0; at + eventSize <= bytes.length; at += eventSize) {
    events.push({
      type: bytes.readUInt16LE(at + 16),
      code: bytes.readUInt16LE(at + 18),
      value: bytes.readInt32LE(at + 20),
    });
  }
  return events;
}

/** Kinds of events (linux/input-event-codes.h). */
const type = { key: 1, relative: 2, absolute: 3, switch: 5 } as const;

/** An axis that moves by this part of its range was moved by somebody; less is its noise. */
const noise = 1 / 16;

/**
 * Whether somebody touched the device: a key was pressed, a mouse moved, an axis moved further than it trembles. A key
 * that is released or repeats does not count, because it was pressed before. `rangeOf`: largest minus smallest value of
 * an axis; asked once for each.
 */
export function touchDetector(rangeOf: (axis: number) => number | undefined): (event: InputEvent) => boolean {
  const axes = new Map<number, { readonly first: number; readonly enough: number }>();
  return ({ type: kind, code, value }) => {
    switch (kind) {
      case type.key:
        return value === 1;
      case type.relative:
        return value !== 0;
      case type.switch:
        return true;
      case type.absolute: {
        const axis = axes.get(code);
        if (axis !== undefined) return Math.abs(value - axis.first) > axis.enough;
        axes.set(code, { first: value, enough: (rangeOf(code) ?? Number.POSITIVE_INFINITY) * noise });
        return false;
      }
      default:
        return false;
    }
  };
}
