import type { Code } from 'iced-x86';
import {
  Code as Codes,
  CodeExt,
  EncodingKind,
  MandatoryPrefix,
  MemorySize,
  MemorySizeExt,
  Mnemonic,
  OpCodeOperandKind,
  OpCodeTableKind,
  Register,
} from 'iced-x86';
import type { Bits } from './code-size';
import { ALIASES, CONDITION_SYNONYMS, EXCLUDED, REDUNDANT_REX_W } from './names';
import type { RegisterClass } from './registers';

/**
 * The instruction forms that can be encoded, read once from iced-x86's own OpCodeInfo tables: no instruction is listed by hand.
 * What differs between NASM's names and Intel's stands in names.ts.
 */
export type OperandPattern =
  /** A register of the class; `memory` too where the operand may be either. */
  | {
      readonly kind: 'register';
      readonly class: RegisterClass;
      readonly memory: boolean;
      readonly field: 'reg' | 'rm' | 'vvvv' | 'opcode' | 'is4';
      readonly set: number;
    }
  | { readonly kind: 'memory'; readonly vector: 'xmm' | 'ymm' | 'zmm' | undefined; readonly sib: boolean }
  /** The accumulator's direct-address form (opcodes A0–A3). */
  | { readonly kind: 'offset' }
  | { readonly kind: 'fixed'; readonly name: string }
  /** `width`: bits in the encoding; `extendsTo`: sign-extended to that width, else 0. */
  | {
      readonly kind: 'immediate';
      readonly width: number;
      readonly extendsTo: number;
      readonly one: boolean;
      readonly nibble: boolean;
    }
  /** `branch`: bits of the instruction pointer that the target belongs to. */
  | { readonly kind: 'relative'; readonly width: 8 | 16 | 32; readonly branch: 16 | 32 | 64 | 'mode' }
  | { readonly kind: 'far'; readonly width: 16 | 32 }
  /** Not written in NASM's syntax: the memory operands of string instructions. */
  | { readonly kind: 'implied'; readonly memory: ImpliedMemory };

export type ImpliedMemory = 'seg:si' | 'es:di' | 'seg:di' | 'seg:bx+al';

export type FormEncoding = 'legacy' | 'vex' | 'evex' | 'xop' | '3dnow';

export interface Form {
  readonly code: Code;
  readonly encoding: FormEncoding;
  /** What is written, in order; `slots[i]` is the operand's number for the encoder. */
  readonly operands: readonly OperandPattern[];
  readonly slots: readonly number[];
  /** Operands that the syntax leaves out, with the memory they mean or the register. */
  readonly impliedOperands: readonly { readonly slot: number; readonly kind: ImpliedMemory | Register }[];
  readonly operandCount: number;
  /** 16, 32 or 64 where the operand size is part of the form; 0 otherwise. */
  readonly operandSize: number;
  /** In 64-bit mode this form needs no REX.W. */
  readonly default64: boolean;
  readonly addressSize: number;
  readonly modes: readonly Bits[];
  /** Bits; 0 where the table does not say. */
  readonly memoryBits: number;
  readonly broadcastBits: number;
  /** A memory operand that holds a pointer: `call`, `jmp`, `les`. */
  readonly pointer: 'near' | 'far' | undefined;
  readonly mandatory: boolean;
  readonly string: boolean;
  readonly canMask: boolean;
  readonly canZero: boolean;
  readonly canRound: boolean;
  readonly canSae: boolean;
  readonly lockable: boolean;
  readonly wait: boolean;
  readonly redundantRexW: boolean;
  /** For relative jumps: whether the mnemonic has a short and a near form at all. */
  readonly hasShort: boolean;
  readonly hasNear: boolean;
}

const K = OpCodeOperandKind;
const reg = (
  kind: RegisterClass,
  field: 'reg' | 'rm' | 'vvvv' | 'opcode' | 'is4',
  memory = false,
  set = 1,
): OperandPattern => ({
  kind: 'register',
  class: kind,
  field,
  memory,
  set,
});
const mem = (vector?: 'xmm' | 'ymm' | 'zmm', sib = false): OperandPattern => ({ kind: 'memory', vector, sib });
const imm = (width: number, extendsTo = 0): OperandPattern => ({
  kind: 'immediate',
  width,
  extendsTo,
  one: false,
  nibble: false,
});
const fixed = (name: string): OperandPattern => ({ kind: 'fixed', name });
const relative = (width: 8 | 16 | 32, branch: 16 | 32 | 64 | 'mode'): OperandPattern => ({
  kind: 'relative',
  width,
  branch,
});
const implied = (memory: ImpliedMemory): OperandPattern => ({ kind: 'implied', memory });

