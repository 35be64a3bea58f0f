/**
 * Running sequences natively, in the harness built with gcc, and here, and comparing the outcomes: registers, flags, memory, faults, and the state that FXSAVE saves.
 */
import * as assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { because } from '../../src/isa/reasons/index';
import { setFlatSegments } from '../../src/hw/cpu/system/reset';
import type { CpuState } from '../../src/hw/state/cpu-state';
import type { FaultEvent } from '../../src/hw/state/event';
import { SLOT } from '../../src/hw/state/layout';
import { FlatCore } from '../hw/support/flat-core';
import {
  type CodeBits,
  CODE_BASE,
  CODE_MAX,
  Random,
  SCRATCH_BASE,
  SCRATCH_SIZE,
  type Sequence,
} from './native-generate';

const HERE = dirname(fileURLToPath(import.meta.url));
const FXSAVE_SIZE = 512;
const INPUT_SIZE = 4 + CODE_MAX + 17 * 8 + FXSAVE_SIZE;
const REGISTERS = [
  'rax',
  'rcx',
  'rdx',
  'rbx',
  'rsp',
  'rbp',
  'rsi',
  'rdi',
  'r8',
  'r9',
  'r10',
  'r11',
  'r12',
  'r13',
  'r14',
  'r15',
] as const;
const INT3 = 3;
/** One page holds the code, filled up with INT3. */
const CODE_SIZE = 4096;
/** CF PF AF ZF SF DF OF. */
const COMPARED_FLAGS = 0xcd5;

export interface Outcome {
  readonly regs: readonly bigint[];
  readonly rip: bigint;
  readonly rflags: bigint;
  /** Vector: INT3 at the end of the sequence, or a fault on the way. */
  readonly vector: number;
  /** Scratch bytes that differ from the start, by offset. */
  readonly memory: ReadonlyMap<number, number>;
  /** FCW FSW FTW MXCSR, ST(0)–ST(7), XMM0–XMM15, by name. */
  readonly vectors: ReadonlyMap<string, bigint>;
}

/** FXSAVE's image (SDM vol. 1, table 10-2) without the exception pointers, which AMD's processors save only with an exception pending. */
const FIELDS: readonly (readonly [name: string, at: number, size: number])[] = [
  ['fcw', 0, 2],
  ['fsw', 2, 2],
  ['ftw', 4, 1],
  ['mxcsr', 24, 4],
  ...Array.from({ length: 8 }, (_, i) => [`st${i}`, 32 + 16 * i, 10] as const),
  ...Array.from({ length: 16 }, (_, i) => [`xmm${i}`, 160 + 16 * i, 16] as const),
];
function littleEndian(b: Uint8Array, at: number, size: number): bigint {
  let v = 0n;
  for (let i = size - 1; i >= 0; i--) v = (v << 8n) | BigInt(b[at + i] as number);
  return v;
}
const vectorsOf = (image: Uint8Array): ReadonlyMap<string, bigint> =>
  new Map(FIELDS.map(([name, at, size]) => [name, littleEndian(image, at, size)]));

/** x87 after FNINIT and MXCSR as Linux starts programs, registers zero. */
function plainImage(): Uint8Array {
  const image = new Uint8Array(FXSAVE_SIZE);
  new DataView(image.buffer).setUint16(0, 0x37f, true);
  new DataView(image.buffer).setUint32(24, 0x1f80, true);
  return image;
}

