import type { SeatStatus, Status } from '../control/messages.js';
import type { ServiceFacts, UnitFacts } from './facts.js';
import { about, type Finding } from './finding.js';

const udev = about('udev');
const service = about('service');
const engine = about('engines');

/** Whether udevd answers and knows of the policy, whether the service runs, and what the agent itself complains of. */
export function checkService({ udevd, rules, unit, agent }: ServiceFacts, disabled: boolean): Finding[] {
  const findings: Finding[] = [];
  if (udevd !== undefined) {
    findings.push(
      udevd.refusal === undefined
        ? udev.ok('udevd answers')
        : udev.problem(`udevd does not answer: ${udevd.refusal}`, 'systemctl start systemd-udevd'),
    );
  }
  // With hotseat.disable it is off because it was told to be, and that has been said.
  if (disabled) return findings;
  if (unit !== undefined) findings.push(unitFinding(unit));
  if ('silent' in agent) {
    // An ordinary user may not ask an agent that runs. The unit has said already that it does not run.
    if (udevd === undefined && unit?.active === 'active')
      findings.push(service.warning(agent.silent, 'run it as root'));
    else if (unit === undefined || unit.active === 'active') {
      const remedy = 'systemctl restart hotseat; journalctl -u hotseat says what happened';
      findings.push(service.problem(agent.silent, remedy));
    }
    return findings;
  }
  if (!rules && agent.status.seats.length > 0) {
    findings.push(
      udev.problem("the host's udev does not know the policy: its rules are missing", 'systemctl restart hotseat'),
    );
  }
  const { away } = agent.status.udev;
  if (away !== undefined && udevd?.refusal === undefined) {
    findings.push(udev.problem(`the agent hears of no device: ${away}`, 'journalctl -u hotseat says what happened'));
  }
  return [...findings, ...complaints(agent.status), ...hearing(agent.status)];
}

/** Whether the agent hears the engines' own events. Without it their containers are found by their cgroups alone. */
function hearing({ engines }: Status): Finding[] {
  return [...new Set(engines.map((stream) => stream.engine))].map((name) => {
    const streams = engines.filter((stream) => stream.engine === name);
    const heard = streams.filter(({ reason }) => reason === undefined).map(({ place }) => place);
    const reasons = streams.flatMap(({ reason }) => reason ?? []);
    return heard.length > 0
      ? engine.ok(`${name}: the agent hears its events: ${heard.join(', ')}`)
      : engine.warning(
          `${name}: its events are not heard: ${reasons.join('; ')}`,
          `start ${name}, or leave it: its containers are found by their cgroups as well`,
        );
  });
}

function unitFinding({ load, active, file, result, restarts }: UnitFacts): Finding {
  if (load === 'not-found')
    return service.problem(
      'hotseat.service is not installed',
      'apt install the package, or hotseat install in a checkout',
    );
  if (active !== 'active') {
    const how = result === 'success' ? active : `${active}, because of ${result}`;
    return service.problem(
      `hotseat.service is ${how}`,
      'systemctl start hotseat; journalctl -u hotseat says what happened',
    );
  }
  if (file === 'disabled') return service.warning('hotseat.service is not started at boot', 'systemctl enable hotseat');
  if (restarts > 0) {
    const remedy = 'journalctl -u hotseat -p warning says why';
    return service.warning(`hotseat.service runs, and was started again ${restarts} times`, remedy);
  }
  return service.ok('hotseat.service runs');
}

/** The faults in `hotseat status`, with the seats' own problems. */
function complaints(status: Status): Finding[] {
  const { revision, seats, policyErrors, trialEnds, conflicts, withheld, unread, leaks, host, audit, attached } =
    status;
  return [
    service.ok(`the agent answers: policy ${revision}, seats: ${seats.map(({ seat }) => seat).join(', ') || 'none'}`),
    ...(trialEnds === undefined
      ? []
      : [
          service.warning(
            `the policy is on trial until ${trialEnds}`,
            'hotseat confirm keeps it; without that, the policy before it comes back',
          ),
        ]),
    ...policyErrors.map((error) => service.problem(`policy refused: ${error}`, 'hotseat check shows all mistakes')),
    ...conflicts.map(({ device, rules }) =>
      service.problem(
        `${device} is wanted by ${rules.join(' and ')}, and bound to neither`,
        `make the rules exclude each other: hotseat explain ${device}`,
      ),
    ),
    ...seats.flatMap(ofSeat),
    ...unread.map(({ device, reason }) =>
      service.problem(
        `nobody gets ${device}: ${reason}`,
        'end the program that has its file in /dev/bus/usb open: fuser',
      ),
    ),
    ...withheld.map(({ device, reason }) =>
      service.warning(`${device} does not come along: ${reason}`, `hotseat explain ${device} names the rule`),
    ),
    ...host.map(({ device, reason }) => udev.problem(`${device}: ${said(reason)}`, asked(reason))),
    ...(audit === undefined
      ? []
      : [service.problem(`the audit trail cannot be written: ${audit}`, 'make room, or mend /var/lib/hotseat')]),
    ...attached.map(({ name, port, seat, until, by }) => {
      const end = until === undefined ? 'a boot' : until;
      const text = `${name}${port === '' ? '' : ` (${port})`} was given to ${seat} by hand, by uid ${by}, until ${end}`;
      return service.warning(text, 'hotseat detach DEVICE takes it back; no seat file says so');
    }),
    ...leaks.map((leak) => service.warning(leak, 'host.yaml: console: mute')),
  ];
}

/** The seat's own problems, as the agent has them. */
function ofSeat({ seat, problem, shares, served }: SeatStatus): Finding[] {
  const one = about(`seat ${seat}`);
  return [
    ...(problem === undefined ? [] : [one.problem(problem, 'journalctl -u hotseat tells more')]),
    ...(shares?.problem === undefined
      ? []
      : [one.warning(`its shares are not as its file asks: ${shares.problem}`, `hotseat explain --seat ${seat}`)]),
    ...(served?.problem === undefined
      ? []
      : [
          one.problem(
            `no display server of it can open a device: ${served.problem}`,
            'systemctl start hotseat-holder.socket; journalctl -u hotseat-holder says what happened',
          ),
        ]),
  ];
}

/** The fault, and behind the last colon the remedy. */
const said = (reason: string): string => reason.slice(0, reason.lastIndexOf(': '));
const asked = (reason: string): string => reason.slice(reason.lastIndexOf(': ') + 2);
