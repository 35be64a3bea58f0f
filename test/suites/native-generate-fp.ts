/** Random x87, MMX, SSE and SSE2 sequences, with an integer instruction now and then, over states and memory full of values that floating point finds interesting. */
import { Mnemonic } from 'iced-x86';
import { InstructionDecoder } from '../../src/hw/cpu/decode';
import type { Decoded } from '../../src/hw/cpu/decoded';
import { lifterOf } from '../../src/hw/cpu/lift/index';
import { packDouble, packExtended, packSingle, type Float, DOUBLE, EXTENDED, SINGLE } from '../../src/hw/fpu/float';
import { DEFAULT_CONTROL, exact, round } from '../../src/hw/fpu/round';
import {
  CODE_MAX,
  type CodeBits,
  generate,
  Random,
  SCRATCH_BASE,
  SCRATCH_SIZE,
  type Sequence,
} from './native-generate';

const decoder = new InstructionDecoder();
const names = new Map(
  Object.entries(Mnemonic).flatMap(([name, n]): [number, string][] =>
    typeof n === 'number' ? [[n, name.toLowerCase()]] : [],
  ),
);

/** Instructions whose result is an approximation of the processor's choice, or that store addresses; they have tests of their own. */
const EXCLUDED = new Set<number>([
  Mnemonic.Rcpps,
  Mnemonic.Rcpss,
  Mnemonic.Rsqrtps,
  Mnemonic.Rsqrtss,
  Mnemonic.Fsin,
  Mnemonic.Fcos,
  Mnemonic.Fsincos,
  Mnemonic.Fptan,
  Mnemonic.Fpatan,
  Mnemonic.F2xm1,
  Mnemonic.Fyl2x,
  Mnemonic.Fyl2xp1,
  // AMD's MXCSR has a bit more than Intel's; with an empty mask processors differ in whether the address matters (SDM vol. 2, MASKMOVDQU)
  Mnemonic.Ldmxcsr,
  Mnemonic.Maskmovdqu,
  Mnemonic.Maskmovq,
  Mnemonic.Fnstenv,
  Mnemonic.Fnsave,
  Mnemonic.Fldenv,
  Mnemonic.Frstor,
  Mnemonic.Fxsave,
  Mnemonic.Fxsave64,
  Mnemonic.Fxrstor,
  Mnemonic.Fxrstor64,
]);

/**
 * FCOMI and its kin clear C1 by Intel's manual (SDM vol. 2, FCOMI: "C1 set to 0"), and an unmasked exception leaves ZF, PF and CF alone; AMD's processors leave the one and
 * set the others.
 */
const FLAG_COMPARISONS = new Set<number>([Mnemonic.Fcomi, Mnemonic.Fcomip, Mnemonic.Fucomi, Mnemonic.Fucomip]);
/** An unmasked exception leaves C0, C2 and C3 alone by Intel's manual (SDM vol. 2, FCOM: "the condition code flags are not set"); AMD's processors set them. */
const COMPARISONS = new Set<number>([
  Mnemonic.Fcom,
  Mnemonic.Fcomp,
  Mnemonic.Fcompp,
  Mnemonic.Ficom,
  Mnemonic.Ficomp,
  Mnemonic.Fucom,
  Mnemonic.Fucomp,
  Mnemonic.Fucompp,
  Mnemonic.Ftst,
]);
/** What would carry such a difference on. */
const STATUS_READERS = new Set<number>([Mnemonic.Fnstsw, Mnemonic.Fnclex, Mnemonic.Fninit, Mnemonic.Fldcw]);
const C1 = 0x200;
const C0_C2_C3 = 0x4500;

/** A prefix (0: none), opcode bytes, and whether ModRM.reg is part of the opcode. */
interface Form {
  readonly prefix: number;
  readonly opcode: readonly number[];
  readonly extension: number | undefined;
  readonly memory: boolean;
  readonly register: boolean;
  readonly immediate: boolean;
}

