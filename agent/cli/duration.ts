const units = { s: 1000, m: 60_000, h: 3_600_000 } as const;

/** `30s`, `10m` or `1h` in ms. Throws for anything else, naming the option. */
export function duration(option: string, text: string): number {
  const [, count, unit] = /^([1-9]\d{0,3})([smh])$/.exec(text) ?? [];
  if (count === undefined || unit === undefined) throw new Error(`--${option} takes a time such as 30s, 10m or 1h`);
  return Number(count) * units[unit as keyof typeof units];
}
