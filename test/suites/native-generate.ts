/**
 * Random 32- and 64-bit user-mode instruction sequences whose outcome is defined: flags that an instruction leaves undefined are not read before
 * something defines them, and are masked at the end.
 */
import { Decoder, DecoderOptions, Instruction, Mnemonic, RflagsBits } from 'iced-x86';
import { InstructionDecoder } from '../../src/hw/cpu/decode';
import { LIFTERS } from '../../src/hw/cpu/lift/index';

export const CODE_BASE = 0x1000_0000n;
export const SCRATCH_BASE = 0x2080_0000n;
export const SCRATCH_SIZE = 4096;
export const CODE_MAX = 128;

export type CodeBits = 32 | 64;

export interface Sequence {
  readonly code: Uint8Array;
  readonly text: string[];
  readonly regs: readonly bigint[];
  readonly rflags: bigint;
  /** RFLAGS bits that are undefined at the end, if it is reached. */
  readonly undefinedFlags: number;
  /** x87, SSE and MXCSR at the start as FXSAVE lays them out; without it, as after FNINIT. */
  readonly image?: Uint8Array;
  /** Bits of x87's status word in which processors differ at the end; the second, if an exception is pending. */
  readonly undefinedStatus?: number;
  readonly undefinedIfPending?: number;
  /** Arithmetic flags in which they differ if an x87 exception is pending. */
  readonly undefinedFlagsIfPending?: number;
}

/** xorshift32: the same sequences from the same seed everywhere. */
export class Random {
  private x: number;
  constructor(seed: number) {
    this.x = seed | 0 || 1;
  }
  next(): number {
    this.x ^= this.x << 13;
    this.x ^= this.x >>> 17;
    this.x ^= this.x << 5;
    return this.x >>> 0;
  }
  below(n: number): number {
    return this.next() % n;
  }
  one<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }
  chance(percent: number): boolean {
    return this.below(100) < percent;
  }
  big(): bigint {
    return (BigInt(this.next()) << 32n) | BigInt(this.next());
  }
}

/** Registers that start as pointers into the scratch memory, and such as start small enough to be indices. */
const POINTERS: Readonly<Record<CodeBits, readonly number[]>> = { 32: [3, 4, 5, 6, 7], 64: [3, 4, 5, 6, 7, 8, 12, 13] };
const INDICES: Readonly<Record<CodeBits, readonly number[]>> = { 32: [1], 64: [1, 9, 10] };

type Immediate = 'none' | 'byte' | 'word' | 'operand' | 'full' | 'moffs' | 'enter';
interface Form {
  readonly opcode: readonly number[];
  readonly modrm: boolean;
  /** Fixed ModRM.reg. */
  readonly extension?: number;
  readonly immediate?: Immediate;
  readonly prefixes?: readonly number[];
  /** VEX map and pp, for the BMI instructions. */
  readonly vex?: { readonly map: 2 | 3; readonly pp: 0 | 1 | 2 | 3 };
}

