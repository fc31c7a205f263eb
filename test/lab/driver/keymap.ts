// ASCII on a US keyboard, as QEMU's QKeyCodes.

const named: Record<string, string> = {
  ' ': 'spc',
  '\n': 'ret',
  '\t': 'tab',
  '-': 'minus',
  '=': 'equal',
  '[': 'bracket_left',
  ']': 'bracket_right',
  ';': 'semicolon',
  "'": 'apostrophe',
  '`': 'grave_accent',
  '\\': 'backslash',
  ',': 'comma',
  '.': 'dot',
  '/': 'slash',
};
const shifted = new Map([...'~!@#$%^&*()_+{}|:"<>?'].map((char, i) => [char, "`1234567890-=[]\\;',./".charAt(i)]));

/** The key and whether Shift is held, for every character. */
export function keystrokes(text: string): [qcode: string, shift: boolean][] {
  return [...text].map((char) => {
    const plain = shifted.get(char) ?? char.toLowerCase();
    const qcode = named[plain] ?? (/^[a-z0-9]$/.test(plain) ? plain : undefined);
    if (!qcode) throw new Error(`no key for ${JSON.stringify(char)}`);
    return [qcode, plain !== char];
  });
}
