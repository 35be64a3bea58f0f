import {
  Code,
  Decoder,
  DecoderError,
  DecoderOptions,
  Instruction,
  MemorySize,
  MemorySizeExt,
  Mnemonic,
  OpKind,
  Register,
} from 'iced-x86';
import type { OpCodeInfo } from 'iced-x86';
import { invariant } from '../../base/assert';
import { SEGMENTS, type RegisterWidth } from '../../isa/registers';
import { SEG } from '../state/layout';
import type { Decoded, MemoryOperand, Operand } from './decoded';
import { scanPrefixes } from './prefixes';

type Bits = 16 | 32 | 64;

/** An instruction is at most 15 bytes long (SDM vol. 2, 2.3.11); a longer one is #GP(0). */
export const MAX_INSTRUCTION_BYTES = 15;

const GPR_RSP = 4;
const GPR_RBP = 5;
const GPR_RSI = 6;
const GPR_RDI = 7;

/** Register operands by iced-x86's Register number. */
const REGISTERS: readonly Operand[] = buildRegisters();

function buildRegisters(): Operand[] {
  const table: Operand[] = [];
  const gprs = (first: Register, count: number, width: RegisterWidth, index0: number, shift: 0 | 8): void => {
    for (let i = 0; i < count; i++) table[first + i] = { kind: 'gpr', index: index0 + i, width, shift };
  };
  gprs(Register.AL, 4, 8, 0, 0);
  gprs(Register.AH, 4, 8, 0, 8);
  gprs(Register.SPL, 12, 8, 4, 0);
  gprs(Register.AX, 16, 16, 0, 0);
  gprs(Register.EAX, 16, 32, 0, 0);
  gprs(Register.RAX, 16, 64, 0, 0);
  SEGMENTS.forEach((name, index) => {
    table[Register.ES + index] = { kind: 'segment', index, name };
  });
  for (let index = 0; index < 16; index++) {
    table[Register.CR0 + index] = { kind: 'control', index };
    table[Register.DR0 + index] = { kind: 'debug', index };
    table[Register.XMM0 + index] = { kind: 'xmm', index };
  }
  for (let index = 0; index < 8; index++) {
    table[Register.ST0 + index] = { kind: 'st', index };
    table[Register.MM0 + index] = { kind: 'mm', index };
  }
  return table;
}

function registerOperand(register: Register): Operand {
  return REGISTERS[register] ?? { kind: 'other', register };
}

/** Encoding of a general register of any width, or −1 (none, RIP, vector index). */
function gprIndex(register: Register): number {
  const o = REGISTERS[register];
  return o?.kind === 'gpr' ? o.index : -1;
}

/** Implicit memory operands of the string instructions: register, address width, and whether a segment override applies. */
const STRING_OPERANDS: ReadonlyMap<
  OpKind,
  { readonly base: number; readonly bits: Bits; readonly overridable: boolean }
> = new Map([
  [OpKind.MemorySegSI, { base: GPR_RSI, bits: 16, overridable: true }],
  [OpKind.MemorySegESI, { base: GPR_RSI, bits: 32, overridable: true }],
  [OpKind.MemorySegRSI, { base: GPR_RSI, bits: 64, overridable: true }],
  [OpKind.MemorySegDI, { base: GPR_RDI, bits: 16, overridable: true }],
  [OpKind.MemorySegEDI, { base: GPR_RDI, bits: 32, overridable: true }],
  [OpKind.MemorySegRDI, { base: GPR_RDI, bits: 64, overridable: true }],
  [OpKind.MemoryESDI, { base: GPR_RDI, bits: 16, overridable: false }],
  [OpKind.MemoryESEDI, { base: GPR_RDI, bits: 32, overridable: false }],
  [OpKind.MemoryESRDI, { base: GPR_RDI, bits: 64, overridable: false }],
]);

/** Width that an immediate has after the extension its form prescribes. */
const IMMEDIATE_WIDTH: ReadonlyMap<OpKind, RegisterWidth> = new Map([
  [OpKind.Immediate8, 8],
  [OpKind.Immediate8_2nd, 8],
  [OpKind.Immediate16, 16],
  [OpKind.Immediate32, 32],
  [OpKind.Immediate64, 64],
  [OpKind.Immediate8to16, 16],
  [OpKind.Immediate8to32, 32],
  [OpKind.Immediate8to64, 64],
  [OpKind.Immediate32to64, 64],
]);

const NEAR_WIDTH: ReadonlyMap<OpKind, Bits> = new Map([
  [OpKind.NearBranch16, 16],
  [OpKind.NearBranch32, 32],
  [OpKind.NearBranch64, 64],
]);

/**
 * iced-x86 behind our own plain structure. One Instruction is reused for every decode; decoded instructions are cached with their block, so this is not the
 * hot path. Decoding is Intel's (66 has no effect on near branches with 32-bit displacements in 64-bit mode); wrong LOCK prefixes and forms that the mode does
 * not have come out as Mnemonic.INVALID.
 */
export class InstructionDecoder {
  private readonly instruction = new Instruction();
  /** Operand size by Code; −1 until asked for. 0: the instruction has none of its own and the prefixes decide. */
  private readonly operandSizes = new Int8Array(Object.keys(Code).length).fill(-1);
  private readonly memorySizes = new Int16Array(Object.keys(MemorySize).length).fill(-1);

