/**
 * Keys that the kernel has of an input in its uevents and in its `uevent` file, in this order (drivers/input/input.c,
 * input_dev_uevent).
 */
export const inputKeys: readonly string[] = [
  ...['PRODUCT', 'NAME', 'PHYS', 'UNIQ', 'PROP', 'EV', 'KEY', 'REL', 'ABS', 'MSC', 'LED', 'SND', 'FF', 'SW'],
  'MODALIAS',
];
