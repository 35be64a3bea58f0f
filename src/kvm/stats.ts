/**
 * Counters of one VCPU, by their names in KVM's debugfs (arch/x86/include/asm/kvm_host.h, struct kvm_vcpu_stat).
 * Those that this model cannot count are omitted.
 */
export const VCPU_STATS = [
  'pf_taken', // EPT violations and misconfigurations passed to the MMU
  'pf_fixed', // … that ended in a new or changed EPT entry
  'pf_emulate', // … that ended in the instruction emulator
  'pf_spurious', // … whose entry was already as wanted
  'pf_mmio_spte_created',
  'pf_guest', // page faults that KVM's emulator injected into the guest
  'tlb_flush',
  'exits',
  'io_exits',
  'mmio_exits',
  'irq_exits', // host interrupts that arrived in the guest: here, kicks
  'irq_window_exits',
  'nmi_window_exits',
  'halt_exits',
  'request_irq_exits',
  'irq_injections',
  'nmi_injections',
  'insn_emulation',
  'insn_emulation_fail',
  'hypercalls',
] as const;
/** Counters specific to shadow paging: INVLPG exits, and #PF exits by cause (mmu/shadow/fault.ts). */
export const SHADOW_VCPU_STATS = [
  'invlpg',
  'fault_guest',
  'fault_mmio',
  'fault_tracing',
  'fault_dirty',
  'fault_hidden',
] as const;
export type VcpuStat = (typeof VCPU_STATS)[number] | (typeof SHADOW_VCPU_STATS)[number];

/** Counters of one VM (struct kvm_vm_stat): gauges of what is mapped, and flush requests to all VCPUs. */
export const VM_STATS = ['remote_tlb_flush', 'pages_4k', 'pages_2m', 'pages_1g'] as const;
/** … and of the shadow pages themselves. */
export const SHADOW_VM_STATS = [
  'mmu_shadow_zapped',
  'mmu_pte_write',
  'mmu_flooded',
  'mmu_recycled',
  'mmu_unsync',
] as const;
export type VmStat = (typeof VM_STATS)[number] | (typeof SHADOW_VM_STATS)[number];

export type StatValues<N extends string> = { readonly [name in N]: number };

/** A set of named counters. */
export class Stats<N extends string> {
  private readonly values: Record<N, number>;

  constructor(private readonly names: readonly N[]) {
    this.values = this.zero();
  }
  add(name: N, n = 1): void {
    this.values[name] += n;
  }
  get(name: N): number {
    return this.values[name];
  }
  all(): StatValues<N> {
    return { ...this.values };
  }
  save(): StatValues<N> {
    return this.all();
  }
  restore(saved: StatValues<N>): void {
    Object.assign(this.values, saved);
  }
  private zero(): Record<N, number> {
    return Object.fromEntries(this.names.map((n) => [n, 0])) as Record<N, number>;
  }
}