  /**
   * Decodes the instruction at the start of `bytes` (up to 15 of them are looked at).
   * `offset` is the instruction's offset from the start of its block; it is only noted.
   * Undefined: `bytes` ends before the instruction does. An opcode that does not exist answers with Mnemonic.INVALID (#UD), one longer than
   * 15 bytes with Mnemonic.INVALID and a length above MAX_INSTRUCTION_BYTES (#GP(0)).
   */
  decode(bytes: Uint8Array, bits: Bits, offset: number): Decoded | undefined {
    const window = bytes.length > MAX_INSTRUCTION_BYTES ? bytes.subarray(0, MAX_INSTRUCTION_BYTES) : bytes;
    const insn = this.instruction;
    const decoder = new Decoder(bits, window, DecoderOptions.None);
    let error: DecoderError;
    try {
      decoder.decodeOut(insn);
      error = decoder.lastError;
    } finally {
      decoder.free();
    }
    if (error === DecoderError.NoMoreBytes) return undefined;
    const prefixes = scanPrefixes(window, bits);
    const code = insn.code;
    const overlong = error !== DecoderError.None && insn.length === MAX_INSTRUCTION_BYTES;
    const length = overlong ? MAX_INSTRUCTION_BYTES + 1 : insn.length;
    const operands: Operand[] = [];
    if (code !== Code.INVALID) {
      for (let i = 0, n = insn.opCount; i < n; i++)
        operands.push(this.operand(insn, i, prefixes.addressBits, prefixes.segment));
    }
    return {
      mnemonic: insn.mnemonic,
      code,
      length,
      offset,
      bits,
      operandBits: this.operandSize(insn) || prefixes.operandBits,
      addressBits: prefixes.addressBits,
      operands,
      rep: insn.hasRepPrefix,
      repne: insn.hasRepnePrefix,
      lock: insn.hasLockPrefix,
      segmentPrefix: prefixes.segment,
      bytes: window.slice(0, length),
    };
  }

  private operandSize(insn: Instruction): Bits | 0 {
    const code = insn.code;
    let size = this.operandSizes[code] as number;
    if (size < 0) {
      const info: OpCodeInfo = insn.opCode;
      size = info.operandSize;
      info.free();
      this.operandSizes[code] = size;
    }
    return size as Bits | 0;
  }

  /** Bytes of the memory operand, 0 where the instruction defines it itself. */
  private memorySize(insn: Instruction): number {
    const kind = insn.memorySize;
    let size = this.memorySizes[kind] as number;
    if (size < 0) {
      size = MemorySizeExt.size(kind);
      this.memorySizes[kind] = size;
    }
    return size;
  }

  private operand(insn: Instruction, i: number, addressBits: Bits, prefix: number): Operand {
    const kind = insn.opKind(i);
    if (kind === OpKind.Register) return registerOperand(insn.opRegister(i));
    if (kind === OpKind.Memory) return { kind: 'memory', memory: this.memory(insn, addressBits, prefix) };
    const width = IMMEDIATE_WIDTH.get(kind);
    if (width !== undefined) return { kind: 'immediate', value: BigInt.asUintN(width, insn.immediate(i)), width };
    const near = NEAR_WIDTH.get(kind);
    // iced decodes at IP 0, so that the target is relative to the instruction; narrow ones come truncated
    if (near !== undefined) return { kind: 'near', offset: Number(BigInt.asIntN(near, insn.nearBranchTarget)) };
    if (kind === OpKind.FarBranch16)
      return { kind: 'far', selector: insn.farBranchSelector, offset: BigInt(insn.farBranch16) };
    if (kind === OpKind.FarBranch32)
      return { kind: 'far', selector: insn.farBranchSelector, offset: BigInt(insn.farBranch32) };
    const string = STRING_OPERANDS.get(kind);
    invariant(string !== undefined, `iced-x86 operand kind ${OpKind[kind]} is known`);
    const segment = !string.overridable ? SEG.ES : prefix >= 0 ? prefix : SEG.DS;
    const memory: MemoryOperand = {
      base: string.base,
      index: -1,
      scale: 1,
      displacement: 0n,
      ripRelative: false,
      addressBits: string.bits,
      segment,
      size: this.memorySize(insn),
    };
    return { kind: 'memory', memory };
  }

  private memory(insn: Instruction, addressBits: Bits, prefix: number): MemoryOperand {
    const baseRegister = insn.memoryBase;
    const ripRelative = baseRegister === Register.RIP || baseRegister === Register.EIP;
    const base = gprIndex(baseRegister);
    const displacement = ripRelative ? insn.ipRelMemoryAddress : insn.memoryDisplacement;
    return {
      base,
      index: gprIndex(insn.memoryIndex),
      scale: insn.memoryIndexScale as 1 | 2 | 4 | 8,
      displacement: BigInt.asIntN(addressBits, displacement),
      ripRelative,
      addressBits,
      segment: prefix >= 0 ? prefix : base === GPR_RSP || base === GPR_RBP ? SEG.SS : SEG.DS,
      size: this.memorySize(insn),
    };
  }
}

/** `WRMSR`: the name of a mnemonic as the manuals write it. */
export const mnemonicName = (mnemonic: number): string => (Mnemonic[mnemonic] ?? `mnemonic ${mnemonic}`).toUpperCase();

/** Whether the instruction is one that the decoder refused. */
export const isInvalid = (insn: Decoded): boolean => insn.mnemonic === Mnemonic.INVALID;
