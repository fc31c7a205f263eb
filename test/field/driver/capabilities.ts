// Capabilities of inputs, as in their `uevent` files (input_dev_uevent), from public dumps of real inputs.

export type Capabilities = Readonly<
  Partial<Record<'ev' | 'key' | 'rel' | 'abs' | 'msc' | 'led' | 'snd' | 'ff' | 'sw' | 'prop', string>>
>;

export const keyboard: Capabilities = {
  ev: '120013',
  key: '1000000000007 ff800000000007ff febeffdff3cfffff fffffffffffffffe',
  msc: '10',
  led: '7',
};
export const mouse: Capabilities = { ev: '17', key: '1f0000 0 0 0 0', rel: '903', msc: '10' };
/** Volume, play, calculator: of a keyboard's second interface. */
export const consumerControl: Capabilities = {
  ev: '1f',
  key: '3f000301ff 0 0 483ffff17aff32d bfd4444600000000 1 130c730b17c000 267bfad9415fed 9e168000004400 10000002',
  rel: '1040',
  abs: '100000000',
  msc: '10',
};
/** Power, sleep, wake-up. */
export const systemControl: Capabilities = { ev: '13', key: 'c000 10000000000000 0', msc: '10' };
export const headsetButtons: Capabilities = { ev: '13', key: '1000000 0 c000000000000 0', msc: '10' };
export const pad: Capabilities = { ev: '20000b', key: '7fdb000000000000 0 0 0 0', abs: '3003f', ff: '107030000 0' };
export const motionSensors: Capabilities = { ev: '19', abs: '3f', msc: '20', prop: '40' };
export const padTouchpad: Capabilities = { ev: 'b', key: '2420 10000 0 0 0 0', abs: '260800000000003', prop: '5' };
/** A plug in a socket of a sound card. */
export const jack: Capabilities = { ev: '21', sw: '4' };
/** Three keys of a joystick's range and an axis: udev calls it an input and nothing more. */
export const pedal: Capabilities = { ev: '1b', key: '7 0 0 0 0', abs: '100000000', msc: '10' };
