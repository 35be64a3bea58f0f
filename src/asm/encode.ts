import { Encoder, Instruction, OpKind, Register, RoundingControl } from 'iced-x86';
import type { EffectiveAddress } from './address';
import type { Bits } from './code-size';
import type { Form, OperandPattern } from './forms';
import type { Operand } from './operand';
import type { Decorators, Prefixes } from './statement';
import type { Value } from './value';

/** The address of an instruction, and how section terms become addresses. Estimates in sizing passes. */
export interface Placement {
  readonly address: bigint;
  /** The absolute 64-bit value of an expression's value. */
  absolute(value: Value): bigint;
  sectionsSum(address: EffectiveAddress): bigint;
  /** In a sizing pass targets are not known yet; a relative operand then points at the instruction itself. */
  readonly sizing: boolean;
}

const encoders = new Map<Bits, Encoder>();
function encoderFor(bits: Bits): Encoder {
  let e = encoders.get(bits);
  if (!e) {
    e = new Encoder(bits);
    encoders.set(bits, e);
  }
  return e;
}

const ROUNDING = {
  rn: RoundingControl.RoundToNearest,
  rd: RoundingControl.RoundDown,
  ru: RoundingControl.RoundUp,
  rz: RoundingControl.RoundTowardZero,
};
/** Segment override prefixes (SDM vol. 2, 2.1.1). */
export const SEGMENT_BYTE: Readonly<Record<string, number>> = {
  es: 0x26,
  cs: 0x2e,
  ss: 0x36,
  ds: 0x3e,
  fs: 0x64,
  gs: 0x65,
};

/**
 * Encodes one form with its operands. Returns the bytes in NASM's order of prefixes, or iced's reason why it cannot be.
 * @param operands in the order of `form.operands`
 */
export function encode(
  form: Form,
  operands: readonly Operand[],
  prefixes: Prefixes,
  bits: Bits,
  placement: Placement,
): Uint8Array | string {
  const instruction = new Instruction();
  try {
    instruction.code = form.code;
    let immediates = 0;
    let segment = prefixes.segment;
    setImplied(instruction, form, bits, prefixes);
    for (let i = 0; i < operands.length; i++) {
      const operand = operands[i];
      const pattern = form.operands[i];
      const slot = form.slots[i];
      if (operand === undefined || pattern === undefined || slot === undefined) return 'operand count';
      switch (operand.kind) {
        case 'register':
          instruction.setOpKind(slot, OpKind.Register);
          instruction.setOpRegister(slot, operand.register.iced);
          setDecorators(instruction, operand.decorators);
          break;
        case 'memory':
          segment ??= operand.address.segment;
          setMemory(instruction, slot, operand.address, pattern, form, placement);
          setDecorators(instruction, operand.decorators);
          break;
        case 'immediate':
          setImmediate(instruction, slot, pattern, bits, operand.value, immediates++, placement);
          break;
        case 'far':
          instruction.setOpKind(
            slot,
            pattern.kind === 'far' && pattern.width === 32 ? OpKind.FarBranch32 : OpKind.FarBranch16,
          );
          instruction.farBranchSelector = Number(BigInt.asUintN(16, placement.absolute(operand.selector)));
          if (pattern.kind === 'far' && pattern.width === 32)
            instruction.farBranch32 = Number(BigInt.asUintN(32, placement.absolute(operand.offset)));
          else instruction.farBranch16 = Number(BigInt.asUintN(16, placement.absolute(operand.offset)));
          break;
      }
    }
    const encoder = encoderFor(bits);
    encoder.preventVEX2 = prefixes.encoding === 'vex3';
    encoder.encode(instruction, BigInt.asUintN(64, placement.address));
    const bytes = encoder.takeBuffer();
    const arranged = arrangePrefixes(bytes, form, operands, prefixes, segment, bits);
    const added = arranged.length - bytes.length;
    if (added === 0) return arranged;
    // prefixes added after encoding move the end of the instruction, from which relative operands are computed
    encoder.encode(instruction, BigInt.asUintN(64, placement.address + BigInt(added)));
    return arrangePrefixes(encoder.takeBuffer(), form, operands, prefixes, segment, bits);
  } catch (e) {
    encoders.get(bits)?.takeBuffer();
    return e instanceof Error ? e.message : String(e);
  } finally {
    instruction.free();
  }
}