function forms(bits: CodeBits): Form[] {
  const out: Form[] = [];
  const add = (
    opcode: number | readonly number[],
    modrm: boolean,
    immediate: Immediate = 'none',
    extra: Partial<Form> = {},
  ): void => {
    out.push({ opcode: typeof opcode === 'number' ? [opcode] : opcode, modrm, immediate, ...extra });
  };
  for (let op = 0; op < 0x40; op += 8) {
    for (let i = 0; i < 4; i++) add(op + i, true);
    add(op + 4, false, 'byte');
    add(op + 5, false, 'operand');
    for (const [group, immediate] of [
      [0x80, 'byte'],
      [0x81, 'operand'],
      [0x83, 'byte'],
    ] as const)
      add(group, true, immediate, { extension: op >> 3 });
  }
  for (const op of [0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8b, 0x8d, 0x63]) add(op, true);
  add(0xa8, false, 'byte');
  add(0xa9, false, 'operand');
  for (let i = 0; i < 8; i++) {
    add(0x50 + i, false);
    add(0x58 + i, false);
    add(0x90 + i, false);
    add(0xb0 + i, false, 'byte');
    add(0xb8 + i, false, 'full');
    add([0x0f, 0xc8 + i], false);
    for (const op of [0xd0, 0xd1, 0xd2, 0xd3]) add(op, true, 'none', { extension: i });
    for (const op of [0xc0, 0xc1]) add(op, true, 'byte', { extension: i });
  }
  for (const op of [0x98, 0x99, 0x9e, 0x9f, 0xf5, 0xf8, 0xf9, 0xfc, 0xfd, 0xc9, 0xd7]) add(op, false);
  add(0x68, false, 'operand');
  add(0x6a, false, 'byte');
  add(0x69, true, 'operand');
  add(0x6b, true, 'byte');
  add(0xc6, true, 'byte', { extension: 0 });
  add(0xc7, true, 'operand', { extension: 0 });
  add(0x8f, true, 'none', { extension: 0 });
  add(0xf6, true, 'byte', { extension: 0 });
  add(0xf7, true, 'operand', { extension: 0 });
  for (let i = 2; i < 8; i++) for (const op of [0xf6, 0xf7]) add(op, true, 'none', { extension: i });
  for (const op of [0xfe, 0xff]) for (const i of [0, 1]) add(op, true, 'none', { extension: i });
  add(0xff, true, 'none', { extension: 6 });
  add(0xc8, false, 'enter');
  for (let op = 0xa0; op < 0xa4; op++) add(op, false, 'moffs');
  for (const op of [0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf]) {
    add(op, false);
    add(op, false, 'none', { prefixes: [0xf3] });
    add(op, false, 'none', { prefixes: [0xf2] });
  }
  for (let cc = 0; cc < 16; cc++) {
    add([0x0f, 0x40 + cc], true);
    add([0x0f, 0x90 + cc], true);
  }
  for (const op of [
    0xa3, 0xab, 0xb3, 0xbb, 0xbc, 0xbd, 0xa5, 0xad, 0xaf, 0xb0, 0xb1, 0xb6, 0xb7, 0xbe, 0xbf, 0xc0, 0xc1, 0x1f,
  ])
    add([0x0f, op], true);
  for (const op of [0xa4, 0xac]) add([0x0f, op], true, 'byte');
  for (let i = 4; i < 8; i++) add([0x0f, 0xba], true, 'byte', { extension: i });
  add([0x0f, 0xc7], true, 'none', { extension: 1 });
  for (const op of [0xb8, 0xbc, 0xbd]) add([0x0f, op], true, 'none', { prefixes: [0xf3] });
  for (const op of [0xf0, 0xf1]) {
    add([0x0f, 0x38, op], true);
    add([0x0f, 0x38, op], true, 'none', { prefixes: [0xf2] });
  }
  for (const prefixes of [[0x66], [0xf3]]) add([0x0f, 0x38, 0xf6], true, 'none', { prefixes });
  for (const [map, pp, op] of [
    [2, 0, 0xf2],
    [2, 0, 0xf5],
    [2, 2, 0xf5],
    [2, 3, 0xf5],
    [2, 3, 0xf6],
    [2, 0, 0xf7],
    [2, 1, 0xf7],
    [2, 2, 0xf7],
    [2, 3, 0xf7],
  ] as const) {
    add(op, true, 'none', { vex: { map, pp } });
  }
  for (const extension of [1, 2, 3]) add(0xf3, true, 'none', { extension, vex: { map: 2, pp: 0 } });
  add(0xf0, true, 'byte', { vex: { map: 3, pp: 3 } });
  if (bits === 32) {
    for (let op = 0x40; op < 0x50; op++) add(op, false);
    for (const op of [0x27, 0x2f, 0x37, 0x3f, 0x60, 0x61, 0xd6]) add(op, false);
    for (const op of [0xd4, 0xd5]) add(op, false, 'byte');
    add(0x62, true);
  }
  return out;
}
const FORMS: Readonly<Record<CodeBits, readonly Form[]>> = { 32: forms(32), 64: forms(64) };

function bytesOf(value: bigint, count: number): number[] {
  return Array.from({ length: count }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));
}

/** A ModRM with its SIB and displacement. `direct`: where in them a displacement lies that is to name scratch memory (RIP-relative in 64-bit code). */
function modrm(r: Random, bits: CodeBits, reg: number): { bytes: number[]; rex: number; direct?: number } {
  const registers = bits / 4;
  if (r.chance(45)) {
    const rm = r.below(registers);
    return { bytes: [0xc0 | (reg << 3) | (rm & 7)], rex: rm >> 3 };
  }
  if (r.chance(8)) return { bytes: [(reg << 3) | 5, 0, 0, 0, 0], rex: 0, direct: 1 };
  const base = r.chance(97) ? r.one(POINTERS[bits]) : r.below(registers);
  const mod = r.one([1, 2, 1, 2, 0]);
  const indexed = r.chance(35) || (base & 7) === 4;
  const bytes: number[] = [];
  let rex = base >> 3;
  // mod 0 with base 5 or 13 has no base: give it a displacement
  const actual = mod === 0 && (base & 7) === 5 ? 1 : mod;
  if (indexed) {
    const index = r.chance(75) ? r.one(INDICES[bits]) : 4;
    rex |= (index >> 3) << 1;
    bytes.push((actual << 6) | (reg << 3) | 4, (r.below(4) << 6) | ((index & 7) << 3) | (base & 7));
  } else bytes.push((actual << 6) | (reg << 3) | (base & 7));
  if (actual === 1) bytes.push(r.below(256));
  if (actual === 2) bytes.push(...bytesOf(BigInt.asUintN(32, BigInt(r.below(1024) - 512)), 4));
  return { bytes, rex };
}

