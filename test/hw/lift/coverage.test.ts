/**
 * The manual's opcode maps (SDM vol. 2, appendix A), decoded in every mode: one-byte, 0F, 0F38, 0F3A and the VEX forms. A form is covered exactly if every CPUID feature that it
 * belongs to is one that the CPU model names; test/golden/opcode-map.txt is the map, with the forms that this processor lacks and the feature they wait for.
 */
import assert from 'node:assert/strict';
import { Code, CpuidFeature, Instruction, Mnemonic } from 'iced-x86';
import { PAGEWALK_SVM, PAGEWALK_X64, PAGEWALK_X64_LA57, type CpuFeature } from '../../../src/hw/cpu/cpuid-model';
import { InstructionDecoder } from '../../../src/hw/cpu/decode';
import type { Decoded } from '../../../src/hw/cpu/decoded';
import { LIFTERS, lifterOf } from '../../../src/hw/cpu/lift/index';
import { SYSTEM_LIFTERS } from '../../../src/hw/cpu/lift/system';
import { assertGolden } from '../../cli/support';

/** iced-x86's architecture levels that a 64-bit processor has whatever CPUID says. */
const ALWAYS = new Set<number>([
  CpuidFeature.INTEL8086,
  CpuidFeature.INTEL186,
  CpuidFeature.INTEL286,
  CpuidFeature.INTEL386,
  CpuidFeature.INTEL486,
  CpuidFeature.CPUID,
  CpuidFeature.PAUSE,
  CpuidFeature.MULTIBYTENOP,
  CpuidFeature.FPU287,
  CpuidFeature.FPU387,
]);
/** Those that stand for a feature flag, by the model's name for it. */
const FLAGS: ReadonlyMap<number, CpuFeature> = new Map([
  [CpuidFeature.X64, 'LM'],
  [CpuidFeature.FPU, 'FPU'],
  [CpuidFeature.CMOV, 'CMOV'],
  [CpuidFeature.MMX, 'MMX'],
  [CpuidFeature.SSE, 'SSE'],
  [CpuidFeature.SSE2, 'SSE2'],
  [CpuidFeature.FXSR, 'FXSR'],
  [CpuidFeature.XSAVE, 'XSAVE'],
  [CpuidFeature.MSR, 'MSR'],
  [CpuidFeature.TSC, 'TSC'],
  [CpuidFeature.SEP, 'SEP'],
  [CpuidFeature.SYSCALL, 'SYSCALL'],
  [CpuidFeature.RDTSCP, 'RDTSCP'],
  [CpuidFeature.SMAP, 'SMAP'],
  [CpuidFeature.PKU, 'PKU'],
  [CpuidFeature.PREFETCHW, 'PREFETCHW'],
  [CpuidFeature.FSGSBASE, 'FSGSBASE'],
  [CpuidFeature.CLWB, 'CLWB'],
  [CpuidFeature.CLFSH, 'CLFSH'],
  [CpuidFeature.CLFLUSHOPT, 'CLFLUSHOPT'],
  [CpuidFeature.POPCNT, 'POPCNT'],
  [CpuidFeature.BMI1, 'BMI1'],
  [CpuidFeature.BMI2, 'BMI2'],
  [CpuidFeature.LZCNT, 'LZCNT'],
  [CpuidFeature.ADX, 'ADX'],
  [CpuidFeature.MOVBE, 'MOVBE'],
  [CpuidFeature.CX8, 'CX8'],
  [CpuidFeature.CMPXCHG16B, 'CX16'],
  [CpuidFeature.RDRAND, 'RDRAND'],
  [CpuidFeature.RDSEED, 'RDSEED'],
  [CpuidFeature.INVPCID, 'INVPCID'],
  [CpuidFeature.RDPID, 'RDPID'],
  [CpuidFeature.VMX, 'VMX'],
  [CpuidFeature.INVEPT, 'VMX'],
  [CpuidFeature.INVVPID, 'VMX'],
  [CpuidFeature.SVM, 'SVM'],
  // STGI, and SKINIT: #UD without its own flag, which none has
  [CpuidFeature.SKINIT_or_SVM, 'SVM'],
  [CpuidFeature.MONITOR, 'MONITOR'],
]);
/** Forms that are there without their feature, and why. Those that raise #UD themselves are not covered by having a lifter. */
const WITHOUT_FEATURE: ReadonlyMap<number, string> = new Map([
  [CpuidFeature.PREFETCHWT1, 'a hint: the opcode is PREFETCHW’s, and does nothing'],
  [CpuidFeature.CLDEMOTE, 'a hint in the space of reserved NOPs'],
  [CpuidFeature.CET_SS, 'a reserved NOP without the feature'],
  [CpuidFeature.CET_IBT, 'a reserved NOP without the feature'],
  [CpuidFeature.WBNOINVD, 'WBINVD: the prefix is ignored without the feature'],
  [CpuidFeature.RDPMC, 'has no flag of its own; the counters that it could read are none'],
  [CpuidFeature.SSE4_2, 'CRC32 alone of SSE4.2, which CPUID therefore does not name'],
  [CpuidFeature.SMM, 'RSM: known, and #UD outside system-management mode'],
  [CpuidFeature.MONITOR, 'MONITOR and MWAIT: known, and #UD without the feature'],
]);
const FEATURE_NAMES = new Map(
  Object.entries(CpuidFeature).flatMap(([name, n]): [number, string][] => (typeof n === 'number' ? [[n, name]] : [])),
);

