import { pino } from 'pino';
import { concatMap, map, tap } from 'rxjs';
import { LoanBook, loanFile } from './active/loan-book.js';
import { PolicyManager } from './active/manager.js';
import { Overrides } from './active/overrides.js';
import { refMoves } from './active/ref-moves.js';
import { Trail, trailFile } from './audit/trail.js';
import { Counts } from './control/metrics.js';
import { permitted } from './control/permission.js';
import { answerer } from './control/requests.js';
import { ControlServer } from './control/server.js';
import type { Tell } from './core/happening.js';
import { DescriptorKeeper } from './descriptors/descriptor-keeper.js';
import { Engines, isOnRecord } from './engines/all.js';
import { looks } from './engines/looks.js';
import { AtBoot } from './host/at-boot.js';
import { Consoles } from './host/consoles.js';
import { groupOnHost } from './host/groups.js';
import { HostRules } from './host/host-rules.js';
import { logStream } from './host/journal.js';
import { notify, type State } from './host/notify.js';
import { keepWatch } from './host/watchdog.js';
import { cgroupRoot } from './kernel/cgroup.js';
import { DeviceMap } from './kernel/device-map.js';
import { DevicesV1 } from './kernel/devices-v1.js';
import { watchExecs } from './kernel/execs.js';
import { Helpers } from './kernel/helpers.js';
import { watchInits } from './kernel/inits.js';
import { Namespaces } from './kernel/namespaces.js';
import { filesRefusal } from './kernel/open-files.js';
import { processKey } from './kernel/process-key.js';
import { Reclaim } from './kernel/reclaim.js';
import { RecordFile } from './kernel/record-file.js';
import { ringsRefusal } from './kernel/rings.js';
import { watchThreads } from './kernel/thread-facts.js';
import { ensureWithdraw } from './kernel/withdraw.js';
import { OutputKeeper } from './outputs/output-keeper.js';
import { pipeline } from './pipeline.js';
import { abandonGit } from './policy/git-command.js';
import type { PolicyPlace } from './policy/source.js';
import { SeatController, type SeatControllerDeps } from './seat/controller.js';
import { effectsBy } from './seat/effects.js';
import { Grants } from './seat/grants.js';
import {
  attributeRecord,
  containerRecord,
  controlSocket,
  descriptorMarker,
  guardRecord,
  holderMarker,
  makeRuntime,
  scoreRecord,
  shareRecord,
} from './seat/layout.js';
import { thawAll } from './seat/thaw-all.js';
import { isFormer, isScore } from './shares/former.js';
import { ShareKeeper } from './shares/share-keeper.js';
import { isReadOnce, SlowAttributes } from './udev/slow-attributes.js';
import { UdevSource } from './udev/source.js';
import { DeviceTable } from './udev/table.js';
import { warmUpWhen } from './warm-up/warm-up.js';

export interface Options extends PolicyPlace {
  readonly logLevel: string;
}

/** How often to look for changes without an event, such as a new container or a moved ref, ms. */
const lookEvery = 30_000;

/** At a stop, actions in containers have this long to end, ms. The next run tries unfinished actions again. */
const lastAnswers = 3000;

const isText = (value: unknown): value is string => typeof value === 'string';