function interesting(r: Random): bigint {
  const value = r.one([
    () => r.big(),
    () => BigInt.asUintN(64, BigInt(r.below(256) - 128)),
    () => 1n << BigInt(r.below(64)),
    () => (1n << BigInt(r.below(64))) - 1n,
    () => BigInt(r.next()),
    () => 0n,
  ])();
  return value;
}

/** One encoded instruction of a form. */
function encode(r: Random, bits: CodeBits, f: Form, at: number): number[] {
  const legacy = [...(f.prefixes ?? [])];
  const has66 = legacy.includes(0x66) || r.chance(20);
  if (has66 && !legacy.includes(0x66) && f.vex === undefined) legacy.unshift(0x66);
  if (r.chance(2) && f.vex === undefined) legacy.unshift(0x67);
  const reg = r.below(bits / 4);
  const extension = f.extension ?? reg & 7;
  const m = f.modrm ? modrm(r, bits, extension) : { bytes: [], rex: 0 };
  const w = bits === 64 && r.chance(45);
  const rexR = f.extension === undefined && f.modrm ? reg >> 3 : 0;
  const rexB = f.modrm || bits === 32 ? 0 : r.below(2);
  const rex = (w ? 8 : 0) | (rexR << 2) | m.rex | rexB;
  let head: number[];
  if (f.vex !== undefined) {
    const v = r.below(bits / 4);
    head = [0xc4, ((~rex & 7) << 5) | f.vex.map, (w ? 0x80 : 0) | ((~v & 15) << 3) | f.vex.pp, ...f.opcode];
  } else {
    const memory = f.modrm && (m.bytes[0] as number) < 0xc0;
    if (memory && r.chance(5)) legacy.unshift(0xf0);
    head = [...legacy, ...(bits === 64 && (rex !== 0 || r.chance(30)) ? [0x40 | rex] : []), ...f.opcode];
  }
  const operand = w && f.vex === undefined ? 64 : legacy.includes(0x66) ? 16 : 32;
  const immediate: number[] = [];
  switch (f.immediate ?? 'none') {
    case 'none':
      break;
    case 'byte':
      immediate.push(r.below(256));
      break;
    case 'word':
      immediate.push(...bytesOf(r.big(), 2));
      break;
    case 'operand':
      immediate.push(...bytesOf(interesting(r), operand === 16 ? 2 : 4));
      break;
    case 'full':
      immediate.push(...bytesOf(interesting(r), operand / 8));
      break;
    case 'moffs':
      immediate.push(
        ...bytesOf(SCRATCH_BASE + BigInt(r.below(SCRATCH_SIZE - 8)), legacy.includes(0x67) || bits === 32 ? 4 : 8),
      );
      break;
    case 'enter':
      immediate.push(r.below(64), 0, r.below(6));
      break;
  }
  const bytes = [...head, ...m.bytes, ...immediate];
  const { direct } = m;
  if (direct !== undefined) {
    const target =
      SCRATCH_BASE + BigInt(r.below(SCRATCH_SIZE)) - (bits === 64 ? CODE_BASE + BigInt(at + bytes.length) : 0n);
    bytesOf(BigInt.asUintN(32, target), 4).forEach((b, i) => (bytes[head.length + direct + i] = b));
  }
  return bytes;
}

const RFLAGS_OF_ICED: readonly (readonly [number, number])[] = [
  [RflagsBits.OF, 0x800],
  [RflagsBits.SF, 0x80],
  [RflagsBits.ZF, 0x40],
  [RflagsBits.AF, 0x10],
  [RflagsBits.CF, 0x1],
  [RflagsBits.PF, 0x4],
];
const rflags = (iced: number): number => RFLAGS_OF_ICED.reduce((m, [from, to]) => (iced & from ? m | to : m), 0);

const decoder = new InstructionDecoder();
const scratch = new Instruction();

