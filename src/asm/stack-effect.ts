/**
 * What one instruction does to the stack and frame pointers, and where control goes: needed to find callers in code
 * without unwind tables.
 */
import {
  Decoder,
  DecoderOptions,
  FlowControl,
  Instruction,
  InstructionInfoFactory,
  InstructionInfoOptions,
  Mnemonic,
  OpAccess,
  OpKind,
  Register,
  RegisterExt,
} from 'iced-x86';
import type { Bits } from './code-size';

/** Changes to SP and FP (RSP and RBP, or the narrower ones); bytes. */
export type StackEffect =
  | { readonly kind: 'none' }
  | { readonly kind: 'move'; readonly by: number }
  /** A general register, by the number that encodings give it, goes to the top of the stack or comes from there. */
  | { readonly kind: 'push'; readonly register: number; readonly size: number }
  | { readonly kind: 'pop'; readonly register: number; readonly size: number }
  /** FP ← SP + offset, SP ← FP + offset. */
  | { readonly kind: 'fp-from-sp'; readonly offset: number }
  | { readonly kind: 'sp-from-fp'; readonly offset: number }
  | { readonly kind: 'leave'; readonly size: number }
  | { readonly kind: 'enter'; readonly size: number; readonly locals: number }
  /** Set to a value that only execution would reveal. */
  | { readonly kind: 'lost'; readonly sp: boolean; readonly fp: boolean };

export interface Flow {
  readonly length: number;
  readonly stack: StackEffect;
  /** Linear or offset, as the instruction's own address was given. Absent for indirect ones. */
  readonly target?: bigint;
  readonly goes: 'on' | 'jump' | 'branch' | 'call' | 'return' | 'nowhere';
  /** The general registers that it may write, wholly or in part: bit n is the register of number n. */
  readonly written: number;
}

const SP: ReadonlySet<Register> = new Set([Register.SP, Register.ESP, Register.RSP]);
const FP: ReadonlySet<Register> = new Set([Register.BP, Register.EBP, Register.RBP]);
/** Those whose first operand is only read. */
const READERS: ReadonlySet<Mnemonic> = new Set([Mnemonic.Cmp, Mnemonic.Test, Mnemonic.Push, Mnemonic.Bt]);
const ADDS: ReadonlySet<Mnemonic> = new Set([Mnemonic.Add, Mnemonic.Sub]);

/** Decodes the instruction that `bytes` begin with; undefined if they are not an instruction, or too few. */
export function flowOf(bytes: Uint8Array, address: bigint, bits: Bits): Flow | undefined {
  const decoder = new Decoder(bits, bytes, DecoderOptions.None);
  const i = new Instruction();
  try {
    decoder.ip = BigInt.asUintN(64, address);
    decoder.decodeOut(i);
    if (i.isInvalid) return undefined;
    const target = hasNearTarget(i) ? i.nearBranchTarget : undefined;
    return {
      length: i.length,
      stack: effect(i, bits),
      goes: direction(i),
      written: writtenBy(i),
      ...(target === undefined ? {} : { target }),
    };
  } finally {
    i.free();
    decoder.free();
  }
}

/** Every general register. */
export const ALL_REGISTERS = 0xffff;
let factory: InstructionInfoFactory | undefined;

/** The general registers that the instruction may write; what runs other code may write any. */
function writtenBy(i: Instruction): number {
  if (!STAYS.has(i.flowControl)) return ALL_REGISTERS;
  factory ??= new InstructionInfoFactory();
  const info = factory.infoOptions(i, InstructionInfoOptions.NoMemoryUsage);
  let written = 0;
  for (const used of info.usedRegisters()) {
    if (RegisterExt.isGPR(used.register) && WRITES.has(used.access)) written |= 1 << numberOf(used.register);
    used.free();
  }
  info.free();
  return written;
}
/** After these the next instruction, or the target, follows at once. */
const STAYS: ReadonlySet<FlowControl> = new Set([
  FlowControl.Next,
  FlowControl.ConditionalBranch,
  FlowControl.UnconditionalBranch,
]);
const WRITES: ReadonlySet<OpAccess> = new Set([
  OpAccess.Write,
  OpAccess.CondWrite,
  OpAccess.ReadWrite,
  OpAccess.ReadCondWrite,
]);

