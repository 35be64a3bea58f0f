/** Machines whose operating system has enabled x87 and SSE, for running floating-point instructions one at a time. */
import * as assert from 'node:assert/strict';
import { SLOT } from '../../../src/hw/state/layout';
import { type Mode, Machine } from '../system/machine';

/** PAE where the mode needs it; OSFXSR, OSXMMEXCPT, OSXSAVE. */
const CR4: Readonly<Record<Mode, bigint>> = {
  real: 0x4_0600n,
  v86: 0x4_0600n,
  protected: 0x4_0600n,
  compat: 0x4_0620n,
  long: 0x4_0620n,
};

/** A machine in a mode with everything enabled, XCR0 at x87 and SSE, after FNINIT. */
export function machine(mode: Mode): Machine {
  const m = new Machine(mode);
  m.state.set(SLOT.CR4, CR4[mode]);
  m.state.set(SLOT.XCR0, 3n);
  assert.equal(m.run('fninit'), 'ok');
  return m;
}
/** Runs instructions that must all complete. */
export function ok(m: Machine, ...lines: readonly string[]): Machine {
  for (const line of lines) assert.equal(m.run(line), 'ok', line);
  return m;
}
/** ST(i) as sign and exponent, significand. */
export function st(m: Machine, i = 0): string {
  const r = SLOT.FPR + 2 * (((m.state.get32(SLOT.FSW) >> 11) + i) & 7);
  return `${m.state
    .get32(r + 1)
    .toString(16)
    .padStart(4, '0')}:${m.state.get(r).toString(16).padStart(16, '0')}`;
}
export const xmm = (m: Machine, i: number): bigint =>
  m.state.get(SLOT.XMM + 2 * i) | (m.state.get(SLOT.XMM + 2 * i + 1) << 64n);
export function setXmm(m: Machine, i: number, value: bigint): void {
  m.state.set(SLOT.XMM + 2 * i, BigInt.asUintN(64, value));
  m.state.set(SLOT.XMM + 2 * i + 1, value >> 64n);
}
