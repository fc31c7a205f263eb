import { unifiedRemedy } from '../kernel/cgroup.js';
import { type KernelFacts, type Need, needs, type Refusal } from './facts.js';
import { about, type Finding } from './finding.js';

const { ok, warning, problem } = about('kernel');

/** The purpose of each, and since when Linux has it. */
const purpose: Readonly<Record<Need, string>> = {
  openat2: 'opening files of containers without following links, Linux 5.6',
  pidfd: 'taking open devices back, Linux 5.6',
  mounts: 'grafts into running containers, Linux 5.12',
  'device programs': 'grants, CONFIG_CGROUP_BPF',
};

/** Whether this kernel has the features that the agent needs. */
export const checkKernel = ({ release, disabled, cgroups, tried }: KernelFacts): Finding[] => [
  ...(tried === undefined
    ? []
    : [
        ...refused(release, tried.refusals),
        featureFinding(
          tried.withdrawal,
          'withdraws a grant by itself when its device goes',
          'cannot withdraw a grant by itself',
          "a grant ends with udev's message instead, and not while the agent is down: boot a kernel with kprobes and BTF",
        ),
        featureFinding(
          tried.rings,
          'tells which processes have an io_uring',
          'does not tell which processes have an io_uring',
          'the driver of each device that leaves a running container is bound again, and a graphics card stays until its container stops: boot a kernel with BTF and BPF iterators',
        ),
        featureFinding(
          tried.files,
          'tells which processes have a device open',
          'does not tell which processes have a device open',
          'each process is looked at when a device moves, and a container stands still for longer: boot a kernel with BTF and BPF iterators (Linux 5.8)',
        ),
        featureFinding(
          tried.inits,
          'tells which processes are inits of containers',
          'does not tell which processes are inits of containers',
          'a container that hides its init opens no device: boot a kernel with BTF and BPF iterators (Linux 6.1)',
        ),
      ]),
  cgroupFinding(cgroups),
  ...(disabled
    ? [
        problem(
          "hotseat.disable is on the command line: nothing of Hotseat starts, every device is the host's",
          'boot without it',
        ),
      ]
    : []),
];

function refused(release: string, refusals: Readonly<Record<Need, Refusal>>): Finding[] {
  const findings = needs.flatMap((need) => {
    const reason = refusals[need];
    return reason === undefined
      ? []
      : [problem(`no ${need} (${purpose[need]}): ${reason}`, 'boot a kernel of Debian 12 or newer, on the PC itself')];
  });
  return findings.length > 0 ? findings : [ok(`Linux ${release} has ${needs.join(', ')}`)];
}

/** `can`: what a kernel does that is not refused this; `cannot`: what one does not; `remedy`: what follows, and what to do. */
const featureFinding = (refusal: Refusal, can: string, cannot: string, remedy: string): Finding =>
  refusal === undefined ? ok(`it ${can}`) : warning(`it ${cannot}: ${refusal}`, remedy);

function cgroupFinding(root: string | undefined): Finding {
  if (root === undefined) {
    return problem('nothing can be granted safely: there is no cgroup2 hierarchy, on which grants hang', unifiedRemedy);
  }
  return ok(root === '/sys/fs/cgroup' ? 'cgroups are unified' : `cgroups are hybrid: grants hang on ${root}`);
}
