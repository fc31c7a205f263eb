const none: ReadonlySet<never> = new Set<never>();

/** Several values a key, in the order in which they came. */
export class Multimap<K, V> {
  private readonly sets = new Map<K, Set<V>>();

  /** By key, those that there are. */
  get all(): ReadonlyMap<K, ReadonlySet<V>> {
    return this.sets;
  }

  get(key: K): ReadonlySet<V> {
    return this.sets.get(key) ?? none;
  }

  add(key: K, value: V): void {
    const known = this.sets.get(key);
    if (known === undefined) this.sets.set(key, new Set([value]));
    else known.add(value);
  }

  delete(key: K, value: V): void {
    const known = this.sets.get(key);
    known?.delete(value);
    if (known?.size === 0) this.sets.delete(key);
  }
}