interface Form {
  readonly insn: Decoded;
  /** As the manual writes it, for example "66 0F 6E /r". */
  readonly opcode: string;
  readonly name: string;
  /** Names of features that the processor lacks. */
  readonly lacks: readonly string[];
  /** Why it is there all the same. */
  readonly because: string | undefined;
}

/** Whether one of the CPU models has what an architecture level brings. */
function offered(level: number): boolean {
  if (ALWAYS.has(level)) return true;
  const flag = FLAGS.get(level);
  return flag !== undefined && [PAGEWALK_X64, PAGEWALK_X64_LA57, PAGEWALK_SVM].some((model) => model.has(flag));
}

const decoder = new InstructionDecoder();
const forms = new Map<number, Form>();

function note(bytes: readonly number[], bits: 16 | 32 | 64): void {
  const insn = decoder.decode(Uint8Array.from([...bytes, 0, 0, 0, 0, 0, 0, 0, 0]), bits, 0);
  if (insn === undefined || insn.code === Code.INVALID || forms.has(insn.code)) return;
  const i = new Instruction();
  i.code = insn.code;
  const info = i.opCode;
  const lacks = Array.from(i.cpuidFeatures()).filter((f) => !offered(f));
  forms.set(insn.code, {
    insn,
    opcode: info.opCodeString,
    name: info.instructionString,
    lacks: lacks.map((f) => FEATURE_NAMES.get(f) ?? String(f)),
    because: lacks.map((f) => WITHOUT_FEATURE.get(f)).find((b) => b !== undefined),
  });
  info.free();
  i.free();
}

/** ModRM bytes: every register field with a memory and a register operand, and every register form of the groups that decode it by byte. */
const MODRM = [...Array.from({ length: 8 }, (_, reg) => reg << 3), ...Array.from({ length: 64 }, (_, n) => 0xc0 | n)];
const BY_BYTE = new Set([0x01, 0xae, 0xc7, 0xa6, 0xa7, 0x1e, 0x0d, 0x18]);
const SPARSE = MODRM.filter((m) => m < 0xc0 || (m & 7) === 1);

function collect(): void {
  for (const bits of [64, 32, 16] as const) {
    const rexes = bits === 64 ? [[], [0x48]] : [[]];
    for (const prefix of [[], [0x66], [0xf2], [0xf3], [0x67]]) {
      for (const rex of rexes) {
        for (let op = 0; op < 0x100; op++) {
          const x87 = op >= 0xd8 && op <= 0xdf;
          for (const m of x87 && prefix.length === 0 ? MODRM : SPARSE) note([...prefix, ...rex, op, m], bits);
          for (const m of BY_BYTE.has(op) ? MODRM : SPARSE) note([...prefix, ...rex, 0x0f, op, m], bits);
          for (const m of [0x00, 0xc1]) {
            note([...prefix, ...rex, 0x0f, 0x38, op, m], bits);
            note([...prefix, ...rex, 0x0f, 0x3a, op, m], bits);
          }
        }
      }
    }
    if (bits === 16) continue;
    for (const map of [1, 2, 3])
      for (const last of [0x78, 0xf8, 0x79, 0x7a, 0x7b, 0xf9, 0xfa, 0xfb, 0x7c, 0x7d])
        for (let op = 0; op < 0x100; op++)
          for (const m of op === 0xf3 ? SPARSE : [0x00, 0xc1]) note([0xc4, 0xe0 | map, last, op, m], bits);
  }
}

describe('the opcode maps', function () {
  before(collect);

  it('are covered exactly where the CPU model names the features, but for those listed with a reason', () => {
    const wrong = [...forms.values()]
      .filter((f) => f.because === undefined)
      .filter((f) => (lifterOf(f.insn) !== undefined) !== (f.lacks.length === 0))
      .map((f) => `${f.opcode}: ${f.name}: ${f.lacks.length === 0 ? 'missing' : `lifted without ${f.lacks.join()}`}`);
    assert.deepEqual(wrong.sort(), []);
  });

  it('are those of test/golden/opcode-map.txt', () => {
    const all = [...forms.values()];
    const here = all.filter((f) => lifterOf(f.insn) !== undefined);
    const lines = [`${here.length} forms covered`, ''];
    lines.push(
      ...here
        .map((f) => `${f.opcode.padEnd(24)} ${f.name}${f.because === undefined ? '' : `   [${f.because}]`}`)
        .sort(),
    );
    const absent = new Map<string, string[]>();
    for (const f of all)
      if (lifterOf(f.insn) === undefined) {
        const why = f.lacks.join(' ');
        absent.set(why, [...(absent.get(why) ?? []), f.opcode]);
      }
    lines.push('', `${all.length - here.length} forms not covered: #UD, as their feature is not in CPUID`, '');
    for (const [why, opcodes] of [...absent].sort(([a], [b]) => (a < b ? -1 : 1)))
      lines.push(`${why}: ${opcodes.length} forms`);
    assertGolden('opcode-map.txt', `${lines.join('\n')}\n`);
  });

  it('have no mnemonic in two tables, but for the pairs of plain and system forms', () => {
    const both = [...LIFTERS.keys()].filter((m) => SYSTEM_LIFTERS.has(m)).map((m) => Mnemonic[m]);
    assert.deepEqual(both.sort(), []);
  });
});