/** The operands of string instructions, which NASM's syntax does not write. */
function setImplied(instruction: Instruction, form: Form, bits: Bits, prefixes: Prefixes): void {
  if (!form.string) return;
  const size = prefixes.addressSize === 'other' ? (bits === 32 ? 16 : 32) : (prefixes.addressSize ?? bits);
  const pick = (k16: OpKind, k32: OpKind, k64: OpKind): OpKind => (size === 16 ? k16 : size === 32 ? k32 : k64);
  form.impliedOperands.forEach(({ slot, kind }) => {
    switch (kind) {
      case 'seg:si':
        instruction.setOpKind(slot, pick(OpKind.MemorySegSI, OpKind.MemorySegESI, OpKind.MemorySegRSI));
        break;
      case 'es:di':
        instruction.setOpKind(slot, pick(OpKind.MemoryESDI, OpKind.MemoryESEDI, OpKind.MemoryESRDI));
        break;
      case 'seg:di':
        instruction.setOpKind(slot, pick(OpKind.MemorySegDI, OpKind.MemorySegEDI, OpKind.MemorySegRDI));
        break;
      case 'seg:bx+al':
        instruction.setOpKind(slot, OpKind.Memory);
        instruction.memoryBase = size === 16 ? Register.BX : size === 32 ? Register.EBX : Register.RBX;
        instruction.memoryIndex = Register.AL;
        break;
      default:
        instruction.setOpKind(slot, OpKind.Register);
        instruction.setOpRegister(slot, kind);
    }
  });
}

function setDecorators(instruction: Instruction, d: Decorators): void {
  if (d.mask !== undefined) instruction.opMask = Register.K0 + d.mask;
  if (d.zeroing) instruction.zeroingMasking = true;
  if (d.broadcast !== undefined) instruction.isBroadcast = true;
  if (d.rounding) instruction.roundingControl = ROUNDING[d.rounding];
  else if (d.sae) instruction.suppressAllExceptions = true;
}

function setMemory(
  instruction: Instruction,
  slot: number,
  a: EffectiveAddress,
  pattern: OperandPattern,
  form: Form,
  placement: Placement,
): void {
  instruction.setOpKind(slot, OpKind.Memory);
  const displacement = a.displacement + placement.sectionsSum(a);
  const target = a.addressSize / 8;
  if (a.ripRelative) {
    instruction.memoryBase = a.addressSize === 32 ? Register.EIP : Register.RIP;
    instruction.memoryDisplSize = target;
    instruction.memoryDisplacement = placement.sizing ? placement.address : BigInt.asUintN(a.addressSize, displacement);
    return;
  }
  if (a.base) instruction.memoryBase = a.base.iced;
  if (a.index) {
    instruction.memoryIndex = a.index.iced;
    instruction.memoryIndexScale = a.scale;
  }
  // Without a base the displacement has its full size always, and the encoder would scale that.
  const compress = form.encoding === 'evex' && a.mayCompress && a.displacementSize > 1 && a.base !== undefined;
  // The encoder takes the size of the address for "full" and 1 for one byte.
  instruction.memoryDisplSize = compress
    ? 1
    : a.displacementSize > 1 || pattern.kind === 'offset'
      ? target
      : a.displacementSize;
  instruction.memoryDisplacement = fitDisplacement(displacement, a, pattern);
}

function fitDisplacement(displacement: bigint, a: EffectiveAddress, pattern: OperandPattern): bigint {
  if (a.addressSize === 64 && pattern.kind !== 'offset')
    return BigInt.asUintN(64, BigInt.asIntN(a.displacementSize === 1 ? 8 : 32, displacement));
  if (a.displacementSize === 1) return BigInt.asUintN(a.addressSize, BigInt.asIntN(8, displacement));
  return BigInt.asUintN(a.addressSize, displacement);
}

function setImmediate(
  instruction: Instruction,
  slot: number,
  pattern: OperandPattern,
  bits: Bits,
  value: Value,
  nth: number,
  placement: Placement,
): void {
  if (pattern.kind === 'relative') {
    const target = placement.sizing ? placement.address : placement.absolute(value);
    const branch = pattern.branch === 'mode' ? (bits === 64 ? 64 : 32) : pattern.branch;
    if (branch === 16) {
      instruction.setOpKind(slot, OpKind.NearBranch16);
      instruction.nearBranch16 = Number(BigInt.asUintN(16, target));
    } else if (branch === 64) {
      instruction.setOpKind(slot, OpKind.NearBranch64);
      instruction.nearBranch64 = BigInt.asUintN(64, target);
    } else {
      instruction.setOpKind(slot, OpKind.NearBranch32);
      instruction.nearBranch32 = Number(BigInt.asUintN(32, target));
    }
    return;
  }
  if (pattern.kind !== 'immediate') return;
  const n = placement.absolute(value);
  if (pattern.nibble) {
    instruction.setOpKind(slot, OpKind.Immediate8);
    instruction.immediate8 = Number(BigInt.asUintN(4, n));
  } else if (pattern.width === 8) {
    if (pattern.extendsTo === 16) {
      instruction.setOpKind(slot, OpKind.Immediate8to16);
      instruction.immediate8to16 = Number(BigInt.asIntN(8, n));
    } else if (pattern.extendsTo === 32) {
      instruction.setOpKind(slot, OpKind.Immediate8to32);
      instruction.immediate8to32 = Number(BigInt.asIntN(8, n));
    } else if (pattern.extendsTo === 64) {
      instruction.setOpKind(slot, OpKind.Immediate8to64);
      instruction.immediate8to64 = BigInt.asIntN(8, n);
    } else if (nth > 0) {
      instruction.setOpKind(slot, OpKind.Immediate8_2nd);
      instruction.immediate8_2nd = Number(BigInt.asUintN(8, n));
    } else {
      instruction.setOpKind(slot, OpKind.Immediate8);
      instruction.immediate8 = Number(BigInt.asUintN(8, n));
    }
  } else if (pattern.width === 16) {
    instruction.setOpKind(slot, OpKind.Immediate16);
    instruction.immediate16 = Number(BigInt.asUintN(16, n));
  } else if (pattern.width === 32 && pattern.extendsTo === 64) {
    instruction.setOpKind(slot, OpKind.Immediate32to64);
    instruction.immediate32to64 = BigInt.asIntN(32, n);
  } else if (pattern.width === 32) {
    instruction.setOpKind(slot, OpKind.Immediate32);
    instruction.immediate32 = Number(BigInt.asUintN(32, n));
  } else {
    instruction.setOpKind(slot, OpKind.Immediate64);
    instruction.immediate64 = BigInt.asUintN(64, n);
  }
}

