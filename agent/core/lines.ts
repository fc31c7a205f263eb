/** Text that comes in pieces, as lines. It looks at each character once, also when many pieces make one line. */
export class Lines {
  private rest = '';

  /** The lines that a piece completes, without their ends. */
  take(piece: string): string[] {
    if (!piece.includes('\n')) {
      this.rest += piece;
      return [];
    }
    const lines = `${this.rest}${piece}`.split('\n');
    this.rest = lines.pop() ?? '';
    return lines;
  }

  /** Length of the line that has not ended yet. */
  get pending(): number {
    return this.rest.length;
  }
}
