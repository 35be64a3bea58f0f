/**
 * The machine's own processor as the oracle: random instruction sequences run natively in a small harness built with gcc, and here, and are compared
 * in registers, flags, memory and faults. PAGEWALK_NATIVE_COUNT and PAGEWALK_NATIVE_SEED run more or other ones.
 */
import * as assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setFlatSegments } from '../../src/hw/cpu/system/reset';
import type { FaultEvent } from '../../src/hw/state/event';
import { SLOT } from '../../src/hw/state/layout';
import { FlatCore } from '../hw/support/flat-core';
import { needs, skipBecause } from '../support/needs';
import { type CodeBits, CODE_BASE, CODE_MAX, generate, Random, SCRATCH_BASE, SCRATCH_SIZE, type Sequence } from './native-generate';

const HERE = dirname(fileURLToPath(import.meta.url));
const COUNT = Number(process.env['PAGEWALK_NATIVE_COUNT'] ?? 20_000);
const SEED = Number(process.env['PAGEWALK_NATIVE_SEED'] ?? 1);
const BATCH = 5_000;
const INPUT_SIZE = 4 + CODE_MAX + 17 * 8;
const REGISTERS = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi', 'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'] as const;
const INT3 = 3;
/** One page holds the code, filled up with INT3. */
const CODE_SIZE = 4096;
/** CF PF AF ZF SF DF OF. */
const COMPARED_FLAGS = 0xcd5;

interface Outcome {
  readonly regs: readonly bigint[];
  readonly rip: bigint;
  readonly rflags: bigint;
  /** Vector: INT3 at the end of the sequence, or a fault on the way. */
  readonly vector: number;
  /** Scratch bytes that differ from the start, by offset. */
  readonly memory: ReadonlyMap<number, number>;
}

function scratchPattern(): Uint8Array {
  const r = new Random(0x5eed);
  return Uint8Array.from({ length: SCRATCH_SIZE }, () => (r.chance(20) ? 0 : r.below(256)));
}

function encodeInput(sequences: readonly Sequence[], pattern: Uint8Array): Buffer {
  const out = Buffer.alloc(SCRATCH_SIZE + sequences.length * INPUT_SIZE);
  out.set(pattern);
  sequences.forEach((s, i) => {
    const at = SCRATCH_SIZE + i * INPUT_SIZE;
    out.writeUInt32LE(s.code.length, at);
    out.set(s.code, at + 4);
    s.regs.forEach((v, n) => out.writeBigUInt64LE(v, at + 4 + CODE_MAX + n * 8));
    out.writeBigUInt64LE(s.rflags, at + 4 + CODE_MAX + 128);
  });
  return out;
}

/** Exception vectors by Linux signal, where the kernel's trap number says less. */
const SIGNAL_VECTOR: Readonly<Record<number, number>> = { 4: 6, 5: INT3, 8: 0 };

function decodeOutput(b: Buffer, count: number): Outcome[] {
  const out: Outcome[] = [];
  let at = 0;
  for (let i = 0; i < count; i++) {
    const regs = REGISTERS.map((_, n) => b.readBigUInt64LE(at + n * 8));
    const signal = b.readUInt32LE(at + 144);
    const changed = b.readUInt32LE(at + 152);
    const memory = new Map<number, number>();
    for (let n = 0; n < changed; n++) memory.set(b.readUInt16LE(at + 156 + n * 3), b[at + 158 + n * 3] as number);
    out.push({
      regs,
      rip: b.readBigUInt64LE(at + 128),
      rflags: b.readBigUInt64LE(at + 136),
      vector: SIGNAL_VECTOR[signal] ?? b.readUInt32LE(at + 148),
      memory,
    });
    at += 156 + changed * 3;
  }
  assert.equal(at, b.length, 'the harness ran every sequence');
  return out;
}

/** Everything but the scratch page, and reads of the code, page faults; addresses that are not canonical are #GP. */
function guard(linear: bigint, size: number, write: boolean): FaultEvent | undefined {
  const last = linear + BigInt(size - 1);
  if (linear >= SCRATCH_BASE && last < SCRATCH_BASE + BigInt(SCRATCH_SIZE)) return undefined;
  if (!write && linear >= CODE_BASE && last < CODE_BASE + BigInt(CODE_SIZE)) return undefined;
  if (BigInt.asIntN(48, linear) !== BigInt.asIntN(64, linear) || BigInt.asIntN(48, last) !== BigInt.asIntN(64, last)) return { kind: 'fault', vector: 13, errorCode: 0 };
  return { kind: 'fault', vector: 14, errorCode: write ? 6 : 4, cr2: linear };
}

class Emulated {
  private readonly m = new FlatCore(1 << 24);
  private readonly code = Number(CODE_BASE & 0xff_ffffn);
  private readonly scratch = Number(SCRATCH_BASE & 0xff_ffffn);