/** What each operand kind of iced's tables accepts. */
const PATTERNS = new Map<OpCodeOperandKind, OperandPattern>([
  [K.farbr2_2, { kind: 'far', width: 16 }],
  [K.farbr4_2, { kind: 'far', width: 32 }],
  [K.mem_offs, { kind: 'offset' }],
  [K.mem, mem()],
  [K.mem_mpx, mem()],
  [K.mem_mib, mem()],
  [K.sibmem, mem(undefined, true)],
  [K.mem_vsib32x, mem('xmm')],
  [K.mem_vsib64x, mem('xmm')],
  [K.mem_vsib32y, mem('ymm')],
  [K.mem_vsib64y, mem('ymm')],
  [K.mem_vsib32z, mem('zmm')],
  [K.mem_vsib64z, mem('zmm')],
  [K.r8_or_mem, reg('r8', 'rm', true)],
  [K.r16_or_mem, reg('r16', 'rm', true)],
  [K.r32_or_mem, reg('r32', 'rm', true)],
  [K.r32_or_mem_mpx, reg('r32', 'rm', true)],
  [K.r64_or_mem, reg('r64', 'rm', true)],
  [K.r64_or_mem_mpx, reg('r64', 'rm', true)],
  [K.mm_or_mem, reg('mm', 'rm', true)],
  [K.xmm_or_mem, reg('xmm', 'rm', true)],
  [K.ymm_or_mem, reg('ymm', 'rm', true)],
  [K.zmm_or_mem, reg('zmm', 'rm', true)],
  [K.bnd_or_mem_mpx, reg('bound', 'rm', true)],
  [K.k_or_mem, reg('mask', 'rm', true)],
  [K.r8_reg, reg('r8', 'reg')],
  [K.r8_opcode, reg('r8', 'opcode')],
  [K.r16_reg, reg('r16', 'reg')],
  [K.r16_reg_mem, reg('r16', 'reg')],
  [K.r16_rm, reg('r16', 'rm')],
  [K.r16_opcode, reg('r16', 'opcode')],
  [K.r32_reg, reg('r32', 'reg')],
  [K.r32_reg_mem, reg('r32', 'reg')],
  [K.r32_rm, reg('r32', 'rm')],
  [K.r32_opcode, reg('r32', 'opcode')],
  [K.r32_vvvv, reg('r32', 'vvvv')],
  [K.r64_reg, reg('r64', 'reg')],
  [K.r64_reg_mem, reg('r64', 'reg')],
  [K.r64_rm, reg('r64', 'rm')],
  [K.r64_opcode, reg('r64', 'opcode')],
  [K.r64_vvvv, reg('r64', 'vvvv')],
  [K.seg_reg, reg('segment', 'reg')],
  [K.k_reg, reg('mask', 'reg')],
  [K.kp1_reg, reg('mask', 'reg', false, 2)],
  [K.k_rm, reg('mask', 'rm')],
  [K.k_vvvv, reg('mask', 'vvvv')],
  [K.mm_reg, reg('mm', 'reg')],
  [K.mm_rm, reg('mm', 'rm')],
  [K.xmm_reg, reg('xmm', 'reg')],
  [K.xmm_rm, reg('xmm', 'rm')],
  [K.xmm_vvvv, reg('xmm', 'vvvv')],
  [K.xmmp3_vvvv, reg('xmm', 'vvvv', false, 4)],
  [K.xmm_is4, reg('xmm', 'is4')],
  [K.xmm_is5, reg('xmm', 'is4')],
  [K.ymm_reg, reg('ymm', 'reg')],
  [K.ymm_rm, reg('ymm', 'rm')],
  [K.ymm_vvvv, reg('ymm', 'vvvv')],
  [K.ymm_is4, reg('ymm', 'is4')],
  [K.ymm_is5, reg('ymm', 'is4')],
  [K.zmm_reg, reg('zmm', 'reg')],
  [K.zmm_rm, reg('zmm', 'rm')],
  [K.zmm_vvvv, reg('zmm', 'vvvv')],
  [K.zmmp3_vvvv, reg('zmm', 'vvvv', false, 4)],
  [K.cr_reg, reg('control', 'reg')],
  [K.dr_reg, reg('debug', 'reg')],
  [K.tr_reg, reg('test', 'reg')],
  [K.bnd_reg, reg('bound', 'reg')],
  [K.tmm_reg, reg('tile', 'reg')],
  [K.tmm_rm, reg('tile', 'rm')],
  [K.tmm_vvvv, reg('tile', 'vvvv')],
  [K.sti_opcode, reg('st', 'opcode')],
  [K.es, fixed('es')],
  [K.cs, fixed('cs')],
  [K.ss, fixed('ss')],
  [K.ds, fixed('ds')],
  [K.fs, fixed('fs')],
  [K.gs, fixed('gs')],
  [K.al, fixed('al')],
  [K.cl, fixed('cl')],
  [K.ax, fixed('ax')],
  [K.dx, fixed('dx')],
  [K.eax, fixed('eax')],
  [K.rax, fixed('rax')],
  [K.st0, fixed('st0')],
  [K.imm8, imm(8)],
  [K.imm16, imm(16)],
  [K.imm32, imm(32)],
  [K.imm64, imm(64)],
  [K.imm8sex16, imm(8, 16)],
  [K.imm8sex32, imm(8, 32)],
  [K.imm8sex64, imm(8, 64)],
  [K.imm32sex64, imm(32, 64)],
  [K.imm8_const_1, { kind: 'immediate', width: 8, extendsTo: 0, one: true, nibble: false }],
  [K.imm4_m2z, { kind: 'immediate', width: 4, extendsTo: 0, one: false, nibble: true }],
  [K.seg_rSI, implied('seg:si')],
  [K.es_rDI, implied('es:di')],
  [K.seg_rDI, implied('seg:di')],
  [K.seg_rBX_al, implied('seg:bx+al')],
  [K.br16_1, relative(8, 16)],
  [K.br32_1, relative(8, 32)],
  [K.br64_1, relative(8, 64)],
  [K.br16_2, relative(16, 16)],
  [K.br32_4, relative(32, 32)],
  [K.br64_4, relative(32, 64)],
  [K.xbegin_2, relative(16, 'mode')],
  [K.xbegin_4, relative(32, 'mode')],
]);