function usable(bytes: readonly number[]): Decoded | undefined {
  const insn = decoder.decode(Uint8Array.from([...bytes, 0, 0, 0, 0, 0, 0]), 64, 0);
  if (insn === undefined || EXCLUDED.has(insn.mnemonic) || lifterOf(insn) === undefined) return undefined;
  const name = names.get(insn.mnemonic) ?? '';
  const control = name.endsWith('mxcsr') || name === 'movnti' || name === 'emms' || name.startsWith('cvt');
  return insn.operands.some((o) => o.kind === 'xmm' || o.kind === 'mm' || o.kind === 'st') ||
    control ||
    (name.startsWith('f') && bytes.some((b) => b >= 0xd8 && b <= 0xdf))
    ? insn
    : undefined;
}

/** Every MMX, SSE and SSE2 opcode that the decoder and the lifters know. */
function vectorForms(): Form[] {
  const out: Form[] = [];
  for (const prefix of [0, 0x66, 0xf2, 0xf3]) {
    for (let op = 0x10; op < 0x100; op++) {
      const head = [...(prefix ? [prefix] : []), 0x0f, op];
      const grouped = [0x71, 0x72, 0x73, 0xae].includes(op);
      for (let extension = 0; extension < (grouped ? 8 : 1); extension++) {
        const register = usable([...head, 0xc1 | (extension << 3)]);
        const memory = usable([...head, 0x03 | (extension << 3)]);
        const one = register ?? memory;
        if (one === undefined) continue;
        const immediate = one.length === head.length + 2;
        out.push({
          prefix,
          opcode: [0x0f, op],
          extension: grouped ? extension : undefined,
          memory: memory !== undefined,
          register: register !== undefined,
          immediate,
        });
      }
    }
  }
  return out;
}
/** x87's register forms, each ModRM byte by itself, and its memory forms. */
function x87Forms(): {
  readonly register: readonly (readonly number[])[];
  readonly memory: readonly (readonly [number, number])[];
} {
  const register: number[][] = [];
  const memory: [number, number][] = [];
  for (let op = 0xd8; op <= 0xdf; op++) {
    for (let modrm = 0xc0; modrm < 0x100; modrm++) if (usable([op, modrm])) register.push([op, modrm]);
    for (let extension = 0; extension < 8; extension++)
      if (usable([op, 0x03 | (extension << 3)])) memory.push([op, extension]);
  }
  return { register, memory };
}
const VECTOR_FORMS = vectorForms();
const X87_FORMS = x87Forms();

const POINTERS: Readonly<Record<CodeBits, readonly number[]>> = { 32: [3, 6, 7], 64: [3, 6, 7, 8, 10, 11] };

/** [base + disp8] or [base + disp32], mostly at a multiple of 16 from the base. */
function memoryOperand(r: Random, bits: CodeBits, reg: number): { readonly bytes: number[]; readonly rex: number } {
  const base = r.one(POINTERS[bits]);
  const near = r.chance(70);
  const displacement = r.chance(85) ? (r.below(near ? 16 : 64) - (near ? 8 : 32)) * 16 : r.below(256) - 128;
  const bytes = [(near ? 0x40 : 0x80) | ((reg & 7) << 3) | (base & 7), displacement & 0xff];
  if (!near) for (let i = 8; i < 32; i += 8) bytes.push((displacement >> i) & 0xff);
  return { bytes, rex: base >> 3 };
}

function vectorInstruction(r: Random, bits: CodeBits): number[] {
  const f = r.one(VECTOR_FORMS);
  const reg = f.extension ?? r.below(bits / 4);
  const memory = f.memory && (!f.register || r.chance(35));
  const rm = r.below(bits / 4);
  const m = memory ? memoryOperand(r, bits, reg) : { bytes: [0xc0 | ((reg & 7) << 3) | (rm & 7)], rex: rm >> 3 };
  const rex = (bits === 64 && r.chance(15) ? 8 : 0) | ((reg >> 3) << 2) | m.rex;
  return [
    ...(f.prefix ? [f.prefix] : []),
    ...(rex ? [0x40 | rex] : []),
    ...f.opcode,
    ...m.bytes,
    ...(f.immediate ? [r.below(256)] : []),
  ];
}
function x87Instruction(r: Random, bits: CodeBits): number[] {
  if (r.chance(60)) return [...r.one(X87_FORMS.register)];
  const [op, extension] = r.one(X87_FORMS.memory);
  const m = memoryOperand(r, bits, extension);
  return [...(m.rex ? [0x40 | m.rex] : []), op, ...m.bytes];
}

