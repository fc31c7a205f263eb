/** A question that several ask, and that is asked once: all of them get the same answer, also when it is an error. */
export class OneAnswer<T> {
  private answer: { readonly value: T } | { readonly error: unknown } | undefined;

  constructor(private readonly ask: () => T) {}

  /** Throws what `ask` has thrown. */
  readonly get = (): T => {
    this.answer ??= this.asked();
    if ('error' in this.answer) throw this.answer.error;
    return this.answer.value;
  };

  /** The next one who asks gets a new answer. */
  forget(): void {
    this.answer = undefined;
  }

  private asked(): { readonly value: T } | { readonly error: unknown } {
    try {
      return { value: this.ask() };
    } catch (error) {
      return { error };
    }
  }
}
