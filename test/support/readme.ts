/** Code blocks of a document that tests execute: marked by `<!-- test: NAME -->` on the line before the fence. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The block's text. @throws when the document has no such block, so that a test cannot pass on nothing. */
export function block(document: string, name: string): string {
  const text = readFileSync(fileURLToPath(new URL(`../../${document}`, import.meta.url)), 'utf8');
  // In a list it is indented.
  const found = new RegExp(`^( *)<!-- test: ${name} -->\\n\\1\`\`\`[a-z]*\\n([\\s\\S]*?)^\\1\`\`\``, 'm').exec(text);
  if (!found) throw new Error(`${document} has no block marked "test: ${name}"`);
  return found[2]!.replaceAll(new RegExp(`^${found[1]}`, 'gm'), '');
}

/** The block's lines that are commands. */
export function commands(document: string, name: string): string[] {
  return block(document, name)
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.startsWith('#'));
}
