import type { Logger } from 'pino';
import { SeatController } from '../../agent/seat/controller.js';
import type { Grants } from '../../agent/seat/grants.js';
import type { DeviceTable } from '../../agent/udev/table.js';

const nothing = (): void => undefined;

/** The controller's questions to the kernel's grants, answered without a kernel. */
const grants: Partial<Grants> = {
  ...{ keep: nothing, restrict: nothing, reread: nothing, guard: nothing, drop: nothing, deny: nothing },
  confine: () => new Map(),
  of: () => new Map(),
};

/** A controller that grants nothing and enters no namespace, for tests that concern neither. */
export const standInController = (log: Logger, table: DeviceTable): SeatController =>
  new SeatController({
    ...{ log, table, grants: grants as Grants, namespaces: {} as never, effects: {} as never },
    ...{ audit: () => nothing, tell: nothing, measure: nothing },
  });
