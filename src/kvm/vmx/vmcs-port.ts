import { invariant } from '../../base/assert';
import { FIELD, vmcsField, type VmcsFieldName } from '../../isa/vmcs-fields';
import type { Vmx } from '../../hw/vmx/vmx';
import type { VmcsAccess } from '../../trace/step';

/** Most accesses that are kept for one step; setting a whole VMCS up makes more, and nobody asks for those. */
const KEPT = 64;

/**
 * KVM's vmcs_read and vmcs_write: VMREAD and VMWRITE on the current VMCS of the CPU it runs on, nothing else. What was accessed since the last `take` is
 * remembered for the step that is about to be told.
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
