/** What a verb was called with: options by name, and the words that are none. */
export interface Call {
  readonly options: Readonly<Record<string, string | boolean | undefined>>;
  readonly words: readonly string[];
}

/** 0 fine, 1 the answer is no, 2 misuse or fault. */
export type ExitCode = 0 | 1 | 2;

/** A command line without its first word, `hotseat`, and what it is good for. */
export interface Example {
  readonly line: string;
  readonly help: string;
}

export interface Verb {
  readonly summary: string;
  readonly usage: string;
  readonly options: Readonly<Record<string, { readonly type: 'string' | 'boolean'; readonly help: string }>>;
  readonly examples: readonly Example[];
  /** What its first word may be, where that is one of a few. */
  readonly choices?: readonly string[];
  readonly run: (call: Call) => Promise<ExitCode>;
}

export type Verbs = Readonly<Record<string, Verb>>;
