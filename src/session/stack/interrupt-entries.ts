import { bit } from '../../base/bits';
import { SEG, SLOT } from '../../hw/state/layout';
import { ERROR_CODE_VECTORS } from '../../isa/exceptions';
import { CR0, EFER } from '../../isa/flags';
import type { GuestView } from '../guest/view';
import type { MemoryAccess } from '../guest/memory';

const VECTORS = 256;
/** 32-bit and 64-bit interrupt and trap gates; 16-bit ones have offsets of 16 bits. */
const WIDE_GATES: ReadonlySet<number> = new Set([0xe, 0xf]);
const NARROW_GATES: ReadonlySet<number> = new Set([6, 7]);

/** By entry: whether an error code lies on its stack; both, where vectors share a handler. */
export type InterruptEntries = ReadonlyMap<bigint, ReadonlySet<boolean>>;

/** Where the guest's interrupts and exceptions enter, as offsets in its present code segment: by the IDT, or in real mode the interrupt vector table. */
export function interruptEntries(g: GuestView, memory: MemoryAccess): InterruptEntries {
  const s = g.state;
  const out = new Map<bigint, Set<boolean>>();
  const add = (offset: bigint, errorCode: boolean): void => {
    out.set(offset, (out.get(offset) ?? new Set()).add(errorCode));
  };
  const isReal = !bit(s.get(SLOT.CR0), CR0.PE);
  const isLong = bit(s.get(SLOT.EFER), EFER.LMA);
  const size = isReal ? 4 : isLong ? 16 : 8;
  const limit = Math.min(s.get32(SLOT.IDTR_LIMIT) + 1, VECTORS * size);
  const { bytes } = memory.read({ space: 'gva', value: s.get(SLOT.IDTR_BASE) }, limit);
  const table = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let vector = 0; (vector + 1) * size <= bytes.length; vector++) {
    const at = vector * size;
    const low = table.getUint16(at, true);
    if (isReal) {
      const linear = BigInt(table.getUint16(at + 2, true) * 16 + low);
      const offset = linear - s.segmentBase(SEG.CS);
      if (linear !== 0n && offset >= 0n && offset <= 0xffffn) add(offset, false);
      continue;
    }
    const attributes = table.getUint8(at + 5);
    const type = attributes & 0x1f;
    if ((attributes & 0x80) === 0 || !(WIDE_GATES.has(type) || NARROW_GATES.has(type))) continue;
    const middle = WIDE_GATES.has(type) ? table.getUint16(at + 6, true) : 0;
    const high = isLong ? table.getUint32(at + 8, true) : 0;
    add((BigInt(high) << 32n) | BigInt(middle * 0x1_0000 + low), ERROR_CODE_VECTORS.has(vector));
  }
  return out;
}
