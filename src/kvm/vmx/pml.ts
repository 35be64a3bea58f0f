import type { Hpa } from '../../base/address';
import { gpa, hpa } from '../../base/address';
import { must } from '../../base/assert';
import { SECONDARY } from '../../isa/vmcs-controls';
import { PML_ENTRIES } from '../../hw/vmx/pml';
import { cost } from '../../trace/costs';
import type { Work } from '../../trace/step';
import type { Vcpu } from '../vcpu';
import { VmcsPort } from './vmcs-port';

const LAST = PML_ENTRIES - 1;

/**
 * KVM's use of the page-modification log: enabled while any slot logs dirty pages and the EPT has dirty flags,
 * drained at every exit. The buffer gets its frame when logging is first enabled (the kernel allocates it with each
 * VCPU).
 */
export class PageModificationLog {
  private buffer: Hpa | undefined;
  private on = false;

  constructor(
    private readonly v: Vcpu,
    private readonly vmcs: VmcsPort,
  ) {}

  /** vmx_update_cpu_dirty_logging. */
  *beforeEntry(): Work<void> {
    const { vmcs, v } = this;
    const wanted = v.vm.dirtyLog.active && v.vm.pageModificationLogging;
    if (wanted === this.on) return;
    this.on = wanted;
    const now = vmcs.read('SECONDARY_VM_EXEC_CONTROL');
    const flag = BigInt(SECONDARY.ENABLE_PML);
    if (wanted) {
      this.buffer ??= must(v.vm.kernel.frames.allocate(), 'the host has a frame for the page-modification log');
      vmcs.write('PML_ADDRESS', this.buffer);
      vmcs.write('GUEST_PML_INDEX', BigInt(LAST));
    }
    vmcs.write('SECONDARY_VM_EXEC_CONTROL', wanted ? now | flag : now & ~flag);
    yield v.step(
      'vmx_update_cpu_dirty_logging',
      wanted
        ? 'page-modification logging on: the CPU writes down each page whose dirty flag it sets'
        : 'page-modification logging off',
      cost('vmread', 4),
    );
  }

  /** vmx_flush_pml_buffer. */
  *atExit(): Work<void> {
    if (!this.on) return;
    const n = this.drain(this.vmcs);
    if (n > 0)
      yield this.v.step(
        'vmx_flush_pml_buffer',
        `${n} logged ${n === 1 ? 'page goes' : 'pages go'} into the dirty bitmap`,
        cost('kvmHandler') + cost('tableReference', n),
      );
  }

  /** Entries from the index + 1 to the end are logged; the index counts down and wraps below zero when the log is full. */
  drain(vmcs = new VmcsPort(this.v.cpu.vmx)): number {
    if (!this.on || this.buffer === undefined) return 0;
    const { vm } = this.v;
    const index = Number(vmcs.read('GUEST_PML_INDEX'));
    const first = index > LAST ? 0 : index + 1;
    for (let i = first; i <= LAST; i++)
      vm.markPageDirty(gpa(vm.kernel.memory.read64(hpa(this.buffer + BigInt(i * 8)))));
    if (index !== LAST) vmcs.write('GUEST_PML_INDEX', BigInt(LAST));
    return PML_ENTRIES - first;
  }

  save(): { readonly buffer: Hpa | undefined; readonly on: boolean } {
    return { buffer: this.buffer, on: this.on };
  }
  restore(s: ReturnType<PageModificationLog['save']>): void {
    this.buffer = s.buffer;
    this.on = s.on;
  }
}
