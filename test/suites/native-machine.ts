/**
 * What this machine's processor and kernel can do, asked before anything is compared: a 32-bit code segment, instruction sets, and the answers in which
 * processors differ. What is lacking is left out by name; nothing fails for it.
 */
import { CpuidFeature, Decoder, DecoderOptions, Instruction, Mnemonic } from 'iced-x86';
import { type CodeBits, CODE_BASE, SCRATCH_BASE, type Sequence } from './native-generate';
import { type Outcome, scratchPattern, tryNatively } from './native-oracle';

const INT3 = 3;
const PAGE_FAULT = 14;

/** Every x86-64 processor has these. */
const BASE: ReadonlySet<CpuidFeature> = new Set([
  CpuidFeature.INTEL8086,
  CpuidFeature.INTEL186,
  CpuidFeature.INTEL286,
  CpuidFeature.INTEL386,
  CpuidFeature.INTEL486,
  CpuidFeature.X64,
  CpuidFeature.FPU,
  CpuidFeature.FPU287,
  CpuidFeature.FPU387,
  CpuidFeature.CMOV,
  CpuidFeature.CX8,
  CpuidFeature.MMX,
  CpuidFeature.FXSR,
  CpuidFeature.SSE,
  CpuidFeature.SSE2,
  CpuidFeature.MULTIBYTENOP,
]);
/** Where CPUID tells of the others: leaf, register by its number, bit (SDM vol. 2, CPUID; AMD APM vol. 3, appendix E). */
const ECX = 1;
const EBX = 3;
const ASKED: ReadonlyMap<CpuidFeature, readonly [leaf: bigint, register: number, bit: number]> = new Map([
  [CpuidFeature.SSE3, [1n, ECX, 0]],
  [CpuidFeature.SSSE3, [1n, ECX, 9]],
  [CpuidFeature.CMPXCHG16B, [1n, ECX, 13]],
  [CpuidFeature.SSE4_1, [1n, ECX, 19]],
  [CpuidFeature.SSE4_2, [1n, ECX, 20]],
  [CpuidFeature.MOVBE, [1n, ECX, 22]],
  [CpuidFeature.POPCNT, [1n, ECX, 23]],
  [CpuidFeature.BMI1, [7n, EBX, 3]],
  [CpuidFeature.BMI2, [7n, EBX, 8]],
  [CpuidFeature.ADX, [7n, EBX, 19]],
  [CpuidFeature.LZCNT, [0x8000_0001n, ECX, 5]],
]);
/** LAHF and SAHF in 64-bit code came after the first such processors. */
const LAHF64 = [0x8000_0001n, ECX, 0] as const;

const regs = (values: Readonly<Record<number, bigint>> = {}): bigint[] =>
  Array.from({ length: 16 }, (_, i) => values[i] ?? SCRATCH_BASE + 1024n);
const sequence = (code: readonly number[], values?: Readonly<Record<number, bigint>>): Sequence => ({
  code: Uint8Array.from([...code, 0xcc]),
  text: [],
  regs: regs(values),
  rflags: 0x202n,
  undefinedFlags: 0,
});

