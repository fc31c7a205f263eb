import { attach, detach } from './attach.js';
import { check } from './check.js';
import { completion } from './completion.js';
import { confirm } from './confirm.js';
import { consoles } from './consoles.js';
import { devices } from './devices.js';
import { doctor } from './doctor.js';
import { explain } from './explain.js';
import { fmt } from './fmt.js';
import { identify } from './identify.js';
import { install, uninstall } from './install.js';
import { log } from './log.js';
import { man } from './man.js';
import { metrics } from './metrics.js';
import { plan } from './plan.js';
import { record } from './record.js';
import { release } from './release.js';
import { reload } from './reload.js';
import { report } from './report.js';
import { start } from './run.js';
import { schema } from './schema.js';
import { seats } from './seats.js';
import { status } from './status.js';
import { test } from './test.js';
import type { Verbs } from './verb.js';
import { wait } from './wait.js';
import { watch } from './watch.js';

/** The table of verbs: the command line, its help and its completion come from it. */
export const verbs: Verbs = {
  run: start,
  status,
  seats,
  devices,
  explain,
  identify,
  record,
  plan,
  reload,
  confirm,
  attach,
  detach,
  watch,
  doctor,
  report,
  log,
  metrics,
  check,
  test,
  fmt,
  schema,
  wait,
  consoles,
  install: install(() => verbs),
  uninstall: uninstall(() => verbs),
  release,
  completion: completion(() => verbs),
  man: man(() => verbs),
};
