import assert from 'node:assert';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Assembled } from '../../src/asm/index';
import { gasFor } from '../../src/main/gas';
import type { Given } from '../../src/session/launch/assembly';
import { skipBecause, whyNoGas } from '../support/needs';

const NOTHING_GIVEN = { defines: {}, includePath: [], warnings: [] };

function build(source: string, name: string, origin: bigint, given: Given = NOTHING_GIVEN): Assembled {
  const folder = mkdtempSync(join(tmpdir(), 'pagewalk-gas-test-'));
  try {
    writeFileSync(join(folder, name), source);
    return gasFor(join(folder, name))(source, origin, given);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
const hex = (a: Assembled): string => Buffer.from(a.image).toString('hex');

describe('node: GNU as', () => {
  before(function () {
    const why = whyNoGas();
    if (why !== undefined) skipBecause(this, why);
  });
  it('gives image, lines and symbols of AT&T syntax', () => {
    const a = build(
      '# @guest memory=2M\n.globl _start\n.set size, 5\n_start:\n mov $size, %eax\nagain: dec %eax\n jnz again\n hlt\n',
      'a.s',
      0x100000n,
    );
    assert.deepStrictEqual(a.diagnostics, []);
    assert.strictEqual(hex(a), 'b805000000ffc875fcf4');
    assert.strictEqual(a.origin, 0x100000n);
    assert.deepStrictEqual(
      a.lines.map((l) => [l.line, l.address, l.length]),
      [
        [5, 0x100000n, 5],
        [6, 0x100005n, 2],
        [7, 0x100007n, 2],
        [8, 0x100009n, 1],
      ],
    );
    assert.deepStrictEqual(
      a.symbols
        .map((s) => [s.name, s.value, s.kind, s.followedBy, `${s.span.start.line}:${s.span.start.column}`])
        .sort(),
      [
        ['_start', 0x100000n, 'label', 'code', '4:1'],
        ['again', 0x100005n, 'label', 'code', '6:1'],
        ['size', 5n, 'constant', undefined, '3:6'],
      ],
    );
    assert.deepStrictEqual(
      a.directives.map((d) => [d.verb, d.text, d.beforeCode]),
      [['guest', 'memory=2M', true]],
    );
  });
  it('takes Intel syntax, 16-bit code and the C preprocessor', () => {
    const a = build(
      '#define PORT 0xe9\n.intel_syntax noprefix\n.code16\n mov dx, PORT\n out dx, al\n hlt\n',
      'a.S',
      0x7c00n,
    );
    assert.deepStrictEqual([hex(a), a.firstInstructionBits, a.origin], ['bae900eef4', 16, 0x7c00n]);
    assert.deepStrictEqual(
      a.lines.map((l) => [l.file.endsWith('a.S'), l.line]),
      [
        [true, 4],
        [true, 5],
        [true, 6],
      ],
    );
  });
  it('is given macros and folders, as numbers where there is no C preprocessor', () => {
    const given = { defines: { N: '5', ON: '' }, includePath: [], warnings: [] };
    assert.strictEqual(hex(build(' movb $N, %al\n movb $ON, %bl\n', 'a.s', 0n, given)), 'b005b301');
    const folder = mkdtempSync(join(tmpdir(), 'pagewalk-gas-test-'));
    try {
      writeFileSync(join(folder, 'a.h'), '#define M N+1\n');
      const inFolder = { defines: { N: '5' }, includePath: [folder], warnings: [] };
      assert.strictEqual(hex(build('#include "a.h"\n movb $M, %al\n', 'a.S', 0n, inFolder)), 'b006');
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
  it('locates what as refuses', () => {
    const a = build(' nop\n bogus %eax\n', 'a.s', 0n);
    assert.strictEqual(a.ok, false);
    assert.deepStrictEqual(
      a.diagnostics.map((d) => [d.severity, d.span?.start.line]),
      [['error', 2]],
    );
  });
});
