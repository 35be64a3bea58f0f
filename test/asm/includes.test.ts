import assert from 'node:assert';
import { posix } from 'node:path';
import { assemble } from '../../src/asm/index';

/** Assembles `src/main.asm` among files by path; the text of the image, or the messages as `file:line code`. */
function check(main: string, files: Readonly<Record<string, string>>, expected: string): void {
  const a = assemble(main, {
    fileName: 'src/main.asm',
    includePath: ['', 'lib'],
    readFile: (name, from) => {
      const text = files[posix.normalize(posix.join(posix.dirname(from), name))];
      return text === undefined ? undefined : new TextEncoder().encode(text);
    },
  });
  const messages = a.diagnostics.map((d) => `${d.file}:${d.span?.start.line ?? 0} ${d.code}`);
  assert.strictEqual(a.ok ? Buffer.from(a.image).toString('latin1') : messages.join(', '), expected);
}

describe('asm: where an included file is looked for', () => {
  const nested = { 'src/part/a.inc': '%include "b.inc"\n incbin "c.bin"\n' };
  const places = ['src/part/', 'src/', '', 'lib/'];

  it('beside the file that names it, beside the main file, in the current folder, along the include path', () => {
    for (const [i, own] of places.entries()) {
      const present = places.slice(i);
      const files = {
        ...nested,
        ...Object.fromEntries(present.map((place) => [`${place}b.inc`, ` db "${place}"\n`])),
        ...Object.fromEntries(present.map((place) => [`${place}c.bin`, `|${place}`])),
      };
      check('%include "part/a.inc"\n', files, `${own}|${own}`);
    }
  });

  it('a missing one is the first message and silences what follows from it', () => {
    const rest = 'print "abc", 5\n%ifndef X\n%error no X\n mov rax, FIELD\n istruc S\n iend\n';
    check(`bits 64\n mov eax, SIZE\n%include "none.inc"\n${rest}`, {}, 'src/main.asm:3 PW112');
  });

  it('and what is wrong before it is told after it', () => {
    check('bits 64\n mov eax,\n%include "none.inc"\n foo 1,2\n', {}, 'src/main.asm:3 PW112, src/main.asm:2 PW104');
    const files = { 'src/a.inc': ' foo 1,2\n%include "none.inc"\n bar 3\n', 'src/b.inc': ' baz 4\n' };
    check(
      '%include "b.inc"\n%include "a.inc"\n qux 5\n',
      files,
      'src/a.inc:2 PW112, src/a.inc:1 PW100, src/b.inc:1 PW100',
    );
  });

  it('all that are missing are told, and a missing incbin silences nothing', () => {
    check('%include "n.inc"\n%include "o.inc"\n', {}, 'src/main.asm:1 PW112, src/main.asm:2 PW112');
    check(' incbin "n.bin"\n mov ax, X\n', {}, 'src/main.asm:1 PW112, src/main.asm:2 PW101');
  });
});