/** A result that the manuals leave to the processor, or the kernel: where another one than ours is seen, what shows it is left out. */
interface Choice {
  readonly what: string;
  readonly bits: readonly CodeBits[];
  readonly code: readonly number[];
  readonly regs: Readonly<Record<number, bigint>>;
  readonly isOurs: (o: Outcome) => boolean;
  /** By the text of an instruction. */
  readonly leavesOut: RegExp;
}
const CHOICES: readonly Choice[] = [
  {
    // SDM vol. 2, BSF: "the content of the destination operand is undefined"; AMD's manual: unchanged
    what: 'BSF and BSR of zero change their destination',
    bits: [64, 32],
    code: [0x0f, 0xbc, 0xc1],
    regs: { 0: 0x1234_5678n, 1: 0n },
    isOurs: (o) => o.regs[0] === 0x1234_5678n,
    leavesOut: /^bs[fr] /,
  },
  {
    what: 'BSF and BSR of a 32-bit zero keep the upper half of their destination',
    bits: [64],
    code: [0x0f, 0xbc, 0xc1],
    regs: { 0: 0x1_1234_5678n, 1: 0n },
    isOurs: (o) => o.regs[0] === 0x1_1234_5678n,
    leavesOut: /^bs[fr] /,
  },
  {
    // the kernel may make such an access #AC or #DB (split_lock_detect=)
    what: 'a locked access across two cache lines is not completed',
    bits: [64, 32],
    code: [0xf0, 0x01, 0x01],
    regs: { 0: 1n, 1: SCRATCH_BASE + 1024n + 62n },
    isOurs: (o) => o.vector === INT3,
    leavesOut: /^lock |^xchg .*\[/,
  },
];

export interface NativeMachine {
  /** Why nothing can be compared, in words. */
  readonly unusable?: string;
  /** Why no 32-bit code can be run, in words. */
  readonly no32?: string;
  /** Instruction sets that the processor lacks, and results in which it differs from ours. */
  readonly lacks: readonly string[];
  /** Whether a sequence can be compared on it. */
  has(q: Sequence, bits: CodeBits): boolean;
}

/** Asks by running sequences in the harness, each in a process of its own: one that kills it is an answer. */
export function askMachine(harness: string): NativeMachine {
  const run = (bits: CodeBits, q: Sequence): Outcome | string => {
    const done = tryNatively(harness, bits, [q], scratchPattern());
    return typeof done === 'string' ? done : (done[0] ?? 'no outcome');
  };
  const plain = sequence([0xb8, 0x78, 0x56, 0x34, 0x12]); // mov eax, 0x12345678
  const first = run(64, plain);
  const nothing = { lacks: [], has: () => false };
  if (typeof first === 'string') return { ...nothing, unusable: `the harness cannot run here: ${first}` };
  // mov eax, [0] by way of a register: the vector comes from the kernel's signal frame
  const fault = run(64, sequence([0x8b, 0x01], { 1: 0n }));
  if (typeof fault === 'string' || fault.vector !== PAGE_FAULT)
    return { ...nothing, unusable: 'this kernel does not tell the number of an exception to a signal handler' };

  const lacks: string[] = [];
  const missing = new Set<CpuidFeature>();
  const cpuid = (leaf: bigint, register: number, bit: number): boolean => {
    const largest = run(64, sequence([0x0f, 0xa2], { 0: leaf & 0x8000_0000n, 1: 0n }));
    if (typeof largest === 'string' || (largest.regs[0] ?? 0n) < leaf) return false;
    const o = run(64, sequence([0x0f, 0xa2], { 0: leaf, 1: 0n }));
    return typeof o !== 'string' && (((o.regs[register] ?? 0n) >> BigInt(bit)) & 1n) === 1n;
  };
  for (const [feature, where] of ASKED) {
    if (cpuid(...where)) continue;
    missing.add(feature);
    lacks.push(CpuidFeature[feature]);
  }
  const lahf64 = cpuid(...LAHF64);
  if (!lahf64) lacks.push('LAHF in 64-bit code');

  const no32 = without32(run(32, plain));
  const leftOut: { readonly bits: readonly CodeBits[]; readonly pattern: RegExp }[] = [];
  for (const { what, bits, code, regs: values, isOurs, leavesOut } of CHOICES) {
    for (const each of bits) {
      if (each === 32 && no32 !== undefined) continue;
      const o = run(each, sequence(code, values));
      if (typeof o !== 'string' && isOurs(o)) continue;
      lacks.push(`${what} (${each}-bit code)`);
      leftOut.push({ bits: [each], pattern: leavesOut });
    }
  }
  return {
    ...(no32 === undefined ? {} : { no32 }),
    lacks,
    has: (q, bits) =>
      !leftOut.some(({ bits: of, pattern }) => of.includes(bits) && q.text.some((t) => pattern.test(t))) &&
      instructionsOf(q, bits).every(
        ({ features, mnemonic }) =>
          !features.some((each) => missing.has(each)) &&
          (lahf64 || bits === 32 || (mnemonic !== Mnemonic.Lahf && mnemonic !== Mnemonic.Sahf)),
      ),
  };
}

function without32(o: Outcome | string): string | undefined {
  if (typeof o === 'string') return `this kernel gives programs no 32-bit code segment: ${o}`;
  // a fault of the far jump itself is reported at its own address
  if (o.vector === INT3 && o.rip === CODE_BASE + 6n && o.regs[0] === 0x1234_5678n) return undefined;
  return `this kernel gives programs no 32-bit code segment: the jump to it raises exception ${o.vector}`;
}

const instruction = new Instruction();

/** The instructions of a sequence with the instruction sets that they belong to; each set is known here, or the generator grew beyond this list. */
function instructionsOf(
  q: Sequence,
  bits: CodeBits,
): { readonly mnemonic: Mnemonic; readonly features: CpuidFeature[] }[] {
  const out: { readonly mnemonic: Mnemonic; readonly features: CpuidFeature[] }[] = [];
  const decoder = new Decoder(bits, q.code, DecoderOptions.None);
  while (decoder.canDecode) {
    decoder.decodeOut(instruction);
    const features = [...instruction.cpuidFeatures()] as CpuidFeature[];
    for (const each of features) {
      if (BASE.has(each) || ASKED.has(each) || each === CpuidFeature.INTEL8086_ONLY) continue;
      throw new Error(`${q.text.join('; ')}: nothing here asks whether the processor has ${CpuidFeature[each]}`);
    }
    out.push({ mnemonic: instruction.mnemonic, features });
  }
  decoder.free();
  return out;
}
