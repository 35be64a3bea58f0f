import type { Hpa } from '../../base/address';
import { invariant } from '../../base/assert';
import type { VmcsFieldName } from '../../isa/vmcs-fields';
import { FIELD, isHighHalf } from '../../isa/vmcs-fields';
import type { HostMemory } from '../memory/host-memory';

/** Bytes of a VMCS region (VMX_BASIC 44:32). */
export const VMCS_SIZE = 4096;
const REVISION_AT = 0;
const ABORT_AT = 4;
const LAUNCH_STATE_AT = 8;
const FIELDS_AT = 64;
/** Fields each (width, type) group has room for: 16 groups of 31 slots of 8 bytes fill the region after the header. */
const GROUP_SLOTS = 31;

const WIDTH_16 = 0;
const ALL_AREAS = 0xf;
/** Types 0 (control) and 3 (host state). */
const CONTROL_AND_HOST = (1 << 0) | (1 << 3);
const areaBit = (encoding: number): number => 1 << ((encoding >> 10) & 3);
const WIDTH_MASK = [0xffffn, 0xffff_ffff_ffff_ffffn, 0xffff_ffffn, 0xffff_ffff_ffff_ffffn] as const;

/** Byte offset of a field in the region, the layout of revision VMCS_REVISION. */
export function fieldOffset(encoding: number): number {
  const group = ((encoding >> 11) & 0xc) | ((encoding >> 10) & 3);
  const index = (encoding >> 1) & 0x1ff;
  invariant(index < GROUP_SLOTS, 'a VMCS field has a slot in the region');
  return FIELDS_AT + (group * GROUP_SLOTS + index) * 8;
}

/**
 * A VMCS: 4 KiB of host memory (SDM vol. 3, 24.2). The processor keeps nothing of it elsewhere, so VMWRITE is a store and a snapshot of memory is a
 * snapshot of every VMCS. Software must use VMREAD and VMWRITE all the same: the layout of the data is the processor's own.
 *
 *      0  revision identifier (30:0), shadow-VMCS indicator (31)
 *      4  VMX-abort indicator
 *      8  launch state: 0 clear, 1 launched
 *     64  fields: group (width << 2 | type) × 31 slots, 8 bytes a slot, in the order of the index in the encoding
 */
export class Vmcs {
  private readonly view: DataView;
  private readonly words: Int32Array;
  /** Areas written since their VM-entry checks last held: a bit per type of the encoding. */
  private unchecked = ALL_AREAS;

  /** @param address 4 KiB aligned and inside host memory */
  constructor(
    memory: Pick<HostMemory, 'buffer' | 'offsetOf'>,
    readonly address: Hpa,
  ) {
    const at = memory.offsetOf(address);
    invariant(at >= 0 && (address & 0xfffn) === 0n, 'a VMCS lies in a frame of host memory');
    this.view = new DataView(memory.buffer, at, VMCS_SIZE);
    this.words = new Int32Array(memory.buffer, at, VMCS_SIZE / 4);
  }

  get revision(): number {
    return this.view.getUint32(REVISION_AT, true);
  }
  set revision(v: number) {
    this.view.setUint32(REVISION_AT, v, true);
  }
  /** Written by a VMX abort (27.7); 0 otherwise. */
  get abortIndicator(): number {
    return this.view.getUint32(ABORT_AT, true);
  }
  set abortIndicator(v: number) {
    this.view.setUint32(ABORT_AT, v, true);
  }
  get launched(): boolean {
    return this.view.getUint32(LAUNCH_STATE_AT, true) === 1;
  }
  set launched(v: boolean) {
    this.view.setUint32(LAUNCH_STATE_AT, v ? 1 : 0, true);
  }

  /** The field's value, zero-extended to 64 bits; a high-half encoding gives bits 63:32. */
  read(encoding: number): bigint {
    const at = fieldOffset(encoding);
    return isHighHalf(encoding) ? BigInt(this.view.getUint32(at + 4, true)) : this.view.getBigUint64(at, true);
  }
  /** The low 32 bits of the field, unsigned. */
  read32(encoding: number): number {
    return this.view.getUint32(fieldOffset(encoding), true);
  }
  /** Bits 63:32 of the field, unsigned. */
  readHigh32(encoding: number): number {
    return this.view.getUint32(fieldOffset(encoding) + 4, true);
  }
  /** Stores `value` truncated to the field's width; a high-half encoding stores bits 63:32 and keeps the rest. */
  write(encoding: number, value: bigint): void {
    const at = fieldOffset(encoding);
    this.unchecked |= areaBit(encoding);
    if (isHighHalf(encoding)) this.view.setUint32(at + 4, Number(value & 0xffff_ffffn), true);
    else this.view.setBigUint64(at, value & (WIDTH_MASK[(encoding >> 13) & 3] as bigint), true);
  }
  /** Stores 32 bits, the rest of the field becoming zero. */
  write32(encoding: number, value: number): void {
    const at = fieldOffset(encoding);
    this.unchecked |= areaBit(encoding);
    this.view.setUint32(at, value, true);
    this.view.setUint32(at + 4, 0, true);
  }

  /** Field → pair of 32-bit words (a register slot), low word first: what `read` does, without a bigint. */
  copyOut(encoding: number, to: Int32Array, word: number): void {
    const at = fieldOffset(encoding) >> 2;
    to[word] = this.words[at] as number;
    to[word + 1] = this.words[at + 1] as number;
  }
  /** Pair of 32-bit words → field, truncated to the field's width. */
  copyIn(encoding: number, from: Int32Array, word: number): void {
    const at = fieldOffset(encoding) >> 2;
    const width = (encoding >> 13) & 3;
    this.unchecked |= areaBit(encoding);
    const low = from[word] as number;
    this.words[at] = width === WIDTH_16 ? low & 0xffff : low;
    this.words[at + 1] = (width & 1) === 0 ? 0 : (from[word + 1] as number);
  }

  /** Whether control and host-state fields are as they were when `noteChecked` was called; guest state changes with every VM exit and is always checked. Known of writes through this object, so an editor must use `Vmx.current`. */
  get controlsAndHostChecked(): boolean {
    return (this.unchecked & CONTROL_AND_HOST) === 0;
  }
  noteChecked(): void {
    this.unchecked = 0;
  }

  get(name: VmcsFieldName): bigint {
    return this.read(FIELD[name]);
  }
  set(name: VmcsFieldName, value: bigint): void {
    this.write(FIELD[name], value);
  }
}