const POINTERS = new Map<MemorySize, 'near' | 'far'>([
  [MemorySize.WordOffset, 'near'],
  [MemorySize.DwordOffset, 'near'],
  [MemorySize.QwordOffset, 'near'],
  [MemorySize.SegPtr16, 'far'],
  [MemorySize.SegPtr32, 'far'],
  [MemorySize.SegPtr64, 'far'],
]);

/** The registers that string instructions use unwritten. */
const FIXED_REGISTERS: Readonly<Record<string, Register>> = {
  al: Register.AL,
  ax: Register.AX,
  eax: Register.EAX,
  rax: Register.RAX,
  dx: Register.DX,
};

let table: ReadonlyMap<string, readonly Form[]> | undefined;

/** All forms of a mnemonic as NASM spells it, lower case; empty where there is none. */
export function formsOf(mnemonic: string): readonly Form[] {
  table ??= buildTable();
  return table.get(ALIASES[mnemonic]?.name ?? fusedName(mnemonic)) ?? [];
}

/** The digits of a fused multiply-add name its operands' order; the first two, which are multiplied, may be written the other way round. */
const FUSED_ORDER: Readonly<Record<string, string>> = { '312': '132', '123': '213', '321': '231' };
const fusedName = (mnemonic: string): string =>
  mnemonic.startsWith('vf')
    ? mnemonic.replace(
        /^(vfn?m(?:add|sub|addsub|subadd))(312|123|321)(?=[ps][sd]$)/,
        (_, stem: string, order: string) => stem + (FUSED_ORDER[order] ?? order),
      )
    : mnemonic;

/** Whether a lower-case word is an instruction. */
export const isMnemonic = (word: string): boolean => formsOf(word).length > 0;

