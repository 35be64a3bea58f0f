/** The registers of one guest frame: its own where it is known what they are, otherwise those of the top frame, marked as such. */
import { hex } from '../../base/hex';
import { gprPart } from '../../isa/registers';
import { RFLAGS } from '../../isa/flags';
import type { CpuState } from '../../hw/state/cpu-state';
import { FP_NAMES, WIDE_NAMES } from '../guest/fp-registers';
import type { MemoryAccess } from '../guest/memory';

/** What reading a register by its name asks; `CpuState` answers for the top frame. */
export type RegisterFile = Pick<CpuState, 'get' | 'rip' | 'rflags'>;

/** Where a frame's value of a register lies. */
export type Place =
  /** In the CPU: none of the functions called has changed it. */
  | { readonly kind: 'cpu' }
  /** At a linear address: pushed by a function that was called, by its CALL or by an interrupt. */
  | { readonly kind: 'memory'; readonly address: bigint; readonly bytes: number }
  /** Nowhere: it follows from where other things lie. */
  | { readonly kind: 'computed'; readonly value: bigint };

/** Numbers of places: 0 to 15 are the general registers by their encodings. */
export const RIP = 16;
export const FLAGS = 17;

const MARK = '(of the top frame)';

export class FrameRegisters implements RegisterFile {
  /**
   * @param level how many guest frames lie above: 0 is the top one
   * @param places by number; none: the frame's value is not known
   */
  constructor(
    readonly level: number,
    private readonly places: ReadonlyMap<number, Place>,
    private readonly cpu: RegisterFile,
    private readonly memory: MemoryAccess,
  ) {}

  /** @param slot a general register's number, or a slot of the VCPU's */
  get(slot: number): bigint {
    return slot < RIP ? this.valueAt(slot, this.cpu.get(slot)) : this.cpu.get(slot);
  }
  get rip(): bigint {
    return this.valueAt(RIP, this.cpu.rip);
  }
  get rflags(): bigint {
    return this.valueAt(FLAGS, this.cpu.rflags);
  }

  /** Where a register lies that each frame has its own of; 'vcpu': there is one for all frames; undefined: nobody knows. */
  placeOf(written: string): Place | 'vcpu' | undefined {
    const number = numberOf(written);
    return number === undefined ? 'vcpu' : this.places.get(number);
  }
  /** What a reader must know of a register's value; undefined: it is the frame's own. */
  mark(written: string): string | undefined {
    return this.placeOf(written) === undefined ? MARK : undefined;
  }
  /** Why a register cannot be set in this frame. */
  whyReadOnly(written: string): string | undefined {
    const place = this.placeOf(written);
    const name = written.toLowerCase();
    if (place === undefined)
      return `\`${name}\` of this frame is not saved anywhere; the value shown is that of the top frame, where it can be set`;
    if (place === 'vcpu' || place.kind === 'cpu') return undefined;
    if (place.kind === 'computed')
      return `\`${name}\` of this frame is not stored anywhere; it follows from where the return address lies`;
    return numberOf(written) === FLAGS
      ? `\`${name}\` of this frame lies in the interrupt's stack frame at ${hex(place.address)}; write to memory there`
      : undefined;
  }

  /** The places of the caller's registers. */
  caller(places: ReadonlyMap<number, Place>, kept: number): FrameRegisters {
    const same = [...this.places].filter(([number]) => number < RIP && (kept & (1 << number)) !== 0);
    return new FrameRegisters(this.level + 1, new Map([...same, ...places]), this.cpu, this.memory);
  }

  private valueAt(number: number, cpu: bigint): bigint {
    const place = this.places.get(number);
    switch (place?.kind) {
      case 'memory': {
        const low = this.memory.readNumber('gva', place.address, place.bytes);
        const bits = 8 * place.bytes;
        return low === undefined ? cpu : number >= RIP ? low : ((cpu >> BigInt(bits)) << BigInt(bits)) | low;
      }
      case 'computed':
        return place.value;
      default:
        return cpu;
    }
  }
}

/** The registers of the top frame. */
export function topRegisters(cpu: RegisterFile, memory: MemoryAccess): FrameRegisters {
  const places = Array.from({ length: FLAGS + 1 }, (_, number): [number, Place] => [number, { kind: 'cpu' }]);
  return new FrameRegisters(0, new Map(places), cpu, memory);
}

/** x87 and SSE registers: calls pass them on, and what becomes of them is not followed. */
const UNFOLLOWED = -1;
function numberOf(written: string): number | undefined {
  const name = written.toLowerCase();
  const part = gprPart(name);
  if (part) return part.index;
  if (/^[re]?ip$/.test(name)) return RIP;
  if (/^[re]?flags$|^iopl$/.test(name) || Object.hasOwn(RFLAGS, name.toUpperCase())) return FLAGS;
  return FP_NAMES.includes(name) || WIDE_NAMES.includes(name) ? UNFOLLOWED : undefined;
}
