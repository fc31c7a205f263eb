import type { SeatStatus } from '../control/messages.js';
import { bootFacts } from './boot-facts.js';
import { checkBoot } from './check-boot.js';
import { checkKernel } from './check-kernel.js';
import { checkKilled } from './check-killed.js';
import { checkLoad } from './check-load.js';
import { checkOutputs, seatsWithOutputs } from './check-outputs.js';
import { checkPolicy } from './check-policy.js';
import { checkSeat } from './check-seat.js';
import { checkService } from './check-service.js';
import { checkShares } from './check-shares.js';
import { engineFacts } from './engine-facts.js';
import type { Facts } from './facts.js';
import { about, type Finding } from './finding.js';
import { kernelFacts } from './kernel-facts.js';
import { loadFacts } from './load-facts.js';
import { policyFacts } from './policy-facts.js';
import { seatFacts } from './seat-facts.js';
import { serviceFacts } from './service-facts.js';
import { shareFacts } from './share-facts.js';

/** Looks at this PC and says what it finds. `policies`: where seat files are when the daemon's options do not say. */
export async function examine(policies: string): Promise<Finding[]> {
  const root = process.getuid?.() === 0;
  const policy = await policyFacts(policies);
  const seats = root ? await seatFacts(policy.seats) : undefined;
  return diagnose({
    kernel: kernelFacts(root),
    service: await serviceFacts(root),
    boot: root ? await bootFacts() : undefined,
    policy,
    engines: await engineFacts(),
    shares: root ? shareFacts() : undefined,
    load: await loadFacts((seats ?? []).flatMap(({ placed }) => placed ?? [])),
    seats,
  });
}

/** The findings about a PC, from its facts. */
export function diagnose({ kernel, service, boot, policy, engines, shares, load, seats }: Facts): Finding[] {
  const withOutputs = seatsWithOutputs(service);
  return [
    ...checkKernel(kernel),
    ...checkService(service, kernel.disabled),
    ...checkOutputs(service),
    ...(boot === undefined || kernel.disabled ? [] : checkBoot(boot)),
    ...checkPolicy(policy, engines),
    ...(seats === undefined
      ? [about('kernel').warning('its features, udevd and the containers were not looked at', 'run it as root')]
      : [
          ...seats.flatMap((one) => checkSeat(one, withOutputs.has(one.seat), saidOf(service, one.seat))),
          ...seats.flatMap((one) => checkKilled(one, !('silent' in service.agent))),
          ...checkLoad(load),
          ...checkShares(shares, seats),
        ]),
  ];
}

/** The agent's word about a seat. */
const saidOf = ({ agent }: Facts['service'], seat: string): SeatStatus | undefined =>
  'silent' in agent ? undefined : agent.status.seats.find((one) => one.seat === seat);
