import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { script } from '../driver/engine-variants.js';
import { checkout, guestFiles } from '../driver/paths.js';
import { test } from '../driver/test.js';
import type { Suite } from './engine-suite.js';

const run = {
  plain: 'podman run',
  filtered: 'podman run --security-opt seccomp=/etc/hotseat/frames.json',
} as const;

/** Podman's own profile with the rules of `oci-frames.json` in the place of its word for ioctl. */
export function framesFilter({ lab, variant }: Suite): void {
  test(`${variant.title}: its own filter refuses requests for pictures, of programs of 64 and of 32 bits, and no others`, async () => {
    const own = JSON.parse(await lab.sh('cat /usr/share/containers/seccomp.json')) as {
      syscalls: { names: string[] }[];
    };
    const rules = JSON.parse(await readFile(join(checkout, 'rules/oci-frames.json'), 'utf8')) as { names: string[] }[];
    const others = own.syscalls.map((rule) => ({ ...rule, names: rule.names.filter((name) => name !== 'ioctl') }));
    await lab.putFile('/etc/hotseat/frames.json', JSON.stringify({ ...own, syscalls: [...others, ...rules] }));
    await lab.putFile('/srv/probes/ioctls.py', await readFile(join(guestFiles, 'probes/ioctls.py')));
    const probe = async (how: keyof typeof run) => {
      const rest = '--rm --network none --systemd=false -v /srv/probes:/srv/probes:ro --rootfs /srv/engines/$name/root';
      return JSON.parse(await script(lab, 'frames', `${run[how]} ${rest} python3 /srv/probes/ioctls.py`)) as unknown;
    };
    await script(lab, 'frames', variant.prepare);
    const all = { read: [0x0a, 0x0b, 0xad, 0xce], unread: [] };
    const none = { read: [], unread: [] };
    assert.equal(await probe('plain'), { 64: none, 32: none });
    assert.equal(await probe('filtered'), { 64: all, 32: all });
  });
}
