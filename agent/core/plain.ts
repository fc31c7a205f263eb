/**
 * Names in `/dev` of nodes beside those in `/dev/dri` by which programs compute on a graphics card: NVIDIA's, which a program makes and
 * udev never hears of (nvidia-modprobe(1)), and AMD's (drivers/gpu/drm/amd/amdkfd/kfd_chardev.c). None of them is one card's output
 * or one seat's: they are shared, and nobody can take back an open file of them.
 */
export const plainNames: readonly RegExp[] = [/^nvidia\d{1,3}$/, /^nvidia(?:ctl|-modeset|-uvm|-uvm-tools)$/, /^kfd$/];

export const isPlainName = (text: string): boolean => plainNames.some((name) => name.test(text));

/** Whether a driver calls itself as these do: `nvidia`, `nvidia-frontend`, `nvidia-uvm`, `kfd`. */
export const isPlainDriver = (text: string): boolean => /^(?:nvidia|kfd)/.test(text);

/** The identity of such a node, in the place of a path in sysfs. */
export const plainId = (name: string): string => `/dev/${name}`;

export const isPlainId = (id: string): boolean => id.startsWith('/dev/');
