/** What iced-x86's tables say about a mnemonic, for explaining instructions: encodings, flags, privilege. */
import { CodeExt, CpuidFeature, Instruction, OpAccess, InstructionInfoFactory, RflagsBits } from 'iced-x86';
import type { Bits } from './code-size';
import type { OperandPattern } from './forms';
import { formsOf } from './forms';

/** One encoding of a mnemonic. */
export interface EncodingReference {
  /** As in the manual's opcode column, for example `REX.W 81 /0 id`. */
  readonly opcode: string;
  /** As in the manual's instruction column, for example `ADD r/m64, imm32`. */
  readonly syntax: string;
  /** The operands of `syntax` that are written in NASM's syntax. */
  readonly operands: readonly string[];
  readonly modes: readonly Bits[];
}

export type ReferenceFlag = 'CF' | 'PF' | 'AF' | 'ZF' | 'SF' | 'DF' | 'IF' | 'OF' | 'AC';
const FLAGS: readonly (readonly [ReferenceFlag, RflagsBits])[] = [
  ['OF', RflagsBits.OF],
  ['SF', RflagsBits.SF],
  ['ZF', RflagsBits.ZF],
  ['AF', RflagsBits.AF],
  ['PF', RflagsBits.PF],
  ['CF', RflagsBits.CF],
  ['DF', RflagsBits.DF],
  ['IF', RflagsBits.IF],
  ['AC', RflagsBits.AC],
];

export interface InstructionReference {
  readonly mnemonic: string;
  readonly encodings: readonly EncodingReference[];
  /** Flags over all its encodings; a flag that some encodings leave alone is listed too. */
  readonly flags: Readonly<
    Record<'reads' | 'writes' | 'clears' | 'sets' | 'leavesUndefined', readonly ReferenceFlag[]>
  >;
  /** Needs CPL 0: always, for some operands or settings, or never. */
  readonly privileged: 'always' | 'sometimes' | 'never';
  /** Loads or stores memory other than its own bytes, in some encoding. */
  readonly memory: boolean;
  readonly lockable: boolean;
  /** Intel: exits to the hypervisor always, or where a control says so. */
  readonly vmExit: 'always' | 'sometimes' | 'never';
  /** CPUID features, one of which each encoding needs, as iced-x86 names them; empty where some encoding is in every processor. */
  readonly features: readonly string[];
}

const cache = new Map<string, InstructionReference>();

/** The reference of a mnemonic as NASM spells it, lower case; undefined where there is none. */
export function instructionReference(mnemonic: string): InstructionReference | undefined {
  const known = cache.get(mnemonic);
  if (known) return known;
  const forms = formsOf(mnemonic);
  if (forms.length === 0) return undefined;
  const flags = { reads: 0, writes: 0, clears: 0, sets: 0, leavesUndefined: 0 };
  const features = new Set<string>();
  let everywhere = false;
  const encodings: EncodingReference[] = [];
  let [always, may, exits, mayExit, memory] = [true, false, true, false, false];
  const instruction = new Instruction();
  const factory = new InstructionInfoFactory();
  for (const form of forms) {
    const code = CodeExt.opCode(form.code);
    encodings.push({
      opcode: code.opCodeString,
      syntax: code.instructionString,
      operands: writtenOperands(code.instructionString, form.operands.length),
      modes: form.modes,
    });
    always &&= code.mustBeCpl0;
    may ||= code.mustBeCpl0 || code.mayRequireCpl0 || code.isPrivileged || code.isInputOutput;
    exits &&= code.intelVmExit;
    mayExit ||= code.intelVmExit || code.intelMayVmExit;
    code.free();
    instruction.code = form.code;
    memory ||= form.memoryBits > 0 || form.string || usesMemory(factory, instruction);
    // Moves to and from control registers leave the flags undefined, which would be said of every `mov`.
    if (form.operands.some(isSystemRegister)) continue;
    flags.reads |= instruction.rflagsRead;
    flags.writes |= instruction.rflagsWritten;
    flags.clears |= instruction.rflagsCleared;
    flags.sets |= instruction.rflagsSet;
    flags.leavesUndefined |= instruction.rflagsUndefined;
    const needs = [...instruction.cpuidFeatures()].map((feature) => CpuidFeature[feature] ?? '').filter(isOptional);
    everywhere ||= needs.length === 0;
    for (const feature of needs) features.add(feature);
  }
  factory.free();
  instruction.free();
  const names = (bits: number): ReferenceFlag[] => FLAGS.filter(([, bit]) => (bits & bit) !== 0).map(([name]) => name);
  const reference: InstructionReference = {
    mnemonic,
    encodings,
    flags: {
      reads: names(flags.reads),
      writes: names(flags.writes),
      clears: names(flags.clears),
      sets: names(flags.sets),
      leavesUndefined: names(flags.leavesUndefined),
    },
    privileged: always ? 'always' : may ? 'sometimes' : 'never',
    memory,
    lockable: forms.some(({ lockable }) => lockable),
    vmExit: exits ? 'always' : mayExit ? 'sometimes' : 'never',
    features: everywhere ? [] : [...features],
  };
  cache.set(mnemonic, reference);
  return reference;
}

const isSystemRegister = (p: OperandPattern): boolean =>
  p.kind === 'register' && (p.class === 'control' || p.class === 'debug' || p.class === 'test');

/** Whether a CPUID feature may be absent from a processor that runs 64-bit code. */
const isOptional = (feature: string): boolean => !/^(INTEL\d.*|X64|FPU.*|)$/.test(feature);

/** Whether an instruction touches memory that its operands do not show, as `push` and `call` do. */
function usesMemory(factory: InstructionInfoFactory, instruction: Instruction): boolean {
  const info = factory.info(instruction);
  const used = info.usedMemory();
  const touches = used.some((each) => each.access !== OpAccess.None && each.access !== OpAccess.NoMemAccess);
  for (const each of used) each.free();
  info.free();
  return touches;
}

/** `ADD r/m64, imm32` → both; operands that NASM leaves out (`<ECX>`, those of string instructions) are not written. */
function writtenOperands(syntax: string, count: number): string[] {
  const at = syntax.indexOf(' ');
  const all = at < 0 ? [] : syntax.slice(at + 1).split(/,\s*/);
  return all.filter((text) => !text.startsWith('<')).slice(0, count);
}