/**
 * NASM emits legacy prefixes in one order, whatever the source's:
 *
 *   9B (wait) · F2/F3 (repeat) · F0 (lock) · segment · 66 (operand size) · 67 (address size) · the opcode's own 66/F2/F3 · REX …
 */
function arrangePrefixes(
  bytes: Uint8Array,
  form: Form,
  operands: readonly Operand[],
  prefixes: Prefixes,
  segment: string | undefined,
  bits: Bits,
): Uint8Array {
  // the scan ends at the first byte that is not a prefix: REX, VEX, EVEX, XOP or the opcode; none of them is among
  // the bytes below
  let at = 0;
  let operandSize = false;
  let addressSize = false;
  let lock = false;
  let wait = false;
  let mandatory = 0;
  for (; at < bytes.length; at++) {
    const b = bytes[at];
    if (b === 0x66) operandSize = true;
    else if (b === 0x67) addressSize = true;
    else if (b === 0xf0) lock = true;
    else if (b === 0x9b && form.wait) wait = true;
    else if (b === 0xf2 || b === 0xf3) mandatory = b;
    else break;
  }
  // An opcode's own 66 is the only 66 it can have, unless the operand size is 16 as well (crc32, popcnt: those own F2 or F3).
  let own = mandatory;
  if (form.mandatory && mandatory === 0 && operandSize) {
    own = 0x66;
    operandSize = false;
  }
  const out: number[] = [];
  if (wait || prefixes.wait) out.push(0x9b);
  if (prefixes.rep === 'repne') out.push(0xf2);
  // The instructions of VIA's PadLock are repeated by nature: their own F3 is the prefix.
  else if (prefixes.rep !== undefined && !(own === 0xf3 && form.operandCount === 0 && form.mandatory)) out.push(0xf3);
  if (lock || prefixes.lock) out.push(0xf0);
  const segmentByte = segment === undefined ? undefined : SEGMENT_BYTE[segment];
  if (segmentByte !== undefined) out.push(segmentByte);
  const asked = prefixes.operandSize;
  const asks66 = asked === 'other' || (asked === 16 && bits !== 16) || (asked === 32 && bits === 16);
  // an explicit operand-size prefix overrides the one that the operands need
  const overruled =
    form.encoding === 'legacy' && (asked === 16 || asked === 32) && form.operandSize !== 64 && form.operandSize !== 0;
  if (overruled ? asks66 : operandSize || asks66) out.push(0x66);
  const asksAddress =
    prefixes.addressSize === 'other' || (prefixes.addressSize !== undefined && prefixes.addressSize !== bits);
  if (addressSize || asksAddress) out.push(0x67);
  if (own !== 0) out.push(own);
  let tail = bytes.subarray(at);
  if (bits === 64 && form.encoding === 'legacy')
    tail = withRex(tail, asked === 64 || form.redundantRexW ? 8 : 0, prefixes.encoding === 'rex');
  else if (bits === 64 && form.encoding === '3dnow')
    tail = withRex(tail, addressRex(operands), prefixes.encoding === 'rex');
  const result = new Uint8Array(out.length + tail.length);
  result.set(out);
  result.set(tail, out.length);
  return result;
}

/** REX.X and REX.B of a memory operand's address: the encoder leaves them out of 3DNow! instructions. */
function addressRex(operands: readonly Operand[]): number {
  const memory = operands.find((o) => o.kind === 'memory');
  if (memory?.kind !== 'memory') return 0;
  const { base, index } = memory.address;
  return ((index?.number ?? 0) > 7 ? 2 : 0) | ((base?.number ?? 0) > 7 ? 1 : 0);
}

/** Adds REX bits to what follows the legacy prefixes: a REX prefix of its own or the opcode. In 64-bit mode no opcode is 40–4F. */
function withRex(tail: Uint8Array, add: number, force: boolean): Uint8Array {
  if (add === 0 && !force) return tail;
  const first = tail[0] ?? 0;
  if ((first & 0xf0) === 0x40) {
    const copy = tail.slice();
    copy[0] = first | add;
    return copy;
  }
  const copy = new Uint8Array(tail.length + 1);
  copy[0] = 0x40 | add;
  copy.set(tail, 1);
  return copy;
}