  constructor(bits: CodeBits, private readonly pattern: Uint8Array) {
    const s = this.m.state;
    setFlatSegments(s, bits === 64);
    s.set(SLOT.CR0, 0x8000_0031n);
    s.set(SLOT.CR4, 0x20n);
    s.set(SLOT.EFER, 0x500n);
    s.cpl = 3;
    this.m.port.guard = guard;
  }

  run(q: Sequence): Outcome {
    const { state: s, port, core } = this.m;
    port.bytes.fill(0xcc, this.code, this.code + CODE_SIZE);
    port.bytes.set(q.code, this.code);
    port.bytes.set(this.pattern, this.scratch);
    port.stored.length = 0;
    q.regs.forEach((v, i) => s.set(i, v));
    s.rip = CODE_BASE;
    s.rflags = q.rflags;
    let runs = 0;
    while (this.m.run()) assert.ok(++runs < 100_000, `ends: ${q.text.join('; ')}`);
    const e = core.event;
    assert.ok(e?.kind === 'fault', `ends in an exception: ${q.text.join('; ')}`);
    const memory = new Map<number, number>();
    for (const at of port.stored) {
      const offset = Number(at - SCRATCH_BASE);
      const value = port.bytes[this.scratch + offset] as number;
      if (value !== this.pattern[offset]) memory.set(offset, value);
    }
    const regs = REGISTERS.map((_, i) => s.get(i));
    // INT3 is a trap: the native RIP is behind it
    return { regs, rip: e.vector === INT3 ? s.rip + 1n : s.rip, rflags: s.rflags, vector: e.vector, memory };
  }
}

/** Of an instruction's two accesses either may be made first: where both fault, #GP, #SS and #PF stand for each other. */
const ACCESS_FAULTS = new Set([12, 13, 14]);
function sameVector(a: Outcome, b: Outcome): boolean {
  return a.vector === b.vector || (ACCESS_FAULTS.has(a.vector) && ACCESS_FAULTS.has(b.vector));
}

function difference(q: Sequence, native: Outcome, ours: Outcome): string | undefined {
  if (!sameVector(native, ours)) return `vector ${ours.vector}, natively ${native.vector} at ${native.rip.toString(16)}, here ${ours.rip.toString(16)}`;
  if (native.rip !== ours.rip) return `rip ${ours.rip.toString(16)}, natively ${native.rip.toString(16)}`;
  for (const [i, name] of REGISTERS.entries()) {
    if (native.regs[i] !== ours.regs[i]) return `${name} ${(ours.regs[i] as bigint).toString(16)}, natively ${(native.regs[i] as bigint).toString(16)}`;
  }
  if (native.vector === INT3) {
    const mask = COMPARED_FLAGS & ~q.undefinedFlags;
    const a = Number(ours.rflags) & mask;
    const b = Number(native.rflags) & mask;
    if (a !== b) return `flags ${a.toString(16)}, natively ${b.toString(16)}`;
  }
  // ENTER may have stored part of its frame when it faults; its registers tell that it starts over
  if (native.vector !== INT3 && q.text.some((t) => t.startsWith('enter'))) return undefined;
  for (const at of new Set([...native.memory.keys(), ...ours.memory.keys()])) {
    const a = ours.memory.get(at);
    const b = native.memory.get(at);
    if (a !== b) return `scratch[${at.toString(16)}] ${a?.toString(16) ?? 'unchanged'}, natively ${b?.toString(16) ?? 'unchanged'}`;
  }
  return undefined;
}

describe('the native processor', function () {
  this.timeout(3_600_000);
  let directory: string | undefined;
  let harness = '';

  before(function () {
    if (process.arch !== 'x64' || process.platform !== 'linux') skipBecause(this, 'needs Linux on x86-64');
    const gcc = needs(this, 'gcc');
    directory = mkdtempSync(join(tmpdir(), 'pagewalk-native-'));
    harness = join(directory, 'harness');
    execFileSync(gcc, ['-O1', '-fPIE', '-pie', '-o', harness, join(HERE, 'native-harness.c')]);
  });
  after(() => {
    if (directory !== undefined) rmSync(directory, { recursive: true });
  });

  for (const bits of [64, 32] as const) {
    it(`agrees on ${COUNT} random sequences of ${bits}-bit code`, () => {
      const pattern = scratchPattern();
      const emulated = new Emulated(bits, pattern);
      const random = new Random(SEED);
      const wrong: string[] = [];
      for (let done = 0; done < COUNT && wrong.length < 20; done += BATCH) {
        const sequences = Array.from({ length: Math.min(BATCH, COUNT - done) }, () => generate(random, bits));
        const run = spawnSync(harness, [String(bits)], { input: encodeInput(sequences, pattern), maxBuffer: 1 << 30 });
        assert.equal(run.status, 0, `the harness ended with ${run.status ?? run.signal ?? 'an error'}`);
        const natives = decodeOutput(run.stdout, sequences.length);
        sequences.forEach((q, i) => {
          const d = difference(q, natives[i] as Outcome, emulated.run(q));
          if (d !== undefined) wrong.push(`${q.text.join('; ')}: ${d}`);
        });
      }
      assert.deepEqual(wrong, []);
    });
  }
});