/** Loads an image as FXRSTOR does, and the reverse. */
function restoreImage(s: CpuState, image: Uint8Array): void {
  const v = new DataView(image.buffer, image.byteOffset);
  s.set32(SLOT.FCW, v.getUint16(0, true));
  s.set32(SLOT.FSW, v.getUint16(2, true));
  s.set32(SLOT.FTW, v.getUint8(4));
  s.set32(SLOT.MXCSR, v.getUint32(24, true));
  const top = (v.getUint16(2, true) >> 11) & 7;
  for (let i = 0; i < 8; i++) {
    const r = SLOT.FPR + 2 * ((top + i) & 7);
    s.set(r, v.getBigUint64(32 + 16 * i, true));
    s.set32(r + 1, v.getUint16(40 + 16 * i, true));
  }
  for (let i = 0; i < 32; i++) s.set(SLOT.XMM + i, v.getBigUint64(160 + 8 * i, true));
}
function saveImage(s: CpuState): Uint8Array {
  const image = new Uint8Array(FXSAVE_SIZE);
  const v = new DataView(image.buffer);
  v.setUint16(0, s.get32(SLOT.FCW), true);
  v.setUint16(2, s.get32(SLOT.FSW), true);
  v.setUint8(4, s.get32(SLOT.FTW));
  v.setUint32(24, s.get32(SLOT.MXCSR), true);
  const top = (s.get32(SLOT.FSW) >> 11) & 7;
  for (let i = 0; i < 8; i++) {
    const r = SLOT.FPR + 2 * ((top + i) & 7);
    v.setBigUint64(32 + 16 * i, s.get(r), true);
    v.setUint16(40 + 16 * i, s.get32(r + 1), true);
  }
  for (let i = 0; i < 32; i++) v.setBigUint64(160 + 8 * i, s.get(SLOT.XMM + i), true);
  return image;
}

export function scratchPattern(): Uint8Array {
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
    out.set(s.image ?? plainImage(), at + 4 + CODE_MAX + 136);
  });
  return out;
}

/** Exception vectors by Linux signal, where the kernel's trap number says less. */
const SIGNAL_VECTOR: Readonly<Record<number, number>> = { 4: 6, 5: INT3 };

const CHANGES_AT = 156 + FXSAVE_SIZE;

function decodeOutput(b: Buffer, count: number): Outcome[] {
  const out: Outcome[] = [];
  let at = 0;
  for (let i = 0; i < count; i++) {
    const regs = REGISTERS.map((_, n) => b.readBigUInt64LE(at + n * 8));
    const signal = b.readUInt32LE(at + 144);
    const image = b.subarray(at + 152, at + 152 + FXSAVE_SIZE);
    const changed = b.readUInt32LE(at + CHANGES_AT - 4);
    const memory = new Map<number, number>();
    for (let n = 0; n < changed; n++)
      memory.set(b.readUInt16LE(at + CHANGES_AT + n * 3), b[at + CHANGES_AT + 2 + n * 3] as number);
    out.push({
      regs,
      rip: b.readBigUInt64LE(at + 128),
      rflags: b.readBigUInt64LE(at + 136),
      vector: SIGNAL_VECTOR[signal] ?? b.readUInt32LE(at + 148),
      memory,
      vectors: vectorsOf(image),
    });
    at += CHANGES_AT + changed * 3;
  }
  assert.equal(at, b.length, 'the harness ran every sequence');
  return out;
}

/** Everything but the scratch page, and reads of the code, page faults; addresses that are not canonical are #GP. */
function guard(linear: bigint, size: number, write: boolean): FaultEvent | undefined {
  const last = linear + BigInt(size - 1);
  if (linear >= SCRATCH_BASE && last < SCRATCH_BASE + BigInt(SCRATCH_SIZE)) return undefined;
  if (!write && linear >= CODE_BASE && last < CODE_BASE + BigInt(CODE_SIZE)) return undefined;
  if (BigInt.asIntN(48, linear) !== BigInt.asIntN(64, linear) || BigInt.asIntN(48, last) !== BigInt.asIntN(64, last))
    return { kind: 'fault', why: because('injected'), vector: 13, errorCode: 0 };
  return { kind: 'fault', why: because('injected'), vector: 14, errorCode: write ? 6 : 4, cr2: linear };
}

const PLAIN = plainImage();

export class Emulated {
  private readonly m = new FlatCore(1 << 24);
  private readonly code = Number(CODE_BASE & 0xff_ffffn);
  private readonly scratch = Number(SCRATCH_BASE & 0xff_ffffn);

  constructor(
    bits: CodeBits,
    private readonly pattern: Uint8Array,
  ) {
    const s = this.m.state;
    setFlatSegments(s, bits === 64);
    // AM among them, as Linux has it
    s.set(SLOT.CR0, 0x8004_0031n);
    // PAE, OSFXSR, OSXMMEXCPT
    s.set(SLOT.CR4, 0x620n);
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
    restoreImage(s, q.image ?? PLAIN);
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
    return {
      regs,
      rip: e.vector === INT3 ? s.rip + 1n : s.rip,
      rflags: s.rflags,
      vector: e.vector,
      memory,
      vectors: vectorsOf(saveImage(s)),
    };
  }
}

