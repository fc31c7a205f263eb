import { mkdirSync } from 'node:fs';
import { pino } from 'pino';
import { map, merge, of, Subject, startWith, switchMap, timer } from 'rxjs';
import { ControlError } from './control/error.js';
import type { Request } from './control/messages.js';
import { ControlServer } from './control/server.js';
import { statusOf } from './control/status.js';
import type { Policy } from './core/policy.js';
import { LxcEngine } from './engines/lxc.js';
import { Consoles } from './host/consoles.js';
import { HostRules } from './host/host-rules.js';
import { notifyReady } from './host/notify.js';
import { House } from './house.js';
import { cgroupId, cgroupRoot } from './kernel/cgroup.js';
import { DeviceMap } from './kernel/device-map.js';
import { Namespaces } from './kernel/namespaces.js';
import { ensureWithdraw } from './kernel/withdraw.js';
import { pipeline } from './pipeline.js';
import { formatDiagnostic } from './policy/diagnostics.js';
import { loadDirectory } from './policy/load.js';
import { Grants } from './seat/grants.js';
import { controlSocket, runtime } from './seat/layout.js';
import { UdevSource } from './udev/source.js';
import { DeviceTable } from './udev/table.js';

export interface Options {
  /** Directory with the seat files. */
  readonly policies: string;
  readonly logLevel: string;
}

/** A container that is being set up tells nobody when it is done: looked at this often then, ms. */
const setupCheck = [50, 100, 200, 400, 800, 1500, 3000, 6000, 12_000, 20_000];

/** The daemon: wires the rooms, nothing else. Settles when it has been told to stop. */
export async function run(options: Options): Promise<void> {
  const log = pino({ name: 'hotseat', level: options.logLevel }, pino.destination({ dest: 1, sync: true }));
  mkdirSync(runtime, { recursive: true, mode: 0o755 });

  const deviceMap = DeviceMap.open({ cgroupRoot: cgroupRoot() });
  const withdraw = ensureWithdraw(deviceMap);
  if (!withdraw.active) log.warn({ reason: withdraw.reason }, 'the kernel cannot withdraw grants by itself');

  const table = new DeviceTable();
  const namespaces = new Namespaces();
  const udev = new UdevSource({ log });
  const lxc = new LxcEngine(cgroupRoot());
  // Grants of containers that went, and of devices that were unplugged, while nobody watched go first.
  deviceMap.purge(new Set(lxc.list().map((container) => cgroupId(container.cgroup))));
  const house = new House({ log, table, grants: new Grants(deviceMap), namespaces });
  const consoles = new Consoles({ log });
  const rules = new HostRules(log);

  const policies = new Subject<Policy>();
  let policyErrors: readonly string[] = [];
  const reload = async (): Promise<string> => {
    const loaded = loadDirectory(options.policies);
    if (!loaded.ok) {
      policyErrors = loaded.diagnostics.map(formatDiagnostic);
      for (const error of policyErrors) log.error({ policy: error }, 'policy refused, the last good one stays');
      throw new ControlError('the policy has errors; the last good one stays active', policyErrors);
    }
    policyErrors = [];
    policies.next(loaded.policy);
    await rules.install(loaded.policy, table, house);
    const seats = loaded.policy.seats.length > 0;
    if (seats && loaded.policy.console === 'mute') consoles.mute();
    else consoles.open(seats);
    log.info({ revision: loaded.policy.revision, seats: loaded.policy.seats.map(({ seat }) => seat) }, 'policy loaded');
    return loaded.policy.revision;
  };

  const looks = lxc.changes.pipe(
    startWith(undefined),
    switchMap(() => merge(of(0), ...setupCheck.map((ms) => timer(ms)))),
    map(() => lxc.list()),
  );
  const flow = pipeline({ udev: udev.messages, policies, containers: looks }, table, house).subscribe({
    error: (error: unknown) => {
      log.fatal({ err: error }, 'the pipeline broke');
      process.exit(1);
    },
  });

  const wait = async (name: string, timeoutMs: number): Promise<void> => {
    const policy = house.seatOfContainer(name);
    if (policy === undefined) return;
    house.populate(lxc.list());
    await Promise.race([house.serve([policy.seat]), new Promise((resolve) => setTimeout(resolve, timeoutMs).unref())]);
  };
  const handle = async (request: Request): Promise<unknown> => {
    switch (request.verb) {
      case 'status':
        return statusOf(house, table, { policyErrors, udev: udev.stats, leaks: consoles.leaks() });
      case 'reload':
        return { revision: await reload() };
      case 'wait':
        return wait(request.container, request.timeoutMs);
    }
  };
  const control = new ControlServer(controlSocket, handle, log);

  await Promise.all([udev.start(), namespaces.start()]);
  await reload().catch(() => undefined);
  await control.listen();
  await notifyReady();
  log.info({ pid: process.pid, policies: options.policies }, 'ready');

  const hangup = () => void reload().catch(() => undefined);
  process.on('SIGHUP', hangup);
  await new Promise<void>((resolve) => {
    process.once('SIGTERM', resolve);
    process.once('SIGINT', resolve);
  });
  log.info('stopping; every binding stays');
  flow.unsubscribe();
  control.close();
  udev.stop();
  lxc.close();
  consoles.close();
  await house.close();
  namespaces.close();
}
