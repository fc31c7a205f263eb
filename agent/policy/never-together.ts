import { subsystemsOf } from '../core/classes.js';
import type { Subsystem } from '../core/device.js';
import { glob } from '../core/glob.js';
import type { Condition } from '../core/policy.js';
import type { Never } from './never.js';

/** Conditions that no one device can meet all of, such as a kind of input and `subsystem: sound`. `key`: where one of them is at fault. */
export function neverTogether(conditions: readonly Condition[]): (Never & { readonly key?: string }) | undefined {
  const subsystems = subsystemsOf({ conditions, byName: false });
  if (subsystems.length > 0) return unsaid(conditions, subsystems) ?? opposed(conditions);
  const keys = conditions.flatMap((one) =>
    one.on === 'subsystem' || one.on === 'kind' ? [`${one.on}: ${one.patterns.join(', ')}`] : [],
  );
  return { message: `nothing is all of ${keys.join(' and ')}`, remedy: 'keep one of them, or write two rules' };
}

/** Properties that udev sets for some subsystems only (60-persistent-input.rules, 78-sound-card.rules, 60-drm.rules). */
const saidOf: readonly { readonly names: RegExp; readonly by: readonly Subsystem[] }[] = [
  { names: /^ID_INPUT/, by: ['input'] },
  { names: /^ID_(VENDOR|MODEL|SERIAL|REVISION|BUS|TYPE|USB|INSTANCE)(_|$)/, by: ['input', 'sound'] },
];

/** For a Bluetooth device, udev says the bus and nothing more (60-persistent-input.rules). */
const notOfBluetooth = /^ID_(VENDOR|MODEL|SERIAL|REVISION|TYPE|USB)(_|$)/;

/** A property that nothing in these subsystems has. */
function unsaid(conditions: readonly Condition[], subsystems: readonly Subsystem[]): ReturnType<typeof neverTogether> {
  const isOfBluetooth = conditions.some(
    (one) =>
      one.on === 'property' &&
      one.key === 'ID_BUS' &&
      !one.negate &&
      one.patterns.every((text) => text === 'bluetooth'),
  );
  for (const one of conditions) {
    if (one.on !== 'property' || one.negate || one.patterns.some((pattern) => glob(pattern, ''))) continue;
    const { key, patterns } = one;
    const by = saidOf.find(({ names }) => names.test(key))?.by;
    const isSaid = by === undefined || subsystems.some((subsystem) => by.includes(subsystem));
    const [what, instead] = !isSaid
      ? [subsystems.join(' or '), subsystems.join() === 'drm' ? ofCard : {}]
      : isOfBluetooth && notOfBluetooth.test(key)
        ? ['Bluetooth', ofBluetooth]
        : [undefined, {}];
    if (what === undefined) {
      const wanted = prefixed(one, subsystems);
      if (wanted === undefined) continue;
      const message = `${key} begins with 0x on PCI alone, where no input is`;
      return { key, message, remedy: `write ${key}: ${JSON.stringify(wanted)}` };
    }
    const attribute = instead[key]?.(patterns[0] ?? '');
    const remedy = attribute === undefined ? 'write a port, or attr: { … }' : `write attr: { ${attribute} }`;
    return { key, message: `udev sets no ${key} for ${what} devices`, remedy };
  }
  return undefined;
}

/** The text to write for a number with 0x, which udev says of sound cards on PCI (78-sound-card.rules), in a rule for inputs. */
function prefixed(
  { key, patterns }: { readonly key: string; readonly patterns: readonly string[] },
  subsystems: readonly Subsystem[],
): string | undefined {
  const isId = /^ID_(VENDOR|MODEL)_ID$/.test(key) && subsystems.join() === 'input';
  const [first = ''] = patterns;
  return isId && patterns.every((text) => text.startsWith('0x')) ? first.slice('0x'.length) : undefined;
}

/** The attribute that says the same as a property that is not there. */
type Instead = Readonly<Record<string, (pattern: string) => string>>;

const ofCard: Instead = {
  ID_VENDOR_ID: (id) => `vendor: "0x${id.replace(/^0x/, '')}"`,
  ID_MODEL_ID: (id) => `device: "0x${id.replace(/^0x/, '')}"`,
};
const ofBluetooth: Instead = {
  ID_VENDOR_ID: (id) => `id/vendor: "${id}"`,
  ID_MODEL_ID: (id) => `id/product: "${id}"`,
  ID_MODEL: (name) => `name: "${name}"`,
  ID_SERIAL: (address) => `uniq: "${address}"`,
  ID_SERIAL_SHORT: (address) => `uniq: "${address}"`,
};

/** A condition of which every alternative is excluded by `not`. */
function opposed(conditions: readonly Condition[]): Never | undefined {
  const keyOf = (one: Condition): string => ('key' in one ? one.key : one.on);
  for (const one of conditions) {
    if (one.on === 'attribute' || one.negate) continue;
    const excluded = conditions.find(
      (other) => other.on !== 'attribute' && other.negate && other.on === one.on && keyOf(other) === keyOf(one),
    );
    if (excluded === undefined || !one.patterns.every((text) => excluded.patterns.some((other) => other === text)))
      continue;
    return { message: `not excludes all that ${keyOf(one)} asks for`, remedy: 'remove one of them' };
  }
  return undefined;
}
