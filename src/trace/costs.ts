/**
 * The cost model: cycles charged to each kind of work. They are model parameters, labelled as such wherever they are
 * shown: orders of magnitude, not predictions. This is the only cost table: hypervisor, host kernel and VMM all
 * charge from it.
 */
export interface Cost {
  readonly cycles: number;
  /** The source of the figure. */
  readonly source: string;
}

export const COSTS = {
  instruction: { cycles: 1, source: 'model: one retired instruction, no pipeline' },
  tableReference: {
    cycles: 4,
    source:
      'model: a paging-structure entry that hits the L1 data cache; Intel optimization manual, L1 load-to-use 4-5 cycles',
  },
  vmExit: {
    cycles: 700,
    source:
      'model: half of a null exit round trip; published null-exit figures of 1000-1500 cycles since Haswell (e.g. kvm-unit-tests vmexit, cpuid)',
  },
  vmEntry: { cycles: 700, source: 'model: the other half of the null exit round trip' },
  vmread: {
    cycles: 20,
    source: 'model: VMREAD/VMWRITE hit the on-chip VMCS cache; tens of cycles in published instruction tables',
  },
  kvmDispatch: { cycles: 150, source: 'model: vmx_handle_exit and the vcpu_run loop around one handler' },
  kvmHandler: { cycles: 100, source: 'model: one short function of KVM, a few dozen instructions' },
  memslotLookup: { cycles: 40, source: 'model: binary tree search over few slots, last-used cache' },
  gup: { cycles: 120, source: 'model: get_user_pages_fast without its table references' },
  hostFault: { cycles: 600, source: 'model: handle_mm_fault entry, VMA look-up, accounting' },
  zeroPage4k: { cycles: 500, source: 'model: clear_page of 4 KiB at about 8 bytes a cycle' },
  zeroPage2m: { cycles: 250_000, source: 'model: clear_huge_page, 512 times 4 KiB' },
  zeroPage1g: { cycles: 128_000_000, source: 'model: clear_huge_page, 262144 times 4 KiB' },
  copyPage: { cycles: 1000, source: 'model: copy_page of 4 KiB at about 4 bytes a cycle' },
  swapOut: {
    cycles: 60_000,
    source: 'model: a 4 KiB write to a solid-state disk, 20 microseconds at 3 GHz, as the waiting caller sees it',
  },
  swapIn: {
    cycles: 240_000,
    source:
      'model: a 4 KiB read from a solid-state disk, 80 microseconds at 3 GHz; published NVMe read latencies of 70-100',
  },
  pageReclaim: {
    cycles: 400,
    source: 'model: rmap walk and bookkeeping of one page in try_to_unmap or try_to_migrate',
  },
  ipi: { cycles: 1500, source: 'model: an inter-processor interrupt; 1000-2000 cycles in published measurements' },
  eptTable: { cycles: 600, source: 'model: allocating and clearing a table page' },
  eptEntry: { cycles: 30, source: 'model: one compare-and-exchange of a table entry' },
  invept: { cycles: 300, source: 'model: INVEPT of one EPTP; hundreds of cycles in published instruction tables' },
  emulateInstruction: {
    cycles: 1200,
    source: 'model: KVM fetching, decoding and executing one instruction in software',
  },
  userspaceSwitch: {
    cycles: 1500,
    source: 'model: return from ioctl(KVM_RUN) and the next call, with register and FPU state kept',
  },
  deviceModel: { cycles: 1000, source: 'model: a VMM finding the device and running its handler' },
  hostException: {
    cycles: 400,
    source: 'model: exception entry and exit of the host kernel around a page fault of a process; hundreds of cycles',
  },
  hostTlbFlush: { cycles: 200, source: 'model: INVLPG of a few pages on one CPU, about 100-200 cycles each' },
  translatedInstruction: {
    cycles: 8,
    source:
      'model: host instructions per guest instruction of a dynamic translator at about one a cycle; published slowdowns of QEMU TCG against native are 5-20 times',
  },
  translateBlock: {
    cycles: 2000,
    source: 'model: tb_gen_code of QEMU without its instructions: look-ups, locks, prologue and epilogue of a block',
  },
  translateInstruction: {
    cycles: 3500,
    source:
      'model: one guest instruction through decoder, TCG ops, optimizer, register allocator and code emission. Measured once: 400,000 blocks of seven x86-64 instructions that run once take QEMU 7.2 (TCG on x86-64, 2.4 GHz) 12.5 microseconds of processor time each, 30,000 cycles',
  },
  softTlbLookup: {
    cycles: 5,
    source:
      'model: the inline fast path of a software TLB, five to six host instructions (accel/tcg, tlb_flush and tlb_load of QEMU)',
  },
  softTlbFill: {
    cycles: 150,
    source: 'model: tlb_fill and tlb_set_page without the entries they load, some hundred host instructions',
  },
  softTlbFlush: { cycles: 1000, source: 'model: clearing a software TLB of a thousand entries' },
  syscall: { cycles: 150, source: 'model: SYSCALL/SYSRET round trip without mitigations' },
} as const satisfies Readonly<Record<string, Cost>>;

export type CostName = keyof typeof COSTS;

/** Cycles for `n` units of the named work. */
export const cost = (name: CostName, n = 1): number => COSTS[name].cycles * n;
