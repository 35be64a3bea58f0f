import { invariant } from '../../base/assert';
import { FIELD, vmcsField, type VmcsFieldName } from '../../isa/vmcs-fields';
import type { Vmx } from '../../hw/vmx/vmx';
import type { VmcsAccess } from '../../trace/step';

/** Limit on the accesses recorded for one step; only setting up a whole VMCS exceeds it, and that is not shown. */
const KEPT = 64;

/**
 * KVM's vmcs_read and vmcs_write: VMREAD and VMWRITE on the current VMCS of its CPU. Accesses since the last `take`
 * are recorded for the next step.
 */
export class VmcsPort {
  private accesses: VmcsAccess[] = [];

  constructor(private readonly vmx: Vmx) {}

  read(field: VmcsFieldName): bigint {
    return this.readEncoding(FIELD[field]);
  }
  write(field: VmcsFieldName, value: bigint): void {
    this.writeEncoding(FIELD[field], value);
  }

  readEncoding(encoding: number): bigint {
    const r = this.vmx.vmread(encoding);
    invariant(r.kind === 'succeed', `VMREAD of ${nameOf(encoding)} succeeds`);
    this.note({ op: 'read', encoding, field: nameOf(encoding), value: r.value });
    return r.value;
  }
  writeEncoding(encoding: number, value: bigint): void {
    const r = this.vmx.vmwrite(encoding, value);
    invariant(r.kind === 'succeed', `VMWRITE of ${nameOf(encoding)} succeeds`);
    this.note({ op: 'write', encoding, field: nameOf(encoding), value });
  }

  /** Accesses since the last call, in order. */
  take(): readonly VmcsAccess[] {
    const taken = this.accesses;
    this.accesses = [];
    return taken;
  }

  private note(access: VmcsAccess): void {
    if (this.accesses.length < KEPT) this.accesses.push(access);
  }
}

const nameOf = (encoding: number): string => vmcsField(encoding)?.name ?? `field 0x${encoding.toString(16)}`;
