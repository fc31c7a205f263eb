// How the lab runs a container in each engine: from Debian's packages, with the seats' own root file system.

import type { EngineName } from '../../../agent/core/policy.js';
import type { Lab } from './lab.js';

/** An engine and one way to use it. */
export interface Variant {
  readonly title: string;
  readonly engine: EngineName;
  /** Whose engine it is, if not root's. */
  readonly user?: string;
  /** Shell scripts for the guest; `$name` is the container. `pid` prints the pid of its init. */
  readonly prepare: string;
  readonly start: string;
  readonly stop: string;
  readonly pid: string;
  /** Where the host's root can write into its root file system, if not through its processes' root. */
  readonly rootfs?: string;
}

/** Host ids of the lab's unprivileged containers: those that Incus's package gives root in /etc/subuid. */
const shifted = 1_000_000;

const nspawn = (lines: string): string => `
  /opt/engines/root $name 0
  mkdir -p /etc/systemd/nspawn /var/lib/machines
  ln -sfn /srv/engines/$name/root /var/lib/machines/$name
  printf '%s\\n' ${lines} > /etc/systemd/nspawn/$name.nspawn`;

/** An LXC container with nothing of its own but a network namespace; `more`: further lines of its configuration. */
const lxc = (owner: number, more: readonly string[]): string => `
  /opt/engines/root $name ${owner}
  mkdir -p /var/lib/lxc/$name
  cat > /var/lib/lxc/$name/config <<END
lxc.include = /usr/share/lxc/config/common.conf
lxc.uts.name = $name
lxc.rootfs.path = dir:/srv/engines/$name/root
lxc.net.0.type = empty
lxc.apparmor.profile = unconfined
lxc.tty.max = 0
lxc.init.cmd = /etc/idle-init
lxc.signal.halt = SIGTERM
lxc.mount.auto =
lxc.mount.auto = proc:mixed sys:ro cgroup:mixed
${more.join('\n')}
END`;

/** The common root file system but for /usr, which is mounted from the host: small enough to be imported as an image. */
const image = `
  mkdir -p /srv/engines/image
  cp /opt/engines/idle-init /srv/seat/etc/idle-init
  [ -e /srv/engines/image/rootfs.tar ] || tar -C /srv/seat --exclude=./usr/* --exclude=./var/lib/apt/* \\
    --exclude=./var/cache/* -cf /srv/engines/image/rootfs.tar .`;

const asAnna = 'runuser -u anna -- env -C /home/anna XDG_RUNTIME_DIR=/run/user/$(id -u anna)';
const podmanRun = 'podman run -d --name $name --network none --cgroup-manager systemd --systemd=false';

export const variants: readonly Variant[] = [
  {
    title: 'nspawn',
    engine: 'nspawn',
    prepare: nspawn("'[Exec]' Boot=yes PrivateUsers=no '[Network]' Private=yes VirtualEthernet=no"),
    start: 'systemctl start systemd-nspawn@$name',
    stop: 'systemctl stop systemd-nspawn@$name',
    pid: 'machinectl show $name -p Leader --value',
  },
  {
    title: 'nspawn, private users',
    engine: 'nspawn',
    prepare: `${nspawn(
      `'[Exec]' Boot=no Parameters=/etc/idle-init PrivateUsers=${shifted}:65536 ` +
        "'[Network]' Private=yes VirtualEthernet=no",
    )}\n/opt/engines/root $name ${shifted}`,
    start: 'systemctl start systemd-nspawn@$name',
    stop: 'systemctl stop systemd-nspawn@$name',
    pid: 'machinectl show $name -p Leader --value',
  },
  {
    title: 'podman',
    engine: 'podman',
    prepare: '/opt/engines/root $name 0',
    start: `${podmanRun} --cap-add MKNOD --rootfs /srv/engines/$name/root /etc/idle-init`,
    stop: 'podman rm -f -t 5 $name',
    pid: "podman inspect -f '{{.State.Pid}}' $name",
  },
  {
    title: 'podman, rootless',
    engine: 'podman',
    user: 'anna',
    prepare: `
      id anna || useradd -m -s /bin/sh anna
      loginctl enable-linger anna
      for i in $(seq 50); do [ -S /run/user/$(id -u anna)/bus ] && break; sleep 0.3; done
      /opt/engines/root $name $(id -u anna)`,
    start: `${asAnna} ${podmanRun} --rootfs /srv/engines/$name/root /etc/idle-init`,
    stop: `${asAnna} podman rm -f -t 5 $name`,
    pid: `${asAnna} podman inspect -f '{{.State.Pid}}' $name`,
  },
  {
    title: 'lxc',
    engine: 'lxc',
    prepare: lxc(0, []),
    start: 'lxc-start -n $name',
    stop: 'lxc-stop -n $name -t 10',
    pid: 'lxc-info -n $name -pH',
  },
  {
    title: 'lxc, unprivileged',
    engine: 'lxc',
    prepare: `
      chmod o+x /var/lib/lxc
      ${lxc(shifted, [
        'lxc.include = /usr/share/lxc/config/userns.conf',
        `lxc.idmap = u 0 ${shifted} 65536`,
        `lxc.idmap = g 0 ${shifted} 65536`,
      ])}`,
    start: 'lxc-start -n $name',
    stop: 'lxc-stop -n $name -t 10',
    pid: 'lxc-info -n $name -pH',
  },
  {
    title: 'incus',
    engine: 'incus',
    // Its own root is an idmapped mount, where the host's root is nobody.
    rootfs: '/var/lib/incus/storage-pools/seats/containers/$name/rootfs',
    prepare: `
      ${image}
      systemctl start incus.socket incus
      incus admin waitready --timeout=60
      incus storage show seats || incus storage create seats dir
      printf 'architecture: x86_64\\ncreation_date: 1700000000\\n' > /srv/engines/image/metadata.yaml
      tar -C /srv/engines/image -cf /srv/engines/image/metadata.tar metadata.yaml
      incus image show seat || incus image import /srv/engines/image/metadata.tar /srv/engines/image/rootfs.tar --alias seat
      incus init seat $name --storage seats -c raw.lxc='lxc.init.cmd=/etc/idle-init'
      incus config device add $name usr disk source=/srv/seat/usr path=/usr readonly=true`,
    start: 'incus start $name',
    stop: 'incus stop $name --timeout 20 || incus stop $name --force',
    pid: 'incus query /1.0/instances/$name/state | sed -n \'s/.*"pid": \\([0-9]*\\).*/\\1/p\' | head -1',
  },
  {
    title: 'docker',
    engine: 'docker',
    prepare: `
      ${image}
      mkdir -p /etc/docker
      echo '{ "iptables": false, "ip6tables": false, "bridge": "none" }' > /etc/docker/daemon.json
      systemctl start docker
      docker image inspect seat > /dev/null || docker import /srv/engines/image/rootfs.tar seat`,
    start: 'docker run -d --name $name --network none -v /srv/seat/usr:/usr:ro seat /etc/idle-init',
    stop: 'docker rm -f $name',
    pid: "docker inspect -f '{{.State.Pid}}' $name",
  },
];

/** Runs one of a variant's scripts for a container. */
export const script = (lab: Lab, name: string, text: string): Promise<string> =>
  lab.sh(`name=${name}; ${text}`, { timeoutMs: 150_000 });
