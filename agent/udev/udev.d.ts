/** npm `udev` (node-udev) has no types of its own; this is the part that is used. */
declare module 'udev' {
  interface Monitor {
    on(action: 'add' | 'change' | 'remove', listener: (device: Readonly<Record<string, unknown>>) => void): void;
  }
  const udev: { monitor(subsystem?: string): Monitor };
  export default udev;
}