// ---- values

const SPECIAL_SINGLES = [
  0, 0x8000_0000, 0x3f80_0000, 0xbf80_0000, 0x7f80_0000, 0xff80_0000, 0x7fc0_0000, 0xffc1_2345, 0x7f80_0001,
  0xffa0_0000, 1, 0x8000_0001, 0x7f_ffff, 0x80_0000, 0x7f7f_ffff, 0x4f00_0000, 0xcf00_0000, 0x4b80_0001,
];

function anyFloat(r: Random): Float {
  // magnitudes near the limits of the formats, and around one
  const exponent =
    r.one([
      0, 0, 0, 10, 31, 32, 63, 64, -20, -126, -149, 127, 128, -1022, -1074, 1023, 1024, -16382, 16383, 16000, -16400,
    ]) +
    r.below(7) -
    3;
  const width = r.one([1, 3, 10, 24, 25, 53, 54, 64]);
  const significand = (BigInt.asUintN(width, r.big()) | 1n) << BigInt(r.below(3));
  return { kind: 'finite', sign: r.below(2) === 0 ? 0 : 1, exponent: exponent - width, significand, denormal: false };
}
function anySingle(r: Random): number {
  if (r.chance(25)) return r.one(SPECIAL_SINGLES) | 0;
  if (r.chance(10)) return r.next() | 0;
  const f = anyFloat(r);
  return packSingle(round(exact(f.sign, f.significand, f.exponent), SINGLE, DEFAULT_CONTROL).value);
}
function anyDouble(r: Random): bigint {
  if (r.chance(20))
    return r.one([
      0n,
      1n << 63n,
      0x3ff0n << 48n,
      0x7ff0n << 48n,
      0xfff0n << 48n,
      0x7ff8n << 48n,
      (0x7ff0n << 48n) + 5n,
      1n,
      (1n << 52n) - 1n,
      1n << 52n,
      (0x7ffn << 52n) - 1n,
      0x41e0n << 48n,
      0xc1e0_0000_0000_0000n,
      0x43e0n << 48n,
    ]);
  if (r.chance(10)) return r.big();
  const f = anyFloat(r);
  return packDouble(round(exact(f.sign, f.significand, f.exponent), DOUBLE, DEFAULT_CONTROL).value);
}
function anyExtended(r: Random): { readonly signExponent: number; readonly significand: bigint } {
  if (r.chance(20)) {
    const sign = r.below(2) << 15;
    const integer = 1n << 63n;
    return r.one([
      { signExponent: sign, significand: 0n },
      { signExponent: sign | 0x7fff, significand: integer },
      { signExponent: sign | 0x7fff, significand: integer | (1n << 62n) | BigInt(r.below(100)) },
      { signExponent: sign | 0x7fff, significand: integer | 1n },
      { signExponent: sign, significand: r.big() >> BigInt(r.below(64)) },
      { signExponent: sign | 0x3fff, significand: integer },
      { signExponent: sign | (1 + r.below(0x7ffe)), significand: r.big() >> 1n },
      { signExponent: sign | 0x7fff, significand: BigInt(r.below(5)) },
    ]);
  }
  if (r.chance(10)) return { signExponent: r.below(0x10000), significand: r.big() };
  const f = anyFloat(r);
  return packExtended(round(exact(f.sign, f.significand, f.exponent), EXTENDED, DEFAULT_CONTROL).value);
}

