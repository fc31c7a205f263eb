// A user who plays at a seat, and whether a card is heard.

import type { Lab, Seat } from '../driver/lab.js';

/** Somebody at the seat who is not root, and a tone of ten seconds to play. */
export const settle = `
useradd --create-home --groups audio,video,input,render anna
install -d -o anna -m 700 /run/anna
python3 - <<'END'
import math, struct, wave
with wave.open('/srv/tone.wav', 'wb') as tone:
    tone.setparams((2, 2, 48000, 0, 'NONE', ''))
    for t in range(480000):
        tone.writeframesraw(struct.pack('<hh', *[int(3000 * math.sin(t * 440 * 6.2832 / 48000))] * 2))
END`;

export const pulse = ['pulseaudio', '-n', '--daemonize=no', '--exit-idle-time=-1', '--use-pid-file=no'];

/** Programs that run in a container as anna. */
export function sounding(lab: Lab) {
  const inside = async (seat: Seat, script: string, timeoutMs = 60_000): Promise<string> =>
    (await lab.inContainer(seat, ['bash', '-o', 'pipefail', '-ec', script], { timeoutMs })).stdout.trim();

  /** Runs something as anna until the container stops. */
  const service = (seat: Seat, unit: string, ...argv: string[]) =>
    lab.inContainer(seat, [
      ...['systemd-run', `--unit=${unit}`, '--uid=anna', '--gid=anna', '--setenv=HOME=/home/anna'],
      ...['--setenv=XDG_RUNTIME_DIR=/run/anna', '-p', 'SupplementaryGroups=audio video input render', ...argv],
    ]);

  const anna = 'runuser -u anna -- env XDG_RUNTIME_DIR=/run/anna HOME=/home/anna';
  const asAnna = (seat: Seat, command: string, timeoutMs?: number) => inside(seat, `${anna} ${command}`, timeoutMs);

  /** Nodes of sound in a seat, without those that are no card's. */
  const cardNodes = (seat: Seat) => inside(seat, 'cd /dev/snd; ls -d [cp]*C* 2>/dev/null || true');

  const noCard = (seat: Seat) => lab.until(`no card at ${seat}`, async () => (await cardNodes(seat)) === '');

  const until = (what: string, seat: Seat, script: string, wanted: RegExp, timeoutMs = 60_000) =>
    lab.until(what, async () => wanted.test(await inside(seat, script).catch(() => '')), timeoutMs);

  /** Frames that a playing card has taken so far; 0 when nothing plays. */
  const frames = async (): Promise<number> =>
    Number((await lab.sh("cat /proc/asound/card*/pcm0p/sub0/status 2>/dev/null | awk '/^hw_ptr/ {print $3}'")) || 0);

  async function hears(what: string): Promise<void> {
    await lab.until(`${what}: a card takes frames`, async () => {
      const before = await frames();
      await new Promise((resolve) => setTimeout(resolve, 500));
      return (await frames()) > before;
    });
  }

  return { inside, service, anna, asAnna, cardNodes, noCard, until, hears };
}
