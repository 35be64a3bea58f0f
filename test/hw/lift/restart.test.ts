/**
 * Instructions are restartable: a fault on any of an instruction's accesses leaves every register and flag as it was. Each case is run with the
 * last and with the first of its accessed pages refusing, and its registers compared with those before.
 */
import * as assert from 'node:assert/strict';
import { because } from '../../../src/isa/reasons/index';
import { setFlatSegments } from '../../../src/hw/cpu/system/reset';
import { SLOT } from '../../../src/hw/state/layout';
import { FlatCore } from '../support/flat-core';

const PAGE = 0x1000n;
/** Registers point 4 bytes below or above this boundary, so that multi-word accesses straddle it. */
const BOUNDARY = 0x8000n;

function machine(bits: 32 | 64): FlatCore {
  const m = new FlatCore(1 << 16);
  setFlatSegments(m.state, bits === 64);
  m.state.set(SLOT.CR0, 0x8000_0031n);
  if (bits === 64) m.state.set(SLOT.EFER, 0x500n);
  return m;
}

/** Runs the instruction with accesses to one page denied; returns whether it faulted, having checked that nothing changed if so. */
function faults(m: FlatCore, hex: string, from: bigint, writesOnly: boolean): boolean {
  m.port.bytes.set(Buffer.from(hex.replaceAll(' ', ''), 'hex'), 0x1000);
  const s = m.state;
  for (let i = 0; i < 16; i++) s.set(i, BOUNDARY - 4n);
  s.rip = 0x1000n;
  s.rflags = 0x8d7n;
  const registers = (): bigint[] => [...Array.from({ length: 16 }, (_, i) => s.get(i)), s.rip, s.rflags];
  const before = registers();
  const memory = m.port.bytes.slice();
  m.port.guard = (linear, size, write) =>
    linear + BigInt(size) > from && linear < from + PAGE && (write || !writesOnly)
      ? { kind: 'fault', why: because('injected'), vector: 14, errorCode: 0, cr2: linear }
      : undefined;
  if (m.step()) {
    m.port.bytes.set(memory);
    return false;
  }
  assert.deepEqual(registers(), before, `${hex}: registers`);
  assert.deepEqual(Buffer.compare(m.port.bytes, memory), 0, `${hex}: memory`);
  return true;
}

/** Instruction bytes with every register at BOUNDARY − 4, so that two words straddle the boundary or the stack grows below it. */
const CASES: Readonly<Record<32 | 64, readonly string[]>> = {
  64: [
    '48 01 00',
    '48 ff 00',
    '48 d1 20',
    '48 f7 18',
    '48 87 00',
    '48 0f c1 00',
    '48 0f b1 08',
    '0f c7 08',
    '48 0f ab 08',
    '0f 94 00',
    '48 0f a4 18 07',
    'ff 30',
    '8f 00',
    '8f 44 24 08',
    '50',
    '58',
    '5c',
    'e8 00 00 00 00',
    'ff 10',
    'c3',
    'c8 10 00 03',
    'c9',
    '48 a5',
    '48 ab',
    '48 a7',
    'f3 48 a5',
    '9c',
    '48 f7 30',
    '48 f7 28',
    '66 41 0f c8',
    '48 0f 38 f1 00',
  ],
  32: [
    '60',
    '61',
    'c8 10 00 04',
    'ff 30',
    '8f 00',
    '62 00',
    '0f c7 08',
    'c9',
    'a5',
    'f3 a7',
    'c3',
    'd7',
    '0f b1 08',
    '66 60',
  ],
};

describe('restartable instructions', () => {
  for (const bits of [64, 32] as const) {
    it(`${bits}-bit: a fault on either side of a page boundary changes nothing`, () => {
      const m = machine(bits);
      let seen = 0;
      for (const hex of CASES[bits]) {
        for (const from of [BOUNDARY - PAGE, BOUNDARY]) {
          for (const writesOnly of [false, true]) if (faults(m, hex, from, writesOnly)) seen++;
        }
      }
      assert.ok(seen > CASES[bits].length, `${seen} faults`);
    });
  }
});