/** Sixteen bytes holding values of one format. */
function fillVector(r: Random, v: DataView, at: number): void {
  const kind = r.below(10);
  for (let i = 0; i < 16; i += 4) {
    if (kind < 4) v.setInt32(at + i, anySingle(r), true);
    else if (kind < 8) {
      if (i % 8 === 0) v.setBigUint64(at + i, anyDouble(r), true);
    } else v.setUint32(at + i, kind === 8 ? r.next() : r.below(70), true);
  }
}

/** Scratch memory: floating-point values of all formats and decimal digits. */
export function floatPattern(): Uint8Array {
  const r = new Random(0xf10a7);
  const bytes = new Uint8Array(SCRATCH_SIZE);
  const v = new DataView(bytes.buffer);
  for (let at = 0; at < SCRATCH_SIZE; at += 16) {
    const kind = r.below(10);
    if (kind < 6) fillVector(r, v, at);
    else if (kind < 8) {
      const f = anyExtended(r);
      v.setBigUint64(at, f.significand, true);
      v.setUint16(at + 8, f.signExponent, true);
    } else for (let i = 0; i < 10; i++) v.setUint8(at + i, r.below(10) * 16 + r.below(10));
  }
  return bytes;
}

function anyImage(r: Random): Uint8Array {
  const image = new Uint8Array(512);
  const v = new DataView(image.buffer);
  const x87Masks = r.chance(85) ? 0x3f : r.below(64);
  v.setUint16(0, 0x40 | x87Masks | (r.one([3, 3, 3, 0, 2]) << 8) | (r.chance(60) ? 0 : r.below(4) << 10), true);
  // sticky flags only where they are masked, so that nothing is pending
  const sticky = r.chance(50) ? 0 : r.below(64) & x87Masks;
  v.setUint16(2, (r.below(8) << 11) | sticky | (r.next() & 0x4700), true);
  v.setUint8(4, r.chance(20) ? 0xff : r.chance(20) ? r.below(256) : 0x1e | (r.next() & 0xff));
  const masks = r.chance(85) ? 0x3f : r.below(64);
  v.setUint32(
    24,
    (masks << 7) |
      (r.chance(50) ? r.below(64) & masks : 0x20 & masks) |
      (r.chance(70) ? 0 : r.below(4) << 13) |
      (r.chance(15) ? 0x8000 : 0) |
      (r.chance(15) ? 0x40 : 0),
    true,
  );
  for (let i = 0; i < 8; i++) {
    const f = anyExtended(r);
    v.setBigUint64(32 + 16 * i, f.significand, true);
    v.setUint16(40 + 16 * i, f.signExponent, true);
  }
  for (let i = 0; i < 16; i++) fillVector(r, v, 160 + 16 * i);
  return image;
}

/** One sequence: mostly of one kind, x87 or vectors (MMX among them, which uses x87's registers). */
export function generateFloat(r: Random, bits: CodeBits): Sequence {
  const x87 = r.chance(50);
  const count = 1 + r.below(5);
  const code: number[] = [];
  const text: string[] = [];
  let undefinedStatus = 0;
  let undefinedIfPending = 0;
  let undefinedFlagsIfPending = 0;
  while (text.length < count) {
    const bytes = r.chance(90) === x87 ? x87Instruction(r, bits) : vectorInstruction(r, bits);
    const insn = decoder.decode(Uint8Array.from(bytes), bits, 0);
    if (
      insn === undefined ||
      insn.length !== bytes.length ||
      EXCLUDED.has(insn.mnemonic) ||
      lifterOf(insn) === undefined ||
      code.length + bytes.length > CODE_MAX - 1
    )
      continue;
    if ((undefinedStatus | undefinedIfPending) !== 0 && STATUS_READERS.has(insn.mnemonic)) continue;
    if (FLAG_COMPARISONS.has(insn.mnemonic)) {
      undefinedStatus = C1;
      undefinedFlagsIfPending = 0x8d5;
    }
    if (COMPARISONS.has(insn.mnemonic)) undefinedIfPending = C0_C2_C3;
    code.push(...bytes);
    text.push(`${names.get(insn.mnemonic) ?? '?'} [${bytes.map((b) => b.toString(16).padStart(2, '0')).join(' ')}]`);
  }
  const { regs, rflags: wanted } = generate(r, bits);
  // whether a 128-bit move that takes any address is checked is the processor's choice (SDM vol. 2, MOVDQU): AMD's are, at 16 bytes
  const rflags = text.some((t) => /^mov(up[sd]|dqu) /.test(t)) ? wanted & ~0x4_0000n : wanted;
  const placed = [...regs];
  for (const p of POINTERS[bits])
    placed[p] = SCRATCH_BASE + BigInt(1024 + r.below(128) * 16) + (r.chance(85) ? 0n : BigInt(r.below(16)));
  return {
    code: Uint8Array.from([...code, 0xcc]),
    text,
    regs: placed,
    rflags,
    undefinedFlags: 0,
    image: anyImage(r),
    undefinedStatus,
    undefinedIfPending,
    undefinedFlagsIfPending,
  };
}

