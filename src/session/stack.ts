/** The guest's call stack: the frame-pointer chain, each return address checked against what calls look like. */
import { hex } from '../base/hex';
import { SEG } from '../hw/state/layout';
import { disassemble } from '../asm/index';
import type { GuestView } from './guest-view';
import type { MemoryAccess } from './memory';
import type { SymbolTable } from './symbols';
import type { Location } from './types';

const MAX_FRAMES = 256;
const RSP = 4;
const RBP = 5;

export interface GuestFrame {
  readonly name: string;
  readonly address: bigint;
  readonly location?: Location;
  /** The frame pointer with which the frame's locals are found; undefined for the innermost where none was set up. */
  readonly framePointer: bigint | undefined;
}

/** Whether a CALL ends right before `address`: one of the usual lengths decodes to it. */
function followsCall(g: GuestView, memory: MemoryAccess, address: bigint): boolean {
  for (const length of [5, 2, 3, 6, 7, 4, 8]) {
    const { bytes } = memory.read({ space: 'gva', value: BigInt.asUintN(64, address - BigInt(length)) }, length);
    if (bytes.length < length) continue;
    const [i] = disassemble(bytes, address - BigInt(length), g.bits, 1);
    if (i?.valid && i.length === length && i.text.startsWith('call')) return true;
  }
  return false;
}

export function guestFrames(g: GuestView, memory: MemoryAccess, symbols: SymbolTable): readonly GuestFrame[] {
  const frame = (address: bigint, framePointer: bigint | undefined): GuestFrame => {
    const location = symbols.locationOf(address);
    return {
      name: symbols.symbolOf(address) ?? hex(address),
      address,
      framePointer,
      ...(location ? { location } : {}),
    };
  };
  const word = g.bits / 8;
  const mask = (1n << BigInt(g.bits)) - 1n;
  const stackAt = (offset: bigint): bigint => g.linear(SEG.SS, offset & mask);
  const top = g.linearRip;
  const out = [frame(top, undefined)];
  const rsp = g.state.get(RSP) & mask;
  let rbp = g.state.get(RBP) & mask;

  // A call just made, or a function that has pushed nothing yet: the return address is still on top of the stack.
  const onTop = memory.readNumber('gva', stackAt(rsp), word);
  const atEntry = symbols.symbolOf(top)?.includes('+') === false;
  if (atEntry && onTop !== undefined && followsCall(g, memory, g.linear(SEG.CS, onTop)))
    out.push(frame(g.linear(SEG.CS, onTop), undefined));

  // Each frame pointer points at the caller's, and above it lies the return address. The chain must climb, or it is no chain.
  let last = rsp;
  while (out.length < MAX_FRAMES && rbp >= last && rbp !== 0n) {
    const next = memory.readNumber('gva', stackAt(rbp), word);
    const back = memory.readNumber('gva', stackAt(rbp + BigInt(word)), word);
    if (next === undefined || back === undefined) break;
    const caller = g.linear(SEG.CS, back);
    if (!followsCall(g, memory, caller)) break;
    if (out.at(-1)?.address !== caller) out.push(frame(caller, next));
    last = rbp + BigInt(2 * word);
    rbp = next;
  }
  return out;
}
