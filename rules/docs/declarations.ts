// Reads declarations of types out of the source, so that pages can say which fields an object has: a type is gone when the code runs.

import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** A field of an object. */
export interface Field {
  readonly name: string;
  /** As the source has it, without what only the compiler reads. */
  readonly type: string;
  /** Where it is declared: its type has its names there. */
  readonly file: string;
  /** Whether it can be left out. */
  readonly optional: boolean;
  /** Its comment, in one line; empty when there is none. */
  readonly meaning: string;
}

/** An object, or one of several forms that an object can have. */
export interface Form {
  readonly meaning: string;
  readonly fields: readonly Field[];
}

/** A declared type: objects have forms, everything else is text of the source. */
export interface Declaration {
  readonly name: string;
  readonly file: string;
  readonly meaning: string;
  readonly forms: readonly Form[];
  /** `'a' | 'b'` where it is no object. */
  readonly text: string | undefined;
}

/** Declarations of files below a checkout, each file read once. */
export class Declarations {
  private readonly texts = new Map<string, string>();

  constructor(private readonly checkout: string) {}

  /** Finds a type by its name as a file knows it: its own, or an imported one. Undefined when it is neither. */
  find(name: string, file: string): Declaration | undefined {
    const text = this.text(file);
    const own = new RegExp(
      `(?:/\\*\\*((?:(?!\\*/)[\\s\\S])*)\\*/\\n)?^(?:export )?(interface|type) ${name}\\b([^{=]*)`,
      'm',
    ).exec(text);
    if (own !== null) {
      const [whole, comment = '', kind, head = ''] = own;
      const meaning = sentence(comment);
      const rest = text.slice(own.index + whole.length + 1);
      if (kind === 'interface') {
        const body = rest.slice(0, endOf(rest, '}'));
        const inherited = [...head.matchAll(/(Omit<)?(\w+)(?:, ((?:'\w+'(?: \| )?)+)>)?/g)]
          .filter(([, , base]) => base !== 'extends' && base !== 'Omit')
          .flatMap(([, , base = '', without = '']) =>
            this.fieldsOf(base, file).filter((field) => !without.includes(`'${field.name}'`)),
          );
        return {
          name,
          file,
          meaning,
          forms: [{ meaning: '', fields: [...fieldsIn(body, file), ...inherited] }],
          text: undefined,
        };
      }
      return this.alias(name, file, meaning, rest.slice(0, endOf(rest, ';')).trim());
    }
    const imported = new RegExp(`import (?:type )?\\{[^}]*\\b${name}\\b[^}]*\\} from '(\\.[^']+)\\.js'`).exec(
      text,
    )?.[1];
    return imported === undefined ? undefined : this.find(name, join(dirname(file), `${imported}.ts`));
  }

  private fieldsOf(name: string, file: string): readonly Field[] {
    const forms = this.find(name, file)?.forms ?? [];
    if (forms.length !== 1) throw new Error(`${file}: ${name} is no object with one form`);
    return forms[0]?.fields ?? [];
  }

  private alias(name: string, file: string, meaning: string, text: string): Declaration {
    const listed = /^\(typeof (\w+)\)\[number\]$/.exec(text)?.[1];
    if (listed !== undefined) return { name, file, meaning, forms: [], text: this.listed(listed, file) };
    // `A & { … }`: all that A can be, with more fields.
    const [, base, more] = /^(\w+) & (\{[\s\S]*\})$/.exec(text) ?? [];
    if (base !== undefined && more !== undefined) {
      const added = fieldsIn(more.slice(1, -1), file);
      const forms = (this.find(base, file)?.forms ?? []).map((form) => ({
        ...form,
        fields: [...form.fields, ...added],
      }));
      return { name, file, meaning, forms, text: undefined };
    }
    const forms = formsIn(text, file);
    return { name, file, meaning, forms, text: forms.length === 0 ? text.replace(/\s+/g, ' ') : undefined };
  }

  /** The texts of `export const names = ['a', 'b'] as const`. */
  private listed(name: string, file: string): string {
    const list = new RegExp(`const ${name} = \\[([^\\]]*)\\] as const`).exec(this.text(file))?.[1];
    if (list === undefined) throw new Error(`${file}: ${name} is no list of texts`);
    return [...list.matchAll(/'[^']*'/g)].map(([one]) => one).join(' | ');
  }

  private text(file: string): string {
    const known = this.texts.get(file) ?? readFileSync(join(this.checkout, file), 'utf8');
    this.texts.set(file, known);
    return known;
  }
}

/** The fields between the braces of an object's type. */
export function fieldsIn(body: string, file: string): Field[] {
  const fields: Field[] = [];
  let rest = body.trimStart();
  let meaning = '';
  while (rest !== '') {
    const comment = /^\/\*\*((?:(?!\*\/)[\s\S])*)\*\//.exec(rest);
    if (comment !== null) {
      meaning = sentence(comment[1] ?? '');
      rest = rest.slice(comment[0].length).trimStart();
      continue;
    }
    const [head, name = '', mark] = /^(?:readonly )?'?([\w-]+)'?(\?)?:\s*/.exec(rest) ?? [];
    if (head === undefined) throw new Error(`no field of an object: ${rest.slice(0, 60)}`);
    const end = endOf(rest.slice(head.length), ';');
    const written = rest.slice(head.length, head.length + end);
    const type = written.replace(/\s+/g, ' ').replaceAll('readonly ', '').trim();
    const optional = mark === '?' || / \| undefined$/.test(type);
    fields.push({ name, type: type.replace(/ \| undefined$/, ''), file, optional, meaning });
    meaning = '';
    rest = rest.slice(head.length + end + 1).trimStart();
  }
  return fields;
}

/** The forms of a union of objects; none when something else is among them. */
function formsIn(text: string, file: string): Form[] {
  const forms: Form[] = [];
  const between = /^[\s|]+/;
  let rest = text.replace(between, '');
  while (rest !== '') {
    const comment = /^\/\*\*((?:(?!\*\/)[\s\S])*)\*\/[\s|]*/.exec(rest);
    if (comment !== null) rest = rest.slice(comment[0].length);
    if (!rest.startsWith('{')) return [];
    const end = endOf(rest.slice(1), '}') + 1;
    forms.push({ meaning: sentence(comment?.[1] ?? ''), fields: fieldsIn(rest.slice(1, end), file) });
    rest = rest.slice(end + 1).replace(between, '');
  }
  return forms;
}

/** Where a text ends at a character that is in no bracket, comment or quote of its own; its length when it does not. */
function endOf(text: string, close: string): number {
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const char = text[at] ?? '';
    if (text.startsWith('/*', at)) at = text.indexOf('*/', at) + 1;
    else if (char === "'") at = text.indexOf("'", at + 1);
    else if (depth === 0 && char === close) return at;
    else if ('{([<'.includes(char)) depth += 1;
    else if ('})]>'.includes(char)) depth -= 1;
  }
  return text.length;
}

/** A comment as one line. */
const sentence = (comment: string): string =>
  comment
    .replace(/^\s*\* ?/gm, '')
    .replace(/\s+/g, ' ')
    .trim();
