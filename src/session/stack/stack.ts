/** The guest's call stack, from the instruction at RIP outwards: unwind.ts finds each caller. */
import { bit } from '../../base/bits';
import { hex } from '../../base/hex';
import { SEG, SLOT } from '../../hw/state/layout';
import { CR0 } from '../../isa/flags';
import { FLAGS, RIP, topRegisters, type FrameRegisters, type Place } from './frame-registers';
import type { GuestView } from '../guest/view';
import { interruptEntries } from './interrupt-entries';
import type { MemoryAccess } from '../guest/memory';
import type { SymbolTable } from '../guest/symbols';
import type { Location } from '../types';
import { Unwinder, type Caller, type Registers, type UnwindSource } from './unwind';

const MAX_FRAMES = 1000;
/** Labels before an instruction that are tried as the beginning of its function: those in its middle lead nowhere. */
const LABELS = 16;
const RSP = 4;
const RBP = 5;

export interface GuestFrame {
  readonly name: string;
  /** Linear; of a caller where the callee returns to, as debuggers have it. */
  readonly address: bigint;
  /** Of a caller, where its CALL stands. */
  readonly location?: Location;
  readonly registers: FrameRegisters;
}

/** @param most how many frames are wanted, from the top one on */
export function guestFrames(
  g: GuestView,
  memory: MemoryAccess,
  symbols: SymbolTable,
  most = MAX_FRAMES,
): readonly GuestFrame[] {
  const mask = (1n << BigInt(g.bits)) - 1n;
  const unwinder = new Unwinder(sourceOf(g, memory, symbols, mask));
  let now: Registers & { readonly site: bigint } = {
    ip: g.state.rip,
    site: g.state.rip,
    sp: g.state.get(RSP) & mask,
    fp: g.state.get(RBP) & mask,
  };
  let registers = topRegisters(g.state, memory);
  const out = [{ ...frame(g, symbols, now.ip, now.site), registers }];
  const seen = new Set<string>();
  while (out.length < Math.min(most, MAX_FRAMES)) {
    const caller = unwinder.caller(now.site, now);
    // an interrupt may have come on another stack; a return leaves the stack higher
    if (!caller || (!caller.interrupted && caller.sp <= now.sp) || seen.has(`${caller.ip} ${caller.sp}`)) break;
    seen.add(`${caller.ip} ${caller.sp}`);
    registers = registers.caller(placesOf(g, caller), caller.kept);
    out.push({ ...frame(g, symbols, caller.ip, caller.site), registers });
    now = caller;
  }
  return out;
}

/** Where the registers of a caller lie that its callee, the CALL or the interrupt moved. */
function placesOf(g: GuestView, { slots, saved, sp }: Caller): ReadonlyMap<number, Place> {
  const memory = (slot: bigint): Place => ({ kind: 'memory', address: g.linear(SEG.SS, slot), bytes: g.bits / 8 });
  const places = new Map<number, Place>([...saved].map(([register, slot]) => [register, memory(slot)]));
  places.set(RIP, memory(slots.ip));
  if (slots.flags !== undefined) places.set(FLAGS, memory(slots.flags));
  places.set(RSP, slots.sp === undefined ? { kind: 'computed', value: sp } : memory(slots.sp));
  return places;
}

/** Named after the function that the CALL is in: behind it may be another one. */
function frame(g: GuestView, symbols: SymbolTable, ip: bigint, site: bigint): Omit<GuestFrame, 'registers'> {
  const [address, from] = [g.linear(SEG.CS, ip), g.linear(SEG.CS, site)];
  const location = symbols.locationOf(from);
  const name = symbols.symbolOf(from)?.replace(/\+0x[0-9a-f]+$/, '');
  const base = name === undefined ? undefined : symbols.valueOf(name);
  const distance = base === undefined ? 0n : address - base;
  return {
    name: name === undefined ? hex(address) : distance === 0n ? name : `${name}+0x${distance.toString(16)}`,
    address,
    ...(location ? { location } : {}),
  };
}

function sourceOf(g: GuestView, memory: MemoryAccess, symbols: SymbolTable, mask: bigint): UnwindSource {
  const base = g.linear(SEG.CS, 0n);
  const isReal = !bit(g.state.get(SLOT.CR0), CR0.PE);
  const selector = BigInt(g.state.segment(SEG.CS).selector);
  return {
    bits: g.bits,
    code: (offset, length) => memory.read({ space: 'gva', value: g.linear(SEG.CS, offset) }, length).bytes,
    stackWord: (offset) => memory.readNumber('gva', g.linear(SEG.SS, offset & mask), g.bits / 8),
    entriesBefore: (offset) =>
      symbols
        .labelsBefore(g.linear(SEG.CS, offset), LABELS)
        .filter((linear) => linear >= base)
        .map((linear) => linear - base),
    handlers: interruptEntries(g, memory),
    // in real mode another segment has other offsets; elsewhere code segments are taken to be flat
    isSameSegment: (pushed) => (isReal ? pushed === selector : pushed !== 0n && pushed <= 0xffffn),
    switchesStack: (pushed) => g.bits === 64 || (!isReal && Number(pushed & 3n) > g.cpl),
  };
}
