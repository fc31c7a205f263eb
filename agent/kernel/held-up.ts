/** A helper did not answer in time. */
export class HeldUp extends Error {
  override name = 'HeldUp';

  /** `culprit`: the owner of the process that a search was at; undefined when it was at none. */
  constructor(
    message: string,
    readonly culprit?: string,
  ) {
    super(message);
  }
}
