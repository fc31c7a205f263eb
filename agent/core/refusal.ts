/**
 * Every reason for which the agent, or a client on its way to it, says no: a code that scripts may rely on, the cause,
 * and the remedy. Help and the manual are made from this table.
 */
export const refusals = {
  'agent-away': { cause: 'The agent does not run, or cannot be reached.', remedy: 'systemctl start hotseat' },
  'agent-silent': { cause: 'The agent did not answer in time, or broke off.', remedy: 'journalctl --unit hotseat' },
  'bad-request': { cause: 'The agent does not know this request.', remedy: 'hotseat VERB --help' },
  busy: { cause: 'Too many ask at once, or one user asks too much.', remedy: 'try again later, or ask as root' },
  'not-permitted': { cause: 'The verb is for root, or for the members of a group.', remedy: 'run it as root' },
  'no-device': { cause: 'No device has this name.', remedy: 'hotseat devices' },
  'many-devices': { cause: 'Several devices have this name.', remedy: 'name one by its node or path' },
  'raw-node': {
    cause: 'A raw node goes where its inputs go, or where a rule with `hidraw: true` says.',
    remedy: 'name an input of its device',
  },
  unread: {
    cause: 'The kernel did not give out all of the device in time.',
    remedy: 'hotseat status, and try again later',
  },
  'no-output': { cause: 'No output has this name.', remedy: 'hotseat devices' },
  'not-shared': { cause: 'The card of the output is not shared among seats.', remedy: 'hotseat explain OUTPUT' },
  'output-in-use': { cause: 'Somebody shows pictures on the output.', remedy: 'end the display server there' },
  'no-monitor': { cause: 'No monitor is at the output.', remedy: 'plug one' },
  twins: { cause: 'Nothing tells the device from another one.', remedy: 'hotseat attach --force' },
  'no-seat': { cause: 'The policy has no such seat.', remedy: 'hotseat status' },
  'not-attached': { cause: 'The device was not attached by hand.', remedy: 'hotseat status' },
  'too-many': { cause: 'No more devices can be attached by hand.', remedy: 'hotseat detach' },
  'not-running': { cause: 'The container of the seat does not run.', remedy: 'start it' },
  dangerous: {
    cause: 'The host would lose its last keyboard, or a device would come into conflict.',
    remedy: 'hotseat plan, then --force',
  },
  'no-policy': { cause: 'No policy is in force yet.', remedy: 'hotseat status' },
  'policy-errors': { cause: 'The policy has errors, or cannot be read.', remedy: 'hotseat check' },
  'policy-back': {
    cause: 'The policy does not follow the last confirmed policy.',
    remedy: 'commit on top of it',
  },
  'policy-unconfirmed': {
    cause: 'The policy was on trial and nobody confirmed it.',
    remedy: 'change it, or hotseat reload',
  },
  'no-trial': { cause: 'No policy is on trial.', remedy: 'hotseat reload --confirm 30s' },
  failed: { cause: 'The agent could not do it.', remedy: 'journalctl --unit hotseat' },
} as const satisfies Readonly<Record<string, { readonly cause: string; readonly remedy: string }>>;

export type RefusalCode = keyof typeof refusals;

/** A request that could not be made or could not be done: its code, why in words, and the lines that tell more. */
export class ControlError extends Error {
  constructor(
    readonly code: RefusalCode,
    message: string,
    readonly details: readonly string[] = [],
  ) {
    super(message);
    this.name = 'ControlError';
  }
}

/** The code of an error. */
export const codeOf = (error: unknown): RefusalCode => (error instanceof ControlError ? error.code : 'failed');
