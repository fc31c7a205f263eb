/** Things, grouped by a common property, each group and all groups in the order in which they come. */
export function grouped<K, V>(things: Iterable<V>, commonOf: (thing: V) => K): Map<K, V[]> {
  const groups = new Map<K, V[]>();
  for (const thing of things) {
    const common = commonOf(thing);
    const known = groups.get(common);
    if (known === undefined) groups.set(common, [thing]);
    else known.push(thing);
  }
  return groups;
}
