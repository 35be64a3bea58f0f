import { bit } from '../base/bits';
import { vectorName } from '../isa/exceptions';
import { CR0 } from '../isa/flags';
import { INTR_INFO, INTR_TYPE } from '../isa/vmcs-controls';
import type { CpuState } from '../hw/state/cpu-state';
import { SEG, SLOT } from '../hw/state/layout';
import { stubAt, type ReadGuest } from './start/real';

const RSP = 4;

/** A number as BIOS interrupt lists write it: 0Eh. */
const h = (n: number, digits = 2): string => `${n.toString(16).toUpperCase().padStart(digits, '0')}`;
const NO_BIOS = 'there is no BIOS yet';

/**
 * The service that is missing, in one sentence; `event`: an exception of that vector caused it, rather than INT n, an
 * interrupt or a jump.
 */
export type Unserved =
  | { readonly event: false; readonly vector?: undefined; readonly why: string }
  | { readonly event: true; readonly vector: number; readonly why: string };

/**
 * Explains why a guest of `start=boot` or `flat16` halted in a stub that replaces a BIOS, in one sentence. The
 * processor's record of the last event delivered to a handler (SLOT.LAST_EVENT) distinguishes INT n from an exception
 * and from an interrupt of the same vector; its origin is on the stack.
 */
export function withoutFirmware(guest: CpuState, read: ReadGuest): Unserved | undefined {
  if (bit(guest.get(SLOT.CR0), CR0.PE)) return undefined;
  const stub = stubAt(guest.segmentBase(SEG.CS) + guest.rip, read);
  if (stub === undefined) return undefined;
  if (stub === 'reset')
    return {
      event: false,
      why: `the guest jumped to FFFF:0000, the reset vector, to restart the machine: ${NO_BIOS} that would do it`,
    };
  const event = guest.get32(SLOT.LAST_EVENT);
  const vector = h(stub);
  const frame = read(guest.segmentBase(SEG.SS) + (guest.get(RSP) & 0xffffn), 4);
  const word = (at: number): number => (frame?.[at] ?? 0) | ((frame?.[at + 1] ?? 0) << 8);
  const place = frame ? `${h(word(2), 4)}:${h(word(0), 4)}` : 'an unknown place';
  if ((event & INTR_INFO.VALID) === 0 || (event & INTR_INFO.VECTOR_MASK) !== stub)
    return {
      event: false,
      why: `a jump or call, not an interrupt, led to the handler of INT ${vector}h: ${NO_BIOS} to serve it`,
    };
  const unhandled = `the guest has no handler for vector ${vector}h, and ${NO_BIOS}`;
  const said = (why: string): Unserved => ({ event: true, vector: stub, why });
  const called = (why: string): Unserved => ({ event: false, why });
  switch ((event >>> INTR_INFO.TYPE_SHIFT) & INTR_INFO.TYPE_MASK) {
    case INTR_TYPE.HARD_EXCEPTION:
      return said(`${vectorName(stub)} at ${place}: ${unhandled}`);
    case INTR_TYPE.SOFT_EXCEPTION:
    case INTR_TYPE.PRIV_SW_EXCEPTION:
      return said(`${vectorName(stub)} by INT3, INTO or INT1 before ${place}: ${unhandled}`);
    case INTR_TYPE.EXT_INTR:
      return called(`external interrupt ${vector}h at ${place}: ${unhandled}`);
    case INTR_TYPE.NMI_INTR:
      return called(`NMI at ${place}: ${unhandled}`);
    default: {
      const ah = h(Number((guest.get(0) >> 8n) & 0xffn));
      return called(`INT ${vector}h with AH = ${ah}h: ${NO_BIOS} to serve it (the call returns to ${place})`);
    }
  }
}
