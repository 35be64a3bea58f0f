import * as assert from 'node:assert/strict';
import { Code, CpuidFeature, Instruction, Mnemonic } from 'iced-x86';
import { LIFTERS } from '../../../src/hw/cpu/lift/index';
import { SSE } from '../../../src/hw/cpu/lift/sse';
import { SYSTEM_LIFTERS } from '../../../src/hw/cpu/lift/system';

/** Architecture levels whose instructions make up the integer set. */
const INTEGER = new Set<number>([
  CpuidFeature.INTEL8086,
  CpuidFeature.INTEL186,
  CpuidFeature.INTEL286,
  CpuidFeature.INTEL386,
  CpuidFeature.INTEL486,
  CpuidFeature.X64,
  CpuidFeature.CX8,
  CpuidFeature.CMOV,
  CpuidFeature.CMPXCHG16B,
  CpuidFeature.POPCNT,
  CpuidFeature.LZCNT,
  CpuidFeature.BMI1,
  CpuidFeature.BMI2,
  CpuidFeature.ADX,
  CpuidFeature.MOVBE,
  CpuidFeature.CLFSH,
  CpuidFeature.CLFLUSHOPT,
  CpuidFeature.CLWB,
  CpuidFeature.MULTIBYTENOP,
  CpuidFeature.PAUSE,
]);

/** Levels of x87, SSE and SSE2; forms with MMX registers are not part of the processor. */
const FLOAT = new Set<number>([
  CpuidFeature.FPU,
  CpuidFeature.FPU287,
  CpuidFeature.FPU387,
  CpuidFeature.CMOV,
  CpuidFeature.SSE,
  CpuidFeature.SSE2,
  CpuidFeature.FXSR,
  CpuidFeature.XSAVE,
]);

describe('x87, SSE and SSE2', () => {
  it('have a lifter for every form without MMX registers', () => {
    const missing = new Set<string>();
    let seen = 0;
    for (const [name, code] of Object.entries(Code)) {
      if (typeof code !== 'number' || code <= Code.DeclareQword || name.includes('_mm')) continue;
      const insn = new Instruction();
      insn.code = code;
      const features = Array.from(insn.cpuidFeatures());
      const info = insn.opCode;
      const { mnemonic } = info;
      const usable = info.isInstruction && features.every((f) => FLOAT.has(f)) && !info.fwait;
      info.free();
      insn.free();
      if (!usable) continue;
      seen++;
      const vector = name.includes('_xmm');
      if (!(vector ? SSE.has(mnemonic) : LIFTERS.has(mnemonic) || SYSTEM_LIFTERS.has(mnemonic))) missing.add(name);
    }
    assert.ok(seen > 350, `${seen} forms looked at`);
    assert.deepEqual([...missing].sort(), []);
  });
});

describe('integer instruction set', () => {
  it('has a lifter for every mnemonic of the integer architecture levels', () => {
    const names = new Map(
      Object.entries(Mnemonic)
        .filter((x): x is [string, Mnemonic] => typeof x[1] === 'number')
        .map(([name, n]) => [n as number, name]),
    );
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
