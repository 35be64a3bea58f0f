/** An installed nasm, against our own assembler on the same source: image, lines and symbols must agree. */
import * as assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { assemble, type Assembled } from '../../src/asm/index';
import { assembledFromNasm, statesOrigin } from '../../src/asm/nasm-output';
import { readIncluded } from '../../src/node/include';
import { runNasm } from '../../src/node/nasm';
import { needs } from '../support/needs';

const ORIGIN = 0x100000n;

describe('an installed nasm', () => {
  let folder = '';
  before(function () {
    needs(this, 'nasm');
    folder = mkdtempSync(join(tmpdir(), 'pw-nasm-'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  function byNasm(
    source: string,
    program?: string,
    given = { defines: {}, includePath: [] as string[], warnings: [] as string[] },
  ): Assembled {
    const file = join(folder, 'main.asm');
    writeFileSync(file, source);
    return assembledFromNasm(source, file, runNasm(file, statesOrigin(source) ? undefined : ORIGIN, given, program));
  }

  function check(source: string): void {
    const theirs = byNasm(source);
    const ours = assemble(source, { fileName: join(folder, 'main.asm'), origin: ORIGIN });
    assert.deepEqual(theirs.diagnostics, []);
    assert.deepEqual(Buffer.from(theirs.image), Buffer.from(ours.image));
    const { origin, hasOrg, firstInstructionBits, bss } = ours;
    assert.deepEqual(
      {
        origin: theirs.origin,
        hasOrg: theirs.hasOrg,
        firstInstructionBits: theirs.firstInstructionBits,
        bss: theirs.bss,
      },
      { origin, hasOrg, firstInstructionBits, bss },
    );
    const lines = ({ lines }: Assembled): string[] =>
      lines.map(({ line, address, length, bits, kind }) => `${line} ${address.toString(16)}+${length} ${bits} ${kind}`);
    assert.deepEqual(lines(theirs), lines(ours));
    const symbols = (all: Assembled): string[] =>
      all.symbols.map(({ name, value, span }) => `${name}=${value} at ${span.start.line}`).sort();
    assert.deepEqual(symbols(theirs), symbols(ours));
  }

  it('agrees on code, local labels, repetition and constants', () =>
    check(
      'bits 64\nn equ 42\nstart:\n  mov rax, n\n.x: times 3 nop\n  jmp .x\n  mov rbx, [msg]\n  hlt\nmsg: db "a long string that takes several rows of the listing",0\n',
    ));
  it('agrees on sections', () =>
    check('bits 64\nstart: nop\nsection .data\nd: dq start\nsection .text\n  hlt\nsection .bss\nb: resb 16\n'));
  it('agrees on org and changes of mode', () =>
    check('org 0x7c00\nbits 16\ncli\njmp 8:pm\nbits 32\npm: mov eax, 1\nhlt\n'));

  it('is given macros and folders as ours is', () => {
    mkdirSync(join(folder, 'lib'), { recursive: true });
    writeFileSync(join(folder, 'lib/a.inc'), 'db TWO\n');
    const given = {
      defines: { TWO: '2', 'f(x)': 'x+1', NONE: '' },
      includePath: [join(folder, 'lib')],
      warnings: ['-db-empty'],
    };
    const source = 'bits 64\n%include "a.inc"\n%ifdef NONE\n db\n db f(2)\n%endif\n';
    const theirs = byNasm(source, undefined, given);
    const ours = assemble(source, {
      fileName: join(folder, 'main.asm'),
      ...given,
      readFile: (name, from) => readIncluded(name, from, [folder]),
    });
    assert.deepEqual([theirs.diagnostics, ours.diagnostics], [[], []]);
    assert.equal(Buffer.from(ours.image).toString('hex'), '0203');
    assert.deepEqual(Buffer.from(theirs.image), Buffer.from(ours.image));
  });

  it('gives the rows of a macro to its caller', () => {
    const { lines } = byNasm('bits 64\n%macro two 0\n nop\n hlt\n%endmacro\nstart:\n two\n nop\n');
    assert.deepEqual(
      lines.map(({ line }) => line),
      [7, 7, 8],
    );
  });

  it('places errors by line', () => {
    const { ok, diagnostics } = byNasm('bits 64\n nop\n bogus x y\n');
    assert.equal(ok, false);
    assert.deepEqual(
      diagnostics.map(({ severity, span }) => [severity, span?.start.line]),
      [['error', 3]],
    );
  });

  it('says what to do where the program cannot be run', () => {
    const [problem] = byNasm('nop\n', join(folder, 'no-such-nasm')).diagnostics;
    assert.match(problem?.message ?? '', /cannot be run .*set pagewalk\.nasmPath/);
  });
});
