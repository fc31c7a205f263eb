import { createHmac, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Fixture } from './fixture.js';

/** Properties that tell one person's device from another's of the same make. */
const secretProperty = /^(UNIQ|HID_UNIQ|(\w+_)?SERIAL(_SHORT)?)$/;
const secretAttribute = /^(uniq|serial)$/;

/**
 * Bluetooth and network addresses, wherever they stand: a receiver's is in its description of its keyboards (PHYS).
 */
const address = /(?<![0-9a-f])[0-9a-f]{2}([:-])[0-9a-f]{2}(?:\1[0-9a-f]{2}){4,6}(?![0-9a-f])/gi;

/** A host controller has its PCI address for a serial (usbcore, hcd.c); it is in every path below, and nobody's secret. */
const pciAddress = /^[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f]$/i;

/**
 * Texts in which a device names itself, so that its serial number may be in them as well. Not in numbers and paths: a
 * serial of `0000` says nothing about `pci-0000:00:14.0`.
 */
const speaking =
  /^(NAME|PHYS|UNIQ|HID_\w+|ID_ID|ID_\w*(SERIAL|MODEL|VENDOR)(_SHORT|_ENC)?)$|^(name|phys|uniq|serial|product|manufacturer)$/;
const byPath = /\/by-path\//;

/**
 * Shorter ones are masked where they stand, but not looked for in other texts; longer ones are found inside of words, too.
 */
const telling = { shortest: 4, inWords: 8 };

/**
 * A recorded unit without private strings: serial numbers and addresses become `masked-…`, by a keyed hash, so that
 * equal ones stay equal in all files that were recorded with one key, and nobody finds out by trying. The text around
 * them stays: `Maker_Model_SERIAL` becomes `Maker_Model_masked-…`.
 */
export function maskFixture(fixture: Fixture, key: string): Fixture {
  const secrets = secretsOf(fixture);
  const alias = aliasBy(key);
  const addresses = withoutAddresses(alias);
  const cleaned = cleaner(
    [...secrets].filter(({ length }) => length >= telling.shortest),
    alias,
  );
  const named =
    (name: string, secret: boolean) =>
    (text: string): string => {
      const bare = unquoted(text);
      if (secret && secrets.has(bare) && addresses(bare) === bare) return text.replace(bare, () => alias(bare));
      return speaking.test(name) ? cleaned(text) : addresses(text);
    };
  return {
    ...fixture,
    devices: fixture.devices.map((device) => ({
      ...device,
      syspath: addresses(device.syspath),
      ...mapped('properties', device.properties, (name) => named(name, secretProperty.test(name))),
      ...mapped('attributes', device.attributes, (name) => named(name, secretAttribute.test(name))),
      ...(device.links === undefined
        ? {}
        : { links: device.links.map((link) => (byPath.test(link) ? addresses(link) : cleaned(link))) }),
    })),
    ...(fixture.ancestors === undefined
      ? {}
      : {
          ancestors: fixture.ancestors.map((ancestor) => ({
            ...ancestor,
            syspath: addresses(ancestor.syspath),
            ...mapped('attributes', ancestor.attributes, (name) => named(name, secretAttribute.test(name))),
          })),
        }),
  };
}

/**
 * Masks free texts, such as a log, as the recorded units of that PC are masked: addresses, and the units' private strings.
 * A short string of nothing but hexadecimal digits stays, because it is like the ids and numbers that a text is full of.
 */
export function textMasker(fixtures: readonly Fixture[], key: string): (text: string) => string {
  const secrets = [...new Set(fixtures.flatMap((fixture) => [...secretsOf(fixture)]))].filter(
    (secret) => secret.length >= telling.inWords || (secret.length >= telling.shortest && !number.test(secret)),
  );
  return cleaner(secrets, aliasBy(key));
}

type Mask = (text: string) => string;

const withoutAddresses =
  (alias: Mask): Mask =>
  (text) =>
    text.replace(address, (found) => alias(found.toLowerCase()));

/** Puts aliases in the place of these private strings, the longest first, and of addresses. */
function cleaner(secrets: readonly string[], alias: Mask): Mask {
  const addresses = withoutAddresses(alias);
  if (secrets.length === 0) return addresses;
  const longestFirst = [...secrets].sort((a, b) => b.length - a.length);
  const mentions = new RegExp(longestFirst.map(mention).join('|'), 'g');
  return (text) => addresses(text.replace(mentions, alias));
}

const number = /^[0-9a-f]*$/i;

/** The name in the place of a private string, with a key. */
const aliasBy =
  (key: string) =>
  (secret: string): string =>
    secret.startsWith('masked-')
      ? secret
      : `masked-${createHmac('sha256', key).update(secret).digest('hex').slice(0, 8)}`;

/** All private strings of a unit. */
function secretsOf({ devices, ancestors = [] }: Fixture): Set<string> {
  const properties = devices.map((device) => device.properties ?? {});
  const short = [
    ...[...devices, ...ancestors].flatMap(({ attributes = {} }) =>
      Object.entries(attributes).filter(([name]) => secretAttribute.test(name)),
    ),
    ...properties.flatMap((record) =>
      Object.entries(record).filter(([name]) => secretProperty.test(name) && !name.endsWith('SERIAL')),
    ),
  ].map(([, text]) => unquoted(text));
  const long = properties.flatMap((record) =>
    Object.entries(record)
      .filter(([name, text]) => secretProperty.test(name) && name.endsWith('SERIAL') && !composed(text, record, short))
      .map(([, text]) => text),
  );
  return new Set([...short, ...long].filter((text) => text !== '' && !pciAddress.test(text)));
}

/** ID_SERIAL is maker, model and the short one, as far as there is one (udev-builtin-usb_id.c): only that is private. */
const composed = (text: string, { ID_VENDOR, ID_MODEL }: Readonly<Record<string, string>>, short: readonly string[]) =>
  text === `${ID_VENDOR}_${ID_MODEL}` ||
  short.some((one) => one.length >= telling.shortest && text.endsWith(`_${one}`));

function mapped<K extends string>(
  key: K,
  record: Readonly<Record<string, string>> | undefined,
  change: (name: string) => (text: string) => string,
): { [key in K]?: Record<string, string> } {
  if (record === undefined) return {};
  const entries = Object.entries(record).map(([name, text]) => [name, change(name)(text)] as const);
  return { [key]: Object.fromEntries(entries) } as { [key in K]?: Record<string, string> };
}

/** The kernel quotes NAME, PHYS and UNIQ in its events (input_add_uevent_bm_var and around). */
const unquoted = (text: string): string => /^"(.*)"$/s.exec(text)?.[1] ?? text;

/** Where a secret is spoken of, as a pattern. */
function mention(secret: string): string {
  const literal = secret.replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&');
  return secret.length >= telling.inWords ? literal : `(?<![A-Za-z0-9])${literal}(?![A-Za-z0-9])`;
}

/**
 * The key for masking the strings of this PC. The machine's id never leaves it except as a keyed hash, as machine-id(5)
 * asks for; where there is none, files of different recordings cannot be compared.
 */
export function machineKey(file = '/etc/machine-id'): string {
  try {
    return `hotseat record ${readFileSync(file, 'utf8').trim()}`;
  } catch {
    return randomBytes(16).toString('hex');
  }
}
