import * as assert from 'node:assert/strict';
import { Code, CpuidFeature, Instruction, Mnemonic } from 'iced-x86';
import { LIFTERS } from '../../../src/hw/cpu/lift/index';
import { SYSTEM_LIFTERS } from '../../../src/hw/cpu/lift/system';

/** Architecture levels whose instructions make up the integer set. */
const INTEGER = new Set<number>([
  CpuidFeature.INTEL8086, CpuidFeature.INTEL186, CpuidFeature.INTEL286, CpuidFeature.INTEL386, CpuidFeature.INTEL486, CpuidFeature.X64, CpuidFeature.CX8,
  CpuidFeature.CMOV, CpuidFeature.CMPXCHG16B, CpuidFeature.POPCNT, CpuidFeature.LZCNT, CpuidFeature.BMI1, CpuidFeature.BMI2, CpuidFeature.ADX,
  CpuidFeature.MOVBE, CpuidFeature.CLFSH, CpuidFeature.CLFLUSHOPT, CpuidFeature.CLWB, CpuidFeature.MULTIBYTENOP, CpuidFeature.PAUSE,
]);

describe('integer instruction set', () => {
  it('has a lifter for every mnemonic of the integer architecture levels', () => {
    const names = new Map(Object.entries(Mnemonic).filter((x): x is [string, Mnemonic] => typeof x[1] === 'number').map(([name, n]) => [n as number, name]));
    const missing = new Set<string>();
    const seen = new Set<number>();
    for (const code of Object.values(Code)) {
      if (typeof code !== 'number' || code <= Code.DeclareQword) continue;
      const insn = new Instruction();
      insn.code = code;
      const features = Array.from(insn.cpuidFeatures());
      const info = insn.opCode;
      const mnemonic: number = info.mnemonic;
      const usable = info.isInstruction && features.every((f) => INTEGER.has(f));
      info.free();
      insn.free();
      if (!usable) continue;
      seen.add(mnemonic);
      const name = names.get(mnemonic) ?? '';
      if (!LIFTERS.has(mnemonic) && !SYSTEM_LIFTERS.has(mnemonic)) missing.add(name);
    }
    assert.ok(seen.size > 200, `${seen.size} mnemonics looked at`);
    assert.deepEqual([...missing].sort(), []);
  });

  it('has no mnemonic in two tables, but for the pairs of plain and system forms', () => {
    const both = [...LIFTERS.keys()].filter((m) => SYSTEM_LIFTERS.has(m)).map((m) => Mnemonic[m]);
    assert.deepEqual(both.sort(), []);
  });
});
