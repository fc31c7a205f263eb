// Objects of the code as tables for people.

import { type Declaration, type Declarations, type Field, fieldsIn } from './declarations.js';
import { cell } from './page.js';

/** Types that a page describes, in the order in which they are named first. */
export class Shapes {
  private readonly shown = new Map<string, Declaration>();
  private readonly queue: Declaration[] = [];

  /** `others`: types that another page describes, by name, as Markdown. */
  constructor(
    private readonly declarations: Declarations,
    private readonly others: Readonly<Record<string, string>> = {},
  ) {}

  /** A type in words; `sections` describes the types that it names. */
  words(type: string, file: string): string {
    const list = /^(.+)\[\]$/.exec(type)?.[1] ?? /^readonly (.+)$/.exec(type)?.[1];
    if (list !== undefined) return `list of ${this.words(list.replace(/^\((.*)\)$/, '$1'), file)}`;
    if (type.startsWith('{')) return 'object, see the fields below it';
    const map = /^Readonly<(?:Partial<)?Record<(\w+), ((?:[^<>]|<.*>)+?)>>?>?$/.exec(type);
    if (map !== null) {
      const [, keys = '', values = ''] = map;
      const named = keys === 'string' ? 'each name' : this.words(keys, file);
      return `object with ${named}, each ${this.words(values, file)}`;
    }
    const parts = type.split(/ \| (?![^{<]*[}>])/).map((part) => this.resolved(part, file));
    if (parts.length > 1) return parts.map((part) => this.words(part, file)).join(' or ');
    if (type === 'string') return 'text';
    if (type === 'boolean') return '`true` or `false`';
    if (type === 'number' || type === 'null') return type;
    if (/^'.*'$/.test(type)) return `\`${type.slice(1, -1)}\``;
    // A template, into which a name is put.
    if (/^`.*`$/.test(type)) return `\`${type.slice(1, -1).replace(/\$\{string\}/, 'NAME')}\``;
    if (type === 'true' || type === 'false') return `\`${type}\``;
    const other = this.others[type];
    if (other !== undefined) return other;
    const found = this.declarations.find(type, file);
    if (found === undefined) throw new Error(`${file}: no type ${type} that can be described`);
    if (found.text !== undefined) return this.words(found.text.replace(/^\| /, ''), found.file);
    if (!this.shown.has(type)) {
      this.shown.set(type, found);
      this.queue.push(found);
    }
    return `[${type}](#${type.toLowerCase()})`;
  }

  /** A section for each type that was named and not described yet, with those that it names in its turn. */
  sections(): string[] {
    const lines: string[] = [];
    for (let next = this.queue.shift(); next !== undefined; next = this.queue.shift()) {
      lines.push('', `## ${next.name}`, '', ...(next.meaning === '' ? [] : [next.meaning, '']), ...this.tables(next));
    }
    return lines;
  }

  /** The forms of an object, a table each. */
  tables({ forms }: Declaration): string[] {
    return forms.flatMap(({ fields, meaning }, index) => [
      ...(index === 0 ? [] : ['', forms.length > 1 ? 'or' : '', '']),
      ...(meaning === '' ? [] : [meaning, '']),
      ...this.table(fields),
    ]);
  }

  table(fields: readonly Field[]): string[] {
    return ['| field | type | meaning |', '|---|---|---|', ...this.rows(fields, '')];
  }

  /** `Deed['what']` as the type of that field. */
  private resolved(type: string, file: string): string {
    const [, name = '', key] = /^(\w+)\['(\w+)'\]$/.exec(type) ?? [];
    if (key === undefined) return type;
    const fields = this.declarations.find(name, file)?.forms[0]?.fields ?? [];
    return fields.find((field) => field.name === key)?.type ?? type;
  }

  /** Objects without a name of their own follow the field that they are the value of. */
  private rows(fields: readonly Field[], before: string): string[] {
    return fields.flatMap((field) => {
      const { name, file, optional, meaning } = field;
      const type = this.resolved(field.type, file);
      const inner = /^(?:\((?=\{))?\{(.*)\}\)?(\[\])?$/.exec(type);
      const words = inner === null ? this.words(type, file) : inner[2] === undefined ? 'object' : 'list of objects';
      const row = `| \`${before}${name}\` | ${cell(words)}${optional ? ', or absent' : ''} | ${cell(meaning)} |`;
      if (inner === null) return [row];
      const path = `${before}${name}${inner[2] ?? ''}.`;
      return [row, ...this.rows(fieldsIn(inner[1] ?? '', file), path)];
    });
  }
}
