import { CR4 } from '../../isa/flags';
import type { CpuState } from '../state/cpu-state';
import { SLOT } from '../state/layout';

/** LEN of DR7 as bytes: 0 = 1, 1 = 2, 2 = 8, 3 = 4 (SDM vol. 3, 17.2.4). */
const LENGTHS = [1n, 2n, 8n, 4n] as const;
/** R/W of DR7: what a breakpoint waits for. Port accesses exist with CR4.DE alone. */
const EXECUTE = 0;
const WRITE = 1;
const PORT = 2;

/** Of data, or of ports. */
interface DataBreakpoint {
  /** Its bit in DR6. */
  readonly bit: bigint;
  readonly start: bigint;
  /** First address behind it. */
  readonly end: bigint;
  readonly writesOnly: boolean;
}

/**
 * The four breakpoints of DR0–DR3 as DR7 sets them up (SDM vol. 3, figure 17-1):
 *
 *   31..30 29..28  …  19..18 17..16   15:14 13  12:11 10  9  8   7  6   …   1  0
 *  | LEN3 | R/W3 | … | LEN0 | R/W0  |  0   |GD | …   |1 |GE|LE |G3 L3 | … |G0 L0|
 */
export class DebugUnit {
  private key = '';
  private code: readonly { readonly bit: bigint; readonly address: bigint }[] = [];
  private data: readonly DataBreakpoint[] = [];
  private ports: readonly DataBreakpoint[] = [];
  private seen = 0n;

  constructor(private readonly state: CpuState) {}

  /** Some breakpoint waits for a data access. */
  get watchesData(): boolean {
    return this.data.length > 0;
  }

  /** Reads the registers again; true where they say something else than last time. */
  decode(): boolean {
    const s = this.state;
    const dr7 = s.get32(SLOT.DR7);
    const withPorts = (s.get32(SLOT.CR4) & (1 << CR4.DE)) !== 0;
    const key = (dr7 & 0xff) === 0 ? '' : `${[0, 1, 2, 3].map((n) => s.get(SLOT.DR0 + n)).join()}/${dr7}/${withPorts}`;
    if (key === this.key) return false;
    this.key = key;
    const code: { bit: bigint; address: bigint }[] = [];
    const data: DataBreakpoint[] = [];
    const ports: DataBreakpoint[] = [];
    for (let n = 0; n < 4; n++) {
      if (((dr7 >>> (2 * n)) & 3) === 0) continue;
      const kind = (dr7 >>> (16 + 4 * n)) & 3;
      const address = s.get(SLOT.DR0 + n);
      const bit = 1n << BigInt(n);
      if (kind === EXECUTE) code.push({ bit, address });
      else if (kind !== PORT || withPorts) {
        const length = LENGTHS[(dr7 >>> (18 + 4 * n)) & 3] as bigint;
        // the low address bits that the length covers are ignored
        const start = address & ~(length - 1n);
        (kind === PORT ? ports : data).push({ bit, start, end: start + length, writesOnly: kind === WRITE });
      }
    }
    this.code = code;
    this.data = data;
    this.ports = ports;
    return true;
  }

  /** The next `decode` says that something changed. */
  forget(): void {
    this.key = 'unknown';
    this.seen = 0n;
  }

  /** DR6 bits of the instruction breakpoints at a linear address. */
  instruction(linear: bigint): bigint {
    let bits = 0n;
    for (const c of this.code) if (c.address === linear) bits |= c.bit;
    return bits;
  }

  /** A data access that succeeded. */
  access(linear: bigint, size: number, write: boolean): void {
    const end = linear + BigInt(size);
    for (const d of this.data) if (linear < d.end && end > d.start && (write || !d.writesOnly)) this.seen |= d.bit;
  }
  /** DR6 bits of the breakpoints on a port access that the bus completes. */
  port(address: bigint, size: number): bigint {
    let bits = 0n;
    for (const p of this.ports) if (address < p.end && address + BigInt(size) > p.start) bits |= p.bit;
    return bits;
  }
  /** A port access that completed. */
  portAccessed(address: bigint, size: number): void {
    this.seen |= this.port(address, size);
  }
  /** DR6 bits of the breakpoints met since the last call. */
  take(): bigint {
    const seen = this.seen;
    this.seen = 0n;
    return seen;
  }
}
