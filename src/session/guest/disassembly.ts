import { disassemble, type DisassembledInstruction } from '../../asm/index';
import type { MemoryAccess } from './memory';
import type { SymbolTable } from './symbols';
import type { GuestView } from './view';
import type { DisassembledLine } from '../types';

type Bits = 16 | 32 | 64;
const MAX_INSTRUCTION = 15;
/** Starts tried until decoding falls in step with the address asked for. */
const STARTS = 15;

/** The guest's code in its present mode, by linear address. */
export class Disassembly {
  constructor(
    private readonly guest: GuestView,
    private readonly memory: MemoryAccess,
    private readonly symbols: SymbolTable,
  ) {}

  /** `count` lines from `offset` instructions before or after `address`; what cannot be decoded is filled, since clients ask for a fixed number. */
  around(address: bigint, offset: number, count: number): readonly DisassembledLine[] {
    const { memory, symbols } = this;
    const { bits } = this.guest;
    const before = Math.max(0, -offset);
    const skip = Math.max(0, offset);
    const earlier = instructionsBefore(bits, memory, symbols, address, before);
    const wanted = Math.max(0, count - before) + skip;
    const { bytes } = memory.read({ space: 'gva', value: address }, Math.min(wanted * MAX_INSTRUCTION, 1 << 20));
    const later = disassemble(bytes, address, bits, wanted, (a) => symbols.symbolOf(a));
    const first = earlier[0]?.address ?? address;
    const missing = before - earlier.length;
    const rows = [
      ...Array.from({ length: missing }, (_, i) => unknown(first - BigInt(missing - i))),
      ...[...earlier, ...later].map((i) => decorate(i, symbols)),
    ];
    const last = later.at(-1);
    let end = last ? last.address + BigInt(last.length) : address;
    while (rows.length < skip + count) rows.push(unknown(end++));
    return rows.slice(skip, skip + count);
  }
}

const unknown = (address: bigint): DisassembledLine => ({
  address: BigInt.asUintN(64, address),
  bytes: new Uint8Array(0),
  text: '??',
  valid: false,
});

function decorate({ address, bytes, text, valid }: DisassembledInstruction, symbols: SymbolTable): DisassembledLine {
  const symbol = symbols.symbolOf(address);
  const location = symbols.locationOf(address);
  return {
    address,
    bytes,
    text,
    valid,
    ...(symbol === undefined || symbol.includes('+') ? {} : { symbol }),
    ...(location ? { location } : {}),
  };
}

/**
 * Up to `count` instructions that end where `address` begins. x86 cannot be read backwards: the line table says where the guest's own
 * instructions begin, and elsewhere decoding starts far enough before for its boundaries to fall in step.
 */
function instructionsBefore(
  bits: Bits,
  memory: MemoryAccess,
  symbols: SymbolTable,
  address: bigint,
  count: number,
): readonly DisassembledInstruction[] {
  const decode = (from: bigint, to: bigint): readonly DisassembledInstruction[] => {
    const { bytes } = memory.read({ space: 'gva', value: from }, Number(to - from));
    const list = disassemble(bytes, from, bits, bytes.length, (a) => symbols.symbolOf(a));
    const last = list.at(-1);
    return last?.valid && last.address + BigInt(last.length) === to ? list : [];
  };
  let out: readonly DisassembledInstruction[] = [];
  let at = address;
  while (out.length < count && at > 0n) {
    const span = symbols.lineAt(at - 1n);
    const list = span?.code ? decode(span.address, at) : [];
    if (span === undefined || list.length === 0) break;
    out = [...list, ...out];
    at = span.address;
  }
  const missing = count - out.length;
  const reach = BigInt(missing * MAX_INSTRUCTION);
  for (let i = 0n; missing > 0 && i < STARTS; i++) {
    const list = decode(at > reach + i ? at - reach - i : 0n, at);
    if (list.length >= missing) return [...list.slice(-missing), ...out];
  }
  return out.slice(-count);
}
