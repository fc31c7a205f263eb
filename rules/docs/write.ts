// Writes the pages of the reference that are made of the code. Usage: write.js

import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { generatedPages } from './pages.js';

const checkout = resolve(import.meta.dirname, '../../..');
for (const { path, text } of generatedPages()) {
  writeFileSync(join(checkout, path), text);
  console.log(path);
}