/** The daemon: wires the rooms, nothing else. Settles when it has been told to stop. */
export async function run(options: Options): Promise<void> {
  // Where there is no such hierarchy, this is the end: nothing has been touched.
  const root = cgroupRoot();
  let manager: PolicyManager | undefined;
  const revision = (): string => manager?.revision ?? 'none';
  const mixin = (): { revision: string } => ({ revision: revision() });
  const log = pino({ name: 'hotseat', level: options.logLevel, mixin }, logStream(1, process.env));
  makeRuntime();
  // At once: a policy can be long in coming.
  void thawAll().catch((error: Error) => log.error({ err: error }, 'a container still stands still'));
  const trail = new Trail({ file: trailFile, log, revision, group: groupOnHost(permitted.all) });
  const ended = trail.open({ what: 'run', process: processKey(process.pid) });

  const deviceMap = DeviceMap.open({ cgroupRoot: root, watch: ensureWithdraw });
  const withdraw = ensureWithdraw(deviceMap);
  if (!withdraw.active) log.warn({ reason: withdraw.reason }, 'the kernel cannot withdraw grants by itself');
  // A device that leaves a seat tells of it as well; an admin wants to know before.
  const unseen = ringsRefusal();
  if (unseen !== undefined) log.warn({ reason: unseen }, 'it cannot be told which processes have an io_uring');
  const blind = watchThreads() === undefined ? undefined : watchExecs();
  if (blind !== undefined) log.warn({ reason: blind }, 'it cannot be told which processes are in the middle of execve');

  const blank = filesRefusal();
  if (blank !== undefined)
    log.warn({ reason: blank }, 'it cannot be told which processes have a device open: each is looked at');
  const inits = watchInits();
  if (inits.refusal !== undefined)
    log.warn(
      { reason: inits.refusal },
      'it cannot be told which processes are inits of containers: they are searched for',
    );

  const helpers = new Helpers();
  const slow = new SlowAttributes(helpers, { record: new RecordFile(attributeRecord, isReadOnce), log });
  const table = new DeviceTable(undefined, slow.of);
  const namespaces = new Namespaces(helpers);
  const effects = effectsBy(new Reclaim(helpers));
  const udev = new UdevSource({ log });
  const engines = new Engines(root, {
    commandLine: (monitor) => namespaces.commandLine(monitor),
    log,
    record: new RecordFile(containerRecord, isOnRecord),
    tenants: () => controller.tenants,
    inits: inits.ask,
  });
  // Grants of containers that went, and of devices that were unplugged, while nobody watched go first.
  const grants = new Grants(deviceMap, DevicesV1.find(root), new RecordFile(guardRecord, isText));
  const running = engines.list();
  grants.keep(running.map(({ cgroup }) => cgroup));
  let control: ControlServer | undefined;
  const tell: Tell = (happening) => control?.tell(happening);
  const counts = new Counts();
  const { measure } = counts;
  const audit = trail.open;
  const rules = new HostRules(log);
  const along: SeatControllerDeps['along'] = (unit, verdict) => rules.tell(unit, verdict);
  const descriptors = new DescriptorKeeper({ log, namespaces, controller: () => controller, marker: descriptorMarker });
  const controller: SeatController = new SeatController({
    ...{ log, table, grants, namespaces, effects, tell, audit, measure, along, descriptors, slow },
    untold: () => engines.untold,
    isLeased: (id) => outputs.mayHold && outputs.has(table.unit(id)?.head ?? { node: undefined, number: undefined }),
    served: () => {
      outputs.schedule();
      descriptors.schedule();
    },
  });
  const outputs = new OutputKeeper({ log, controller, tell, marker: holderMarker });
  const consoles = new Consoles({ log });
  const book = new LoanBook(loanFile, (error) => log.error({ err: error }, 'devices attached by hand are forgotten'));
  const atBoot = new AtBoot(log);
  manager = new PolicyManager({
    log,
    place: options,
    table,
    controller,
    rules,
    consoles,
    atBoot,
    tell,
    audit,
    book,
    slow,
  });
  const overrides = new Overrides({ log, book, table, controller, manager, audit });

  const shares = new ShareKeeper({
    ...{ root, log, namespaces, record: new RecordFile(shareRecord, isFormer) },
    scores: new RecordFile(scoreRecord, isScore),
  });
  manager.adopted.subscribe(({ policy }) => shares.adopt(policy));
  manager.adopted.subscribe(() => {
    outputs.begin();
    descriptors.begin();
  });
  manager.adopted.subscribe(({ policy: { seats } }) => engines.attend(seats.map(({ container }) => container)));
  // Without a word to systemd everything works as well.
  const say = (state: State) =>
    void notify(state).catch((error: unknown) => log.warn({ err: error }, 'systemd was not told'));
  manager.adopted.subscribe(({ policy: { revision, seats } }) =>
    say(`STATUS=policy ${revision.slice(0, 12)}: ${seats.map(({ seat }) => seat).join(', ') || 'no seats'}`),
  );

  const containers = looks(engines.changes, lookEvery, () => engines.lastTook).pipe(
    map(() => engines.list()),
    tap((running) => shares.populate(running)),
  );
  const adopted = manager.adopted.pipe(map(({ touched }) => touched));
  const flow = pipeline({ udev: udev.messages, read: slow.read, adopted, containers }, table, controller).subscribe({
    error: (error: unknown) => {
      log.fatal({ err: error }, 'the pipeline broke');
      process.exit(1);
    },
  });

  const rooms = {
    controller,
    assignments: controller.assignments,
    table,
    manager,
    overrides,
    book,
    engines,
    consoles,
    udev,
    trail,
    counts,
    shares,
    outputs,
    descriptors,
    slow,
    helpers,
  };
  control = new ControlServer(controlSocket, answerer(rooms), log);

  // A helper is started beside the udev process when containers run already; otherwise when the first one is looked at.
  await Promise.all([udev.start(), running.length > 0 ? namespaces.start() : undefined]);
  await overrides.begin();
  await manager.begin();
  await control.listen();
  await notify('READY=1');
  const stopWatch = keepWatch(log, () => ({ udevSilentMs: udev.silentMs, busy: controller.busy() }));
  log.info({ policies: options.policies }, 'ready');
  const stop = new AbortController();
  void warmUpWhen(() => controller.busy().length === 0, log, stop.signal);

  const hangup = () => void manager.reload(false).catch(() => undefined);
  process.on('SIGHUP', hangup);
  const following = refMoves(options, lookEvery, (path) => namespaces.openLocal(path))
    .pipe(concatMap(() => manager.follow().catch((error: unknown) => log.debug({ err: error }, 'ref not followed'))))
    .subscribe();
  await new Promise<void>((resolve) => {
    process.once('SIGTERM', resolve);
    process.once('SIGINT', resolve);
  });
  log.info('stopping; every binding stays');
  say('STOPPING=1');
  stop.abort();
  stopWatch();
  following.unsubscribe();
  flow.unsubscribe();
  overrides.close();
  control.close();
  udev.stop();
  engines.close();
  slow.close();
  consoles.close();
  shares.close();
  outputs.close();
  descriptors.close();
  const impatience = setTimeout(() => namespaces.close(), lastAnswers);
  await controller.close();
  clearTimeout(impatience);
  namespaces.close();
  abandonGit();
  ended({ end: 'done' });
  trail.close();
}
