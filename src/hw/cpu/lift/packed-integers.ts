import { Mnemonic } from 'iced-x86';
import * as integer from '../sse/integer';
import * as shuffle from '../sse/shuffle';
import type { Helper } from './helpers';

/** Packed-integer instructions that XMM and MMX registers share. Each half of a 128-bit register is computed by itself, so that 64 bits are the same with a zero half above. */
export const LANES: readonly (readonly [Mnemonic, Helper])[] = [
  [Mnemonic.Paddb, integer.paddb],
  [Mnemonic.Paddw, integer.paddw],
  [Mnemonic.Paddd, integer.paddd],
  [Mnemonic.Psubb, integer.psubb],
  [Mnemonic.Psubw, integer.psubw],
  [Mnemonic.Psubd, integer.psubd],
  [Mnemonic.Paddsb, integer.paddsb],
  [Mnemonic.Paddsw, integer.paddsw],
  [Mnemonic.Psubsb, integer.psubsb],
  [Mnemonic.Psubsw, integer.psubsw],
  [Mnemonic.Paddusb, integer.paddusb],
  [Mnemonic.Paddusw, integer.paddusw],
  [Mnemonic.Psubusb, integer.psubusb],
  [Mnemonic.Psubusw, integer.psubusw],
  [Mnemonic.Pcmpeqb, integer.pcmpeqb],
  [Mnemonic.Pcmpeqw, integer.pcmpeqw],
  [Mnemonic.Pcmpeqd, integer.pcmpeqd],
  [Mnemonic.Pcmpgtb, integer.pcmpgtb],
  [Mnemonic.Pcmpgtw, integer.pcmpgtw],
  [Mnemonic.Pcmpgtd, integer.pcmpgtd],
  [Mnemonic.Pavgb, integer.pavgb],
  [Mnemonic.Pavgw, integer.pavgw],
  [Mnemonic.Pminub, integer.pminub],
  [Mnemonic.Pmaxub, integer.pmaxub],
  [Mnemonic.Pminsw, integer.pminsw],
  [Mnemonic.Pmaxsw, integer.pmaxsw],
  [Mnemonic.Pmullw, integer.pmullw],
  [Mnemonic.Pmulhw, integer.pmulhw],
  [Mnemonic.Pmulhuw, integer.pmulhuw],
  [Mnemonic.Pmuludq, integer.pmuludq],
  [Mnemonic.Pmaddwd, integer.pmaddwd],
  [Mnemonic.Psadbw, integer.psadbw],
];
/** The first operand's lanes narrowed, then the second's. */
export const PACKS: readonly (readonly [Mnemonic, Helper])[] = [
  [Mnemonic.Packsswb, shuffle.packsswb],
  [Mnemonic.Packuswb, shuffle.packuswb],
  [Mnemonic.Packssdw, shuffle.packssdw],
];
/** Shifts of every lane by one count. */
export const SHIFTS: readonly (readonly [Mnemonic, (typeof integer.SHIFTS)[keyof typeof integer.SHIFTS]])[] = [
  [Mnemonic.Psllw, integer.SHIFTS.psllw],
  [Mnemonic.Psrlw, integer.SHIFTS.psrlw],
  [Mnemonic.Psraw, integer.SHIFTS.psraw],
  [Mnemonic.Pslld, integer.SHIFTS.pslld],
  [Mnemonic.Psrld, integer.SHIFTS.psrld],
  [Mnemonic.Psrad, integer.SHIFTS.psrad],
  [Mnemonic.Psllq, integer.SHIFTS.psllq],
  [Mnemonic.Psrlq, integer.SHIFTS.psrlq],
];