/** Every mnemonic, for completion and for the tests that generate operand combinations. */
export function mnemonics(): string[] {
  table ??= buildTable();
  return [...table.keys(), ...Object.keys(ALIASES)];
}

function buildTable(): ReadonlyMap<string, readonly Form[]> {
  const out = new Map<string, Form[]>();
  for (const key of Object.keys(Codes)) {
    const code = Codes[key as keyof typeof Codes];
    if (typeof code !== 'number' || EXCLUDED.has(key) || key.startsWith('VEX_KNC_')) continue;
    const info = CodeExt.opCode(code);
    const form = readForm(code, info);
    if (form) {
      const name = (Mnemonic[info.mnemonic] ?? '').toLowerCase();
      const list = out.get(name);
      if (list) list.push(form);
      else out.set(name, [form]);
    }
    info.free();
  }
  for (const forms of out.values()) {
    const has = (short: boolean): boolean =>
      forms.some((f) => f.operands.some((p) => p.kind === 'relative' && (p.width === 8) === short));
    const hasShort = has(true);
    const hasNear = has(false);
    for (const f of forms) Object.assign(f, { hasShort, hasNear });
  }
  for (const [synonym, name] of CONDITION_SYNONYMS) {
    const forms = out.get(name);
    if (forms) out.set(synonym, forms);
  }
  return out;
}

/** MVEX (Knights Corner) is left out. */
const ENCODINGS = new Map<EncodingKind, FormEncoding>([
  [EncodingKind.Legacy, 'legacy'],
  [EncodingKind.VEX, 'vex'],
  [EncodingKind.EVEX, 'evex'],
  [EncodingKind.XOP, 'xop'],
  [EncodingKind.D3NOW, '3dnow'],
]);

function readForm(code: Code, info: ReturnType<typeof CodeExt.opCode>): Form | undefined {
  const encoding = ENCODINGS.get(info.encoding);
  if (!info.isInstruction || encoding === undefined) return undefined;
  const kinds: OperandPattern[] = [];
  for (let i = 0; i < info.opCount; i++) {
    const pattern = PATTERNS.get(info.opKind(i));
    if (!pattern) return undefined;
    kinds.push(pattern);
  }
  const string = kinds.some((k) => k.kind === 'implied');
  const all = kinds.map((pattern, slot) => ({ pattern, slot }));
  const isImplied = (p: OperandPattern): boolean => p.kind === 'implied' || (string && p.kind === 'fixed');
  const written = all.filter(({ pattern }) => !isImplied(pattern));
  const impliedOperands = all.flatMap(({ pattern, slot }): { slot: number; kind: ImpliedMemory | Register }[] =>
    pattern.kind === 'implied'
      ? [{ slot, kind: pattern.memory }]
      : string && pattern.kind === 'fixed'
        ? [{ slot, kind: FIXED_REGISTERS[pattern.name] ?? Register.None }]
        : [],
  );
  const modes: Bits[] = [];
  if (info.mode16) modes.push(16);
  // POP CS existed on the 8086 alone.
  if (info.mode32 && code !== Codes.Popw_CS) modes.push(32);
  if (info.mode64) modes.push(64);
  return {
    code,
    encoding,
    operands: written.map((w) => w.pattern),
    slots: written.map((w) => w.slot),
    impliedOperands,
    operandCount: info.opCount,
    operandSize: info.operandSize,
    default64: info.defaultOpSize64,
    addressSize: info.addressSize,
    modes,
    memoryBits: MemorySizeExt.size(info.memorySize) * 8,
    broadcastBits: info.canBroadcast ? MemorySizeExt.size(info.broadcastMemorySize) * 8 : 0,
    pointer: POINTERS.get(info.memorySize),
    mandatory:
      info.encoding === EncodingKind.Legacy &&
      info.table !== OpCodeTableKind.Normal &&
      info.mandatoryPrefix > MandatoryPrefix.PNP,
    string,
    canMask: info.canUseOpMaskRegister,
    canZero: info.canUseZeroingMasking,
    canRound: info.canUseRoundingControl,
    canSae: info.canSuppressAllExceptions,
    lockable: info.canUseLockPrefix,
    wait: info.fwait,
    redundantRexW: REDUNDANT_REX_W.has((Mnemonic[info.mnemonic] ?? '').toLowerCase()),
    hasShort: false,
    hasNear: false,
  };
}
