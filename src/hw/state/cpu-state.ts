import { ARITHMETIC_FLAGS, RFLAGS_FIXED1 } from '../../isa/flags';
import { invariant } from '../../base/assert';
import type { HostMemory } from '../memory/host-memory';
import { arithmeticFlags, setArithmeticFlags } from './lazy-flags';
import { CPU_STATES_OFFSET, CPU_STATE_SIZE, MAX_STATES, SEG, SLOT } from './layout';

/** One segment register's cache as the manual has it: selector, base, limit in bytes, access rights in the VMCS format. */
export interface SegmentCache {
  readonly selector: number;
  readonly base: bigint;
  readonly limit: number;
  readonly rights: number;
}

/**
 * The registers of one CPU (or one of KVM's register save areas), as views into the machine's memory.
 * The same bytes are reachable as 64-bit slots (`r`), as pairs of 32-bit words (`r32`, low word first), and in the lanes of vector instructions.
 */
export class CpuState {
  readonly r: BigUint64Array;
  readonly r32: Int32Array;
  /** Lanes of vector registers: slot n begins at index 8n, 4n, 2n, n. */
  readonly u8: Uint8Array;
  readonly u16: Uint16Array;
  readonly f32: Float32Array;
  readonly f64: Float64Array;
  /** The x87 and SSE registers alone: what a context switch of them moves. */
  readonly fp: BigUint64Array;
  private readonly bytes: Uint8Array;

  constructor(
    readonly memory: HostMemory,
    readonly index: number,
  ) {
    invariant(index >= 0 && index < MAX_STATES, 'a CPU state index below MAX_STATES');
    const at = CPU_STATES_OFFSET + index * CPU_STATE_SIZE;
    this.r = new BigUint64Array(memory.buffer, at, SLOT.END);
    this.r32 = new Int32Array(memory.buffer, at, SLOT.END * 2);
    this.u8 = new Uint8Array(memory.buffer, at, SLOT.END * 8);
    this.u16 = new Uint16Array(memory.buffer, at, SLOT.END * 4);
    this.f32 = new Float32Array(memory.buffer, at, SLOT.END * 2);
    this.f64 = new Float64Array(memory.buffer, at, SLOT.END);
    this.fp = this.r.subarray(SLOT.XMM, SLOT.FP_END);
    this.bytes = new Uint8Array(memory.buffer, at, CPU_STATE_SIZE);
  }

  get(slot: number): bigint {
    return this.r[slot] as bigint;
  }
  set(slot: number, value: bigint): void {
    this.r[slot] = value;
  }
  /** The low 32 bits of a slot, unsigned. */
  get32(slot: number): number {
    return (this.r32[slot * 2] as number) >>> 0;
  }
  set32(slot: number, value: number): void {
    this.r32[slot * 2] = value;
    this.r32[slot * 2 + 1] = 0;
  }

  get rip(): bigint {
    return this.get(SLOT.RIP);
  }
  set rip(v: bigint) {
    this.set(SLOT.RIP, v);
  }

  /** The whole RFLAGS, bit 1 set. */
  get rflags(): bigint {
    return BigInt(
      (((this.r32[SLOT.RFLAGS * 2] as number) & ~ARITHMETIC_FLAGS) | arithmeticFlags(this.r32) | RFLAGS_FIXED1) >>> 0,
    );
  }
  set rflags(v: bigint) {
    const n = Number(v & 0x3f_ffffn);
    this.set32(SLOT.RFLAGS, (n & ~ARITHMETIC_FLAGS & 0x3f7fd7) | RFLAGS_FIXED1);
    setArithmeticFlags(this.r32, n);
  }
  /** A flag other than the six arithmetic ones, by bit position. */
  systemFlag(bit: number): boolean {
    return (((this.r32[SLOT.RFLAGS * 2] as number) >>> bit) & 1) === 1;
  }
  setSystemFlag(bit: number, on: boolean): void {
    const f = this.r32[SLOT.RFLAGS * 2] as number;
    this.r32[SLOT.RFLAGS * 2] = on ? f | (1 << bit) : f & ~(1 << bit);
  }

  get cpl(): number {
    return this.r32[SLOT.CPL * 2] as number;
  }
  set cpl(v: number) {
    this.set32(SLOT.CPL, v);
  }

  /** `index`: SEG.ES … SEG.TR. */
  segment(index: number): SegmentCache {
    return {
      selector: this.get32(SLOT.SELECTOR + index),
      base: this.segmentBase(index),
      limit: this.get32(SLOT.LIMIT + index),
      rights: this.get32(SLOT.RIGHTS + index),
    };
  }
  setSegment(index: number, s: SegmentCache): void {
    this.set32(SLOT.SELECTOR + index, s.selector);
    this.set(this.baseSlot(index), s.base);
    this.set32(SLOT.LIMIT + index, s.limit);
    this.set32(SLOT.RIGHTS + index, s.rights);
  }
  segmentBase(index: number): bigint {
    return this.get(this.baseSlot(index));
  }
  private baseSlot(index: number): number {
    return index < 6 ? SLOT.SEG_BASE + index : index === SEG.LDTR ? SLOT.LDTR_BASE : SLOT.TR_BASE;
  }

  /** Copies another state's bytes over this one's. */
  copyFrom(other: CpuState): void {
    this.bytes.set(other.bytes);
  }
  /**
   * Its bytes as they mean something between two instructions, however the ones before were run: arithmetic flags as flags, no temporaries, and the fetch unit's place only while
   * it goes on there.
   */
  save(): Uint8Array {
    const saved = this.bytes.slice();
    const words = new Int32Array(saved.buffer);
    setArithmeticFlags(words, arithmeticFlags(this.r32));
    const clear = (from: number, to = from + 1): void => void words.fill(0, from * 2, to * 2);
    clear(SLOT.CC_A, SLOT.CC_B + 1);
    clear(SLOT.VALUE);
    clear(SLOT.TEMP0, SLOT.TEMP_END);
    clear(SLOT.FOP_NOW, SLOT.FDP_NOW + 1);
    if (words[SLOT.FETCH_CONTINUES * 2] === 0) clear(SLOT.FETCH_LINEAR, SLOT.FETCH_OFFSET + 1);
    return saved;
  }
  restore(saved: Uint8Array): void {
    this.bytes.set(saved);
  }
}
