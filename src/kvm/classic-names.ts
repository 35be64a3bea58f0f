import type { Step } from '../trace/step';

/**
 * Function names in Linux 2.6.20 (drivers/kvm: mmu.c, paging_tmpl.h, vmx.c, kvm_main.c, x86_emulate.c), by their
 * current names, so classic shadow paging can be read alongside that source. A name that is missing here was the
 * same, or its function came later and keeps its later name.
 */
const NAMES: Readonly<Record<string, string | ((what: string) => string)>> = {
  // vmx.c
  vmx_handle_exit: 'kvm_handle_exit',
  handle_exception_nmi: 'handle_exception',
  kvm_emulate_halt: 'handle_halt',
  kvm_emulate_cpuid: 'handle_cpuid',
  kvm_emulate_rdmsr: 'handle_rdmsr',
  kvm_emulate_wrmsr: 'handle_wrmsr',
  kvm_fast_pio: 'handle_io',
  emulator_pio_in_out: 'handle_io',
  vmx_flush_tlb_current: 'vmx_flush_tlb',
  vmx_flush_tlb_guest: 'vmx_flush_tlb',
  vmx_flush_tlb_gva: 'vmx_flush_tlb',
  kvm_flush_remote_tlbs: 'vmx_flush_tlb',
  vmx_load_mmu_pgd: 'vmx_set_cr3',
  vmx_vcpu_enter_exit: 'vmx_vcpu_run',
  kvm_vcpu_exit_request: 'vmx_vcpu_run',
  vmx_complete_interrupts: 'do_interrupt_requests',
  vmx_enable_irq_window: 'do_interrupt_requests',
  vmx_inject_irq: 'kvm_do_inject_irq',
  vmx_inject_exception: (what) =>
    what.startsWith('injects #PF') || what.startsWith('injects #DF') ? 'vmx_inject_page_fault' : 'vmx_inject_gp',
  kvm_complete_insn_gp: 'vmx_inject_gp',
  // mmu.c and paging_tmpl.h
  kvm_handle_page_fault: 'kvm_mmu_page_fault',
  kvm_inject_page_fault: 'inject_page_fault',
  kvm_mmu_alloc_shadow_page: 'kvm_mmu_alloc_page',
  kvm_mmu_find_shadow_page: 'kvm_mmu_get_page',
  kvm_mmu_track_write: 'kvm_mmu_pre_write',
  mmu_alloc_shadow_roots: 'mmu_alloc_roots',
  mmu_alloc_direct_roots: 'mmu_alloc_roots',
  mark_mmio_spte: 'set_pte_common',
  hva_to_pfn_slow: 'gfn_to_page',
  // kvm_main.c and x86_emulate.c
  kvm_set_memory_region: 'kvm_dev_ioctl_set_memory_region',
  x86_decode_emulated_instruction: 'emulate_instruction',
  writeback_registers: 'x86_emulate_memop',
  inject_emulated_exception: 'emulate_instruction',
  handle_emulation_failure: 'report_emulation_failure',
  emulator_read_write_onepage: (what) =>
    what.startsWith('the write') ? 'emulator_write_emulated' : 'emulator_read_emulated',
  emulate_int: 'inject_rmode_irq',
  complete_emulated_mmio: 'kvm_dev_ioctl_run',
  complete_fast_pio_in: 'kvm_dev_ioctl_run',
  complete_fast_pio_out: 'kvm_dev_ioctl_run',
};

/** A step as classic shadow paging reports it. */
export function classicStep(step: Step): Step {
  const name = step.actor === 'kvm' ? NAMES[step.fn] : undefined;
  return name === undefined ? step : { ...step, fn: typeof name === 'string' ? name : name(step.what) };
}
/** Current names that do not exist in 2.6.20. */
export const RENAMED_SINCE: ReadonlySet<string> = new Set(Object.keys(NAMES));