/** Transcendental instructions by their second opcode byte (the first is D9), and what their operands are best like. */
export const TRANSCENDENTAL: Readonly<
  Record<string, { readonly code: number; readonly exponents: readonly [number, number] }>
> = {
  f2xm1: { code: 0xf0, exponents: [-80, -2] },
  fyl2x: { code: 0xf1, exponents: [-200, 200] },
  fptan: { code: 0xf2, exponents: [-80, 3] },
  fpatan: { code: 0xf3, exponents: [-80, 80] },
  fyl2xp1: { code: 0xf9, exponents: [-80, -3] },
  fsincos: { code: 0xfb, exponents: [-80, 3] },
  fsin: { code: 0xfe, exponents: [-80, 3] },
  fcos: { code: 0xff, exponents: [-80, 3] },
};

/** One transcendental instruction with operands in its range, everything masked, to nearest. */
export function generateTranscendental(r: Random, name: string): Sequence {
  const { code, exponents } = TRANSCENDENTAL[name] as (typeof TRANSCENDENTAL)[string];
  const image = new Uint8Array(512);
  const v = new DataView(image.buffer);
  v.setUint16(0, 0x37f, true);
  v.setUint8(4, 0x07);
  v.setUint32(24, 0x1f80, true);
  for (let i = 0; i < 3; i++) {
    const exponent = exponents[0] + r.below(exponents[1] - exponents[0] + 1);
    // a logarithm's argument is positive, and often near one
    const near = name === 'fyl2x' && i === 0 && r.chance(40) ? -1 + r.below(2) : exponent;
    v.setBigUint64(32 + 16 * i, r.big() | (1n << 63n), true);
    v.setUint16(40 + 16 * i, (near + 16383) | (name === 'fyl2x' && i === 0 ? 0 : r.below(2) << 15), true);
  }
  return {
    code: Uint8Array.from([0xd9, code, 0xcc]),
    text: [name],
    regs: Array.from({ length: 16 }, () => SCRATCH_BASE),
    rflags: 0x202n,
    undefinedFlags: 0,
    image,
  };
}

/** RCPSS and RSQRTSS of one value. */
export function generateApproximation(r: Random, root: boolean): Sequence {
  const image = new Uint8Array(512);
  const v = new DataView(image.buffer);
  v.setUint16(0, 0x37f, true);
  v.setUint32(24, 0x1f80, true);
  for (let i = 0; i < 4; i++) v.setInt32(176 + 4 * i, root ? anySingle(r) & 0x7fff_ffff : anySingle(r), true);
  return {
    code: Uint8Array.from([0x0f, root ? 0x52 : 0x53, 0xc1, 0xcc]),
    text: [root ? 'rsqrtps' : 'rcpps'],
    regs: Array.from({ length: 16 }, () => SCRATCH_BASE),
    rflags: 0x202n,
    undefinedFlags: 0,
    image,
  };
}