/** Instructions whose result, not only a flag, is undefined or differs between vendors. */
function hasUndefinedResult(mnemonic: number, bits: number, bytes: readonly number[], memory: boolean): boolean {
  if (mnemonic === Mnemonic.Bswap) return bits === 16;
  // MOVSXD without REX.W and with 66h reads a word by Intel's manual (63 /r, MOVSXD r16, r/m16) and a doubleword on AMD's: seen where alignment is checked
  if (mnemonic === Mnemonic.Movsxd) return bits === 16 && memory;
  // counts above 16 with 16-bit operands
  if (mnemonic === Mnemonic.Shld || mnemonic === Mnemonic.Shrd)
    return bits === 16 && ((bytes[bytes.length - 1] as number) & 31) > 16;
  return false;
}
/** A count or repetition that may be zero at run time leaves the flags as they were. */
const MAYBE_NO_FLAGS = new Set<number>([
  Mnemonic.Shl,
  Mnemonic.Sal,
  Mnemonic.Shr,
  Mnemonic.Sar,
  Mnemonic.Rol,
  Mnemonic.Ror,
  Mnemonic.Rcl,
  Mnemonic.Rcr,
  Mnemonic.Shld,
  Mnemonic.Shrd,
  Mnemonic.Cmpsb,
  Mnemonic.Cmpsw,
  Mnemonic.Cmpsd,
  Mnemonic.Cmpsq,
  Mnemonic.Scasb,
  Mnemonic.Scasw,
  Mnemonic.Scasd,
  Mnemonic.Scasq,
]);

/** Flags that `bytes` reads, surely writes, and leaves undefined; undefined for an instruction that is not to be used. */
function flagUse(
  bytes: readonly number[],
  bits: CodeBits,
): { reads: number; writes: number; undefined: number; text: string } | undefined {
  const insn = decoder.decode(Uint8Array.from(bytes), bits, 0);
  if (insn === undefined || insn.length !== bytes.length || !LIFTERS.has(insn.mnemonic)) return undefined;
  if (insn.operands.some((o) => o.kind === 'other' || o.kind === 'segment')) return undefined;
  if (
    hasUndefinedResult(
      insn.mnemonic,
      insn.operandBits,
      bytes,
      insn.operands.some((o) => o.kind === 'memory'),
    )
  )
    return undefined;
  const cl = [0xd2, 0xd3, 0xa5, 0xad].some((op) => bytes.includes(op));
  if ((insn.mnemonic === Mnemonic.Shld || insn.mnemonic === Mnemonic.Shrd) && insn.operandBits === 16 && cl)
    return undefined;
  const d = new Decoder(bits, Uint8Array.from(bytes), DecoderOptions.None);
  d.decodeOut(scratch);
  d.free();
  const sure = !MAYBE_NO_FLAGS.has(insn.mnemonic) || (!cl && !insn.rep && !insn.repne);
  return {
    reads: rflags(scratch.rflagsRead),
    writes: sure ? rflags(scratch.rflagsWritten | scratch.rflagsCleared | scratch.rflagsSet) : 0,
    undefined: rflags(scratch.rflagsUndefined),
    text: scratch.toString(),
  };
}

export function generate(r: Random, bits: CodeBits): Sequence {
  const count = 1 + r.below(6);
  const code: number[] = [];
  const text: string[] = [];
  let tainted = 0;
  while (text.length < count) {
    const bytes = encode(r, bits, r.one(FORMS[bits]), code.length);
    const use = flagUse(bytes, bits);
    if (use === undefined || (use.reads & tainted) !== 0 || code.length + bytes.length > CODE_MAX - 16) continue;
    tainted = (tainted & ~use.writes) | use.undefined;
    code.push(...bytes);
    text.push(use.text);
  }
  if (r.chance(25)) text.push(branchTail(r, code, tainted));
  const regs = Array.from({ length: 16 }, () => BigInt.asUintN(bits, interesting(r)));
  for (const p of POINTERS[bits]) regs[p] = SCRATCH_BASE + BigInt(1024 + r.below(2048)) - (r.chance(70) ? 0n : 1n);
  for (const i of INDICES[bits]) regs[i] = BigInt(r.below(24));
  return {
    code: Uint8Array.from([...code, 0xcc]),
    text,
    regs,
    rflags: BigInt(0x202 | (r.next() & 0x8d5) | (r.chance(20) ? 0x400 : 0) | (r.chance(8) ? 0x4_0000 : 0)),
    undefinedFlags: tainted,
  };
}

/** A forward branch over one INT3, call and return included. */
function branchTail(r: Random, code: number[], tainted: number): string {
  const kind = r.below(5);
  if (kind === 0 && tainted === 0) {
    code.push(0x70 + r.below(16), 1, 0xcc);
    return 'jcc';
  }
  if (kind === 1) {
    code.push(0xe3, 1, 0xcc);
    return 'jrcxz';
  }
  if (kind === 2) {
    code.push(...(r.chance(20) ? [0x67] : []), tainted === 0 ? 0xe0 + r.below(3) : 0xe2, 1, 0xcc);
    return 'loop';
  }
  if (kind === 3) {
    code.push(0xe8, 1, 0, 0, 0, 0xcc);
    return 'call';
  }
  // call over an INT3, then return to it
  code.push(0xe8, 1, 0, 0, 0, 0xcc, 0xc3);
  return 'call, ret';
}
