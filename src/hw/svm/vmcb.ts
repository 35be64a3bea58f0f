import type { Hpa } from '../../base/address';
import { invariant } from '../../base/assert';
import { VMCB, VMCB_INSN_BYTES, VMCB_MAX_INSN_BYTES, type VmcbFieldName } from '../../isa/vmcb-fields';
import type { HostMemory } from '../memory/host-memory';

export const VMCB_SIZE = 4096;

/** A VMCB where it lies: a page of host physical memory, read and written in place, since nothing of it is cached here. */
export class Vmcb {
  private readonly at: number;

  constructor(
    private readonly memory: Pick<HostMemory, 'view' | 'u8' | 'offsetOf'>,
    readonly address: Hpa,
  ) {
    this.at = memory.offsetOf(address);
    invariant(this.at >= 0, 'a VMCB lies in host memory');
  }

  read(field: VmcbFieldName): bigint {
    const [offset, bytes] = VMCB[field];
    const { view } = this.memory;
    const at = this.at + offset;
    switch (bytes) {
      case 1:
        return BigInt(view.getUint8(at));
      case 2:
        return BigInt(view.getUint16(at, true));
      case 4:
        return BigInt(view.getUint32(at, true));
      case 8:
        return view.getBigUint64(at, true);
    }
  }
  /** A field of at most 32 bits. */
  read32(field: VmcbFieldName): number {
    return Number(this.read(field) & 0xffff_ffffn);
  }
  write(field: VmcbFieldName, value: bigint): void {
    const [offset, bytes] = VMCB[field];
    const { view } = this.memory;
    const at = this.at + offset;
    switch (bytes) {
      case 1:
        view.setUint8(at, Number(value & 0xffn));
        break;
      case 2:
        view.setUint16(at, Number(value & 0xffffn), true);
        break;
      case 4:
        view.setUint32(at, Number(value & 0xffff_ffffn), true);
        break;
      case 8:
        view.setBigUint64(at, BigInt.asUintN(64, value), true);
        break;
    }
  }

  /** Guest instruction bytes of decode assists, and their number. */
  get instructionBytes(): Uint8Array {
    const n = Math.min(this.read32('INSN_LENGTH'), VMCB_MAX_INSN_BYTES);
    return this.memory.u8.slice(this.at + VMCB_INSN_BYTES, this.at + VMCB_INSN_BYTES + n);
  }
  set instructionBytes(bytes: Uint8Array) {
    this.write('INSN_LENGTH', BigInt(bytes.length));
    this.memory.u8.fill(0, this.at + VMCB_INSN_BYTES, this.at + VMCB_INSN_BYTES + VMCB_MAX_INSN_BYTES);
    this.memory.u8.set(bytes, this.at + VMCB_INSN_BYTES);
  }
}
