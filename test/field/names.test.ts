// Keyboards that call themselves as their makers write: letters, spaces and signs beyond ASCII. udev makes by-id names of them.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { namesWithheld } from '../../agent/control/inspect.js';
import { keyboard } from './driver/capabilities.js';
import { field, plug, usbPort } from './driver/field.js';

const pc = field(import.meta.url);
const plain = [
  'Tastatur für Käse',
  'Клавиатура',
  '键盘',
  'Cafe\u0301',
  'No\u00a0Break',
  'ideo\u3000space',
  '⌨\ufe0f Board',
  'שלום',
  '€uro',
];
const hidden = ['Soft\u00adHyphen', 'zw\u200dj', '\u202eevil'];
for (const [place, name] of [...plain, ...hidden].entries())
  pc.usb(`1.${place + 1}`, { ids: '1234:0001', product: name, serial: `S${place}` }).hid(0, [{ name, can: keyboard }]);

test('each has its name in the seat, but for characters that cannot be seen, and explain says that', () => {
  const seen = plug(pc, { left: `  - { label: all, match: { port: "${usbPort('1')}" } }` });
  for (const [place, name] of [...plain, ...hidden].entries()) {
    const { id, nodes } = seen.unit(`input${place}`);
    const made = nodes.flatMap(({ links }) => links.filter((link) => link.includes('/by-id/')));
    const mine = seen.desired('left').devices.filter(({ entry }) => entry.unit === id);
    const got = mine.flatMap(({ links }) =>
      links.map((link) => `/dev/input/${link.name}`).filter((link) => /by-id/.test(link)),
    );
    assert.is(made.length, 1, name);
    assert.equal(got, place < plain.length ? made : [], name);
    const said = namesWithheld(seen.unit(`input${place}`), seen.verdict(`input${place}`)).map(({ device }) => device);
    assert.equal(said, place < plain.length ? [] : made, name);
  }
});

test.run();
