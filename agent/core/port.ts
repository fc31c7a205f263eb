/**
 * The ID_PATH patterns of a port: the thing at the port itself, and all below a hub there. A port ends at `.` and `:`
 * (another hub's port, an interface) or, for a controller or card, at `-`; so 2 is not 21. A SuperSpeed device and its
 * high-speed peer have one ID_PATH, because systemd's path_id writes `usb-0` for every bus of a controller.
 */
export const portPatterns = (port: string): readonly string[] =>
  /-usb-/.test(port) ? [port, `${port}.*`, `${port}:*`] : [port, `${port}-*`];