const hasNearTarget = (i: Instruction): boolean =>
  i.op0Kind === OpKind.NearBranch16 || i.op0Kind === OpKind.NearBranch32 || i.op0Kind === OpKind.NearBranch64;

function direction(i: Instruction): Flow['goes'] {
  switch (i.flowControl) {
    case FlowControl.UnconditionalBranch:
      return 'jump';
    case FlowControl.ConditionalBranch:
    case FlowControl.XbeginXabortXend:
      return 'branch';
    case FlowControl.Call:
    case FlowControl.IndirectCall:
      // iced classifies hypercalls as calls; they continue with the next instruction
      return i.mnemonic === Mnemonic.Call ? 'call' : 'on';
    case FlowControl.Return:
      return 'return';
    case FlowControl.IndirectBranch:
    case FlowControl.Exception:
      return 'nowhere';
    default:
      return 'on';
  }
}

function effect(i: Instruction, bits: Bits): StackEffect {
  const { mnemonic, op0Kind, op1Kind } = i;
  const first = op0Kind === OpKind.Register ? i.op0Register : Register.None;
  const second = i.opCount > 1 && op1Kind === OpKind.Register ? i.op1Register : Register.None;
  const by = i.stackPointerIncrement;
  switch (mnemonic) {
    case Mnemonic.Push:
      return RegisterExt.isGPR(first) ? { kind: 'push', register: numberOf(first), size: -by } : { kind: 'move', by };
    case Mnemonic.Pop:
      if (SP.has(first)) return { kind: 'lost', sp: true, fp: false };
      return RegisterExt.isGPR(first) ? { kind: 'pop', register: numberOf(first), size: by } : { kind: 'move', by };
    case Mnemonic.Leave:
      return { kind: 'leave', size: bits / 8 };
    case Mnemonic.Enter:
      return i.immediate(1) === 0n
        ? { kind: 'enter', size: bits / 8, locals: Number(i.immediate(0)) }
        : { kind: 'lost', sp: true, fp: true };
    case Mnemonic.Popa:
    case Mnemonic.Popad:
      return { kind: 'lost', sp: false, fp: true };
    case Mnemonic.Call:
      return { kind: 'none' };
    case Mnemonic.Mov:
      if (SP.has(first) && FP.has(second)) return { kind: 'sp-from-fp', offset: 0 };
      if (FP.has(first) && SP.has(second)) return { kind: 'fp-from-sp', offset: 0 };
      break;
    case Mnemonic.Lea:
      if ((SP.has(first) || FP.has(first)) && i.memoryIndex === Register.None) {
        const offset = Number(BigInt.asIntN(bits, i.memoryDisplacement));
        if (SP.has(first) && SP.has(i.memoryBase)) return { kind: 'move', by: offset };
        if (SP.has(first) && FP.has(i.memoryBase)) return { kind: 'sp-from-fp', offset };
        if (FP.has(first) && SP.has(i.memoryBase)) return { kind: 'fp-from-sp', offset };
      }
      break;
    case Mnemonic.Xchg:
    case Mnemonic.Xadd:
      if (SP.has(second) || FP.has(second)) return { kind: 'lost', sp: true, fp: true };
      break;
    default:
      break;
  }
  if (ADDS.has(mnemonic) && SP.has(first) && isImmediate(op1Kind)) {
    const n = Number(BigInt.asIntN(64, i.immediate(1)));
    return { kind: 'move', by: mnemonic === Mnemonic.Add ? n : -n };
  }
  if ((SP.has(first) || FP.has(first)) && !READERS.has(mnemonic))
    return { kind: 'lost', sp: SP.has(first), fp: FP.has(first) };
  return by === 0 || i.flowControl === FlowControl.Return ? { kind: 'none' } : { kind: 'move', by };
}

const numberOf = (register: Register): number => RegisterExt.number(RegisterExt.fullRegister(register));
const isImmediate = (kind: OpKind): boolean => kind >= OpKind.Immediate8 && kind <= OpKind.Immediate32to64;