/** Of an instruction's two accesses either may be made first: where both fault, #GP, #SS, #PF and #AC stand for each other. */
const ACCESS_FAULTS = new Set([12, 13, 14, 17]);
function sameVector(a: Outcome, b: Outcome): boolean {
  return a.vector === b.vector || (ACCESS_FAULTS.has(a.vector) && ACCESS_FAULTS.has(b.vector));
}

/** What differs first, or undefined.  */
export function difference(q: Sequence, native: Outcome, ours: Outcome): string | undefined {
  if (!sameVector(native, ours))
    return `vector ${ours.vector}, natively ${native.vector} at ${native.rip.toString(16)}, here ${ours.rip.toString(16)}`;
  if (native.rip !== ours.rip) return `rip ${ours.rip.toString(16)}, natively ${native.rip.toString(16)}`;
  for (const [i, name] of REGISTERS.entries()) {
    if (native.regs[i] !== ours.regs[i])
      return `${name} ${(ours.regs[i] as bigint).toString(16)}, natively ${(native.regs[i] as bigint).toString(16)}`;
  }
  const pending = ((native.vectors.get('fsw') ?? 0n) & 0x80n) !== 0n;
  if (native.vector === INT3) {
    const mask = COMPARED_FLAGS & ~q.undefinedFlags & ~(pending ? (q.undefinedFlagsIfPending ?? 0) : 0);
    const a = Number(ours.rflags) & mask;
    const b = Number(native.rflags) & mask;
    if (a !== b) return `flags ${a.toString(16)}, natively ${b.toString(16)}`;
  }
  const unlike = (q.undefinedStatus ?? 0) | (pending ? (q.undefinedIfPending ?? 0) : 0);
  for (const [name, value] of native.vectors) {
    const mask = name === 'fsw' ? ~BigInt(unlike) : -1n;
    const here = ours.vectors.get(name) ?? 0n;
    if ((value & mask) !== (here & mask)) return `${name} ${here.toString(16)}, natively ${value.toString(16)}`;
  }
  // ENTER and PUSHA may have stored part of their frame when they fault; their registers tell that they start over
  if (native.vector !== INT3 && q.text.some((t) => /^(enter|pusha)/.test(t))) return undefined;
  for (const at of new Set([...native.memory.keys(), ...ours.memory.keys()])) {
    const a = ours.memory.get(at);
    const b = native.memory.get(at);
    if (a !== b)
      return `scratch[${at.toString(16)}] ${a?.toString(16) ?? 'unchanged'}, natively ${b?.toString(16) ?? 'unchanged'}`;
  }
  return undefined;
}

/** Builds the harness in a folder; `gcc` is the compiler's path, `defines` its -D options. */
export function buildHarness(gcc: string, folder: string, defines: readonly string[] = []): string {
  const harness = join(folder, 'harness');
  execFileSync(gcc, ['-O1', '-fPIE', '-pie', ...defines, '-o', harness, join(HERE, 'native-harness.c')]);
  return harness;
}
/** Native outcomes of sequences of one kind of code, or in words why the harness came to no end of them. */
export function tryNatively(
  harness: string,
  bits: CodeBits,
  sequences: readonly Sequence[],
  pattern: Uint8Array,
): Outcome[] | string {
  const run = spawnSync(harness, [String(bits)], {
    input: encodeInput(sequences, pattern),
    maxBuffer: 1 << 30,
    timeout: 600_000,
  });
  if (run.status === 0) return decodeOutput(run.stdout, sequences.length);
  const said = run.stderr.toString().trim();
  return said || `it ended with ${run.error?.message ?? run.signal ?? `status ${run.status ?? '?'}`}`;
}
export function runNatively(
  harness: string,
  bits: CodeBits,
  sequences: readonly Sequence[],
  pattern: Uint8Array,
): Outcome[] {
  const outcomes = tryNatively(harness, bits, sequences, pattern);
  return typeof outcomes === 'string' ? assert.fail(`the harness: ${outcomes}`) : outcomes;
}
