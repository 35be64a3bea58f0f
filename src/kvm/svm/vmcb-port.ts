import type { Hpa } from '../../base/address';
import type { HostMemory } from '../../hw/memory/host-memory';
import { readSegment, writeSegment } from '../../hw/svm/segments';
import { Vmcb } from '../../hw/svm/vmcb';
import type { SegmentCache } from '../../hw/state/cpu-state';
import type { VmcsAccess } from '../../trace/step';
import { VMCB, type VmcbFieldName } from '../../isa/vmcb-fields';

/** Limit on the accesses recorded for one step. */
const KEPT = 64;

/**
 * KVM's svm->vmcb: loads and stores in a page of its own memory. Accesses since the last `take` are recorded for the
 * next step.
 */
export class VmcbPort {
  readonly vmcb: Vmcb;
  private accesses: VmcsAccess[] = [];
  private changed = new Set<VmcbFieldName>();

  constructor(memory: HostMemory, address: Hpa) {
    this.vmcb = new Vmcb(memory, address);
  }
  get address(): Hpa {
    return this.vmcb.address;
  }

  read(field: VmcbFieldName): bigint {
    const value = this.vmcb.read(field);
    this.note('read', field, value);
    return value;
  }
  read32(field: VmcbFieldName): number {
    return Number(this.read(field) & 0xffff_ffffn);
  }
  write(field: VmcbFieldName, value: bigint): void {
    this.vmcb.write(field, value);
    this.changed.add(field);
    this.note('write', field, value);
  }
  segment(index: number): SegmentCache {
    return readSegment(this.vmcb, index);
  }
  setSegment(index: number, s: SegmentCache): void {
    writeSegment(this.vmcb, index, s);
  }

  /** Accesses since the last call, in order. */
  take(): readonly VmcsAccess[] {
    const taken = this.accesses;
    this.accesses = [];
    return taken;
  }
  /** Fields written since the last call: their clean bits must not be set. */
  written(): readonly VmcbFieldName[] {
    const fields = [...this.changed];
    this.changed.clear();
    return fields;
  }
  private note(op: 'read' | 'write', field: VmcbFieldName, value: bigint): void {
    if (this.accesses.length < KEPT) this.accesses.push({ of: 'vmcb', op, encoding: VMCB[field][0], field, value });
  }
}
