import { ask } from '../control/client.js';
import { type EngineName, engineNames, isEngine } from '../core/policy.js';
import { controlSocket } from '../seat/layout.js';
import type { Call, ExitCode, Verb } from './verb.js';

/**
 * `hotseat wait`: LXC's start-host hook. Always exits 0, because a hook that fails stops the container, and a seat
 * without its keyboard for a moment is better than no seat.
 */
export const wait: Verb = {
  summary: 'wait until the devices of a container are granted, for its start hook',
  usage: 'wait [CONTAINER] [--engine ENGINE] [--timeout MS]  (CONTAINER: $LXC_NAME)',
  options: {
    engine: { type: 'string', help: 'the engine of the container: lxc in a hook of LXC, else any engine' },
    timeout: { type: 'string', help: 'longest wait, ms (10000)' },
  },
  examples: [{ line: 'wait left --timeout 5000', help: 'before the container left is started by hand' }],
  run: async ({ options, words }: Call): Promise<ExitCode> => {
    const hooked = process.env['LXC_NAME'];
    const container = hooked ?? words[0];
    const engine = options['engine'] ?? (hooked === undefined ? undefined : hookedBy(process.env['LXC_CONFIG_FILE']));
    const timeoutMs = Number(options['timeout'] ?? 10_000);
    if (container === undefined) throw new Error('name the container, or run as an LXC hook');
    if (!(timeoutMs >= 0 && timeoutMs <= 600_000)) throw new Error('--timeout takes 0 to 600000 ms');
    if (engine !== undefined && !isEngine(engine)) throw new Error(`--engine takes ${engineNames.join(', ')}`);
    try {
      await ask(controlSocket, { verb: 'wait', container, engine, timeoutMs }, timeoutMs + 1000);
    } catch (error) {
      console.error(`hotseat wait: ${(error as Error).message}; ${container} starts without waiting`);
    }
    return 0;
  },
};

/** Incus runs LXC's hooks as well, with a configuration of its own making (lxc.container.conf(5), LXC_CONFIG_FILE). */
const hookedBy = (configuration = ''): EngineName => (/\/(incus|lxd)\//.test(configuration) ? 'incus' : 'lxc');
