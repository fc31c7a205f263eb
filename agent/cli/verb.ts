/** The arguments of a verb: options by name, and the other words. */
export interface Call {
  readonly options: Readonly<Record<string, string | boolean | undefined>>;
  readonly words: readonly string[];
}

/** 0 fine, 1 the answer is no, 2 misuse or fault. */
export type ExitCode = 0 | 1 | 2;

/** A command line without its first word, `hotseat`, and its purpose. */
export interface Example {
  readonly line: string;
  readonly help: string;
}

export interface Verb {
  readonly summary: string;
  readonly usage: string;
  readonly options: Readonly<Record<string, { readonly type: 'string' | 'boolean'; readonly help: string }>>;
  readonly examples: readonly Example[];
  /** The possible first words, where there are only a few. */
  readonly choices?: readonly string[];
  readonly run: (call: Call) => Promise<ExitCode>;
}

export type Verbs = Readonly<Record<string, Verb>>;
