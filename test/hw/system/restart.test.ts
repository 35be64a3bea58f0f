import assert from 'node:assert/strict';
import { codeMode } from '../../../src/hw/cpu/system/modes';
import { describeEvent, gate, Machine, SLOT, type Mode } from './machine';

/** A small generator with a fixed seed (xorshift32): the same instructions in every run. */
function generator(seed: number): (below: number) => number {
  let x = seed;
  return (below) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % below;
  };
}

/** Opcodes whose instructions are system functions; ModRM and what follows are random. */
const OPCODES: readonly (readonly number[])[] = [
  [0x0f, 0x00],
  [0x0f, 0x01],
  [0x0f, 0x02],
  [0x0f, 0x03],
  [0x0f, 0x05],
  [0x0f, 0x06],
  [0x0f, 0x07],
  [0x0f, 0x08],
  [0x0f, 0x09],
  [0x0f, 0x20],
  [0x0f, 0x21],
  [0x0f, 0x22],
  [0x0f, 0x23],
  [0x0f, 0x30],
  [0x0f, 0x31],
  [0x0f, 0x32],
  [0x0f, 0x33],
  [0x0f, 0x34],
  [0x0f, 0x35],
  [0x0f, 0xa1],
  [0x0f, 0xa2],
  [0x0f, 0xa9],
  [0x0f, 0xb2],
  [0x0f, 0xb4],
  [0x0f, 0xb5],
  [0x0f, 0xc7],
  [0x0f, 0x78],
  [0x0f, 0x79],
  [0x0f, 0xae],
  [0x07],
  [0x17],
  [0x1f],
  [0x63],
  [0x6c],
  [0x6d],
  [0x6e],
  [0x6f],
  [0x8e],
  [0x9a],
  [0x9c],
  [0x9d],
  [0xc4],
  [0xc5],
  [0xca],
  [0xcb],
  [0xcc],
  [0xcd],
  [0xce],
  [0xcf],
  [0xe4],
  [0xe5],
  [0xe6],
  [0xe7],
  [0xea],
  [0xec],
  [0xed],
  [0xee],
  [0xef],
  [0xf1],
  [0xf4],
  [0xfa],
  [0xfb],
  [0xff],
];
const PREFIXES = [0x66, 0x67, 0xf2, 0xf3, 0x48, 0x2e, 0x36, 0x64];
const MODES: readonly Mode[] = ['real', 'v86', 'protected', 'compat', 'long'];

/** Everything a program can see of the registers. Lazy flags are compared by value. */
function visible(m: Machine): string {
  const s = m.state;
  const slots = [...Array.from({ length: 17 }, (_, i) => i), ...Array.from({ length: 6 }, (_, i) => SLOT.SEG_BASE + i)];
  for (let i: number = SLOT.CR0; i <= SLOT.MTRR_DEF_TYPE; i++) slots.push(i);
  return [s.rflags, ...slots.map((i) => s.get(i))].map((v) => v.toString(16)).join(' ');
}

describe('system instructions are restartable', () => {
  for (const mode of MODES) {
    it(`a fault changes no register (${mode}, 6,000 random instructions)`, () => {
      const random = generator(0x2545_f491 ^ (mode.length << 8));
      const pick = <T>(from: readonly T[]): T => from[random(from.length)] as T;
      const faults = new Map<string, number>();
      let done = 0;
      const start = new Machine(mode);
      start.entry(0x40, gate(0xec, 8, 0x9000)).entry(0x48, 0n);
      const images = ([0, 3] as const).map((cpl) => {
        if (mode !== 'real' && mode !== 'v86') start.setLevel(cpl);
        return start.state.save();
      });
      const memory = start.flat.port.bytes.slice(0, 0xa000);
      for (let i = 0; i < 6000; i++) {
        const m = start;
        m.state.restore(pick(images));
        m.flat.port.bytes.set(memory);
        m.flat.port.bytes.fill(0, 0xf_0000);
        for (let r = 0; r < 16; r++)
          if (r !== 4) m.state.set(r, BigInt(pick([0, 0x08, 0x10, 0x1b, 0x23, 0x28, 0x40, 0x5000, random(0x1_0000)])));
        if (random(3) === 0) m.state.rflags |= 0x3000n;
        // selectors, offsets and flags to be popped or loaded
        for (const at of [0x5000, 0x6000, 0x7000])
          for (let k = 0; k < 64; k += 4)
            m.write(at + k, 4, BigInt(pick([8, 0x10, 0x1b, 0x23, 0x40, 0x9000, 0x3202, random(0x1_0000)])));
        const bytes = [
          ...(random(3) === 0 ? [pick(PREFIXES)] : []),
          ...pick(OPCODES),
          ...Array.from({ length: 10 }, () => random(256)),
        ];
        m.flat.port.bytes.set(bytes, 0x8000);
        const before = visible(m);
        const text = bytes.map((b) => b.toString(16).padStart(2, '0')).join(' ');
        const stepped = m.flat.step();
        if (stepped) {
          done++;
          continue;
        }
        const event = m.core.event;
        assert.ok(event?.kind === 'fault', `${text}: ${describeEvent(event)}`);
        faults.set(describeEvent(event), (faults.get(describeEvent(event)) ?? 0) + 1);
        assert.equal(visible(m), before, `${mode} ${codeMode(m.state).bits}: ${text} ${describeEvent(event)}`);
      }
      assert.ok(done > 500, `${done} completed`);
      assert.ok(faults.size > 2, [...faults.keys()].join(' '));
    });
  }
});
