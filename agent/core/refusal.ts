/** A request that could not be made or could not be done: why in words, and the lines that tell more. */
export class ControlError extends Error {
  constructor(
    message: string,
    readonly details: readonly string[] = [],
  ) {
    super(message);
    this.name = 'ControlError';
  }
}
