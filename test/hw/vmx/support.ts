import { hpa, type Hpa } from '../../../src/base/address';
import { CR0, CR4, EFER } from '../../../src/isa/flags';
import { ENTRY_CTL, EXIT_CTL, PROC, SECONDARY } from '../../../src/isa/vmcs-controls';
import type { VmcsFieldName } from '../../../src/isa/vmcs-fields';
import { FIELD } from '../../../src/isa/vmcs-fields';
import { HostMemory } from '../../../src/hw/memory/host-memory';
import { CpuState } from '../../../src/hw/state/cpu-state';
import { SLOT } from '../../../src/hw/state/layout';
import type { VmxProcessor } from '../../../src/hw/vmx/capabilities';
import { vmxCapabilities } from '../../../src/hw/vmx/capabilities';
import type { Vmcs } from '../../../src/hw/vmx/vmcs';
import { Vmx } from '../../../src/hw/vmx/vmx';

export const BASE = 0x1_0000_0000n;
export const VMXON_REGION = hpa(BASE);
export const VMCS_A = hpa(BASE + 0x1000n);
export const VMCS_B = hpa(BASE + 0x2000n);
export const IO_A = hpa(BASE + 0x3000n);
export const IO_B = hpa(BASE + 0x4000n);
export const MSR_MAP = hpa(BASE + 0x5000n);
export const EPT_ROOT = hpa(BASE + 0x6000n);
export const AREA = hpa(BASE + 0x7000n);
export const PDPT = hpa(BASE + 0x8000n);

const mask = (...bits: number[]): bigint => bits.reduce((m, n) => m | (1n << BigInt(n)), 0n);

const PROCESSOR: VmxProcessor = {
  physicalBits: 46,
  linearBits: 48,
  cr4: mask(...Object.values(CR4).filter((n) => n !== CR4.LA57 && n !== CR4.SMXE)),
  efer: mask(EFER.SCE, EFER.LME, EFER.LMA, EFER.NXE),
};
export const CAPABILITIES = vmxCapabilities(PROCESSOR);

export const HOST_CR0 = mask(CR0.PE, CR0.NE, CR0.ET, CR0.PG);
export const HOST_CR4 = mask(CR4.PAE, CR4.VMXE);
export const LONG_EFER = mask(EFER.LME, EFER.LMA);

/** A state that any VMX machine of these tests may be in: MSRs by number, and what was asked of the translation caches. */
export interface Machine {
  readonly memory: HostMemory;
  readonly state: CpuState;
  readonly vmx: Vmx;
  readonly msrs: Map<number, bigint>;
  readonly invalidations: string[];
  readonly vmcs: Vmcs;
}

/** A CPU in VMX root operation and long mode, with VMCS A current and filled by `set64BitGuest`. */
export function machine(): Machine {
  const memory = new HostMemory(BASE, 0x10000);
  const state = new CpuState(memory, 0);
  const msrs = new Map<number, bigint>();
  const invalidations: string[] = [];
  const vmx = new Vmx(state, memory, CAPABILITIES, {
    msr: {
      read: (i) => msrs.get(i),
      write: (i, v) => msrs.has(i) && (msrs.set(i, v), true),
    },
    caches: {
      invept: (type, eptp) => void invalidations.push(`invept ${type} ${eptp.toString(16)}`),
      invvpid: (type, vpid, linear) => void invalidations.push(`invvpid ${type} ${vpid} ${linear.toString(16)}`),
    },
  });
  for (const region of [VMXON_REGION, VMCS_A, VMCS_B]) memory.write32(region, CAPABILITIES.revision);
  state.set(SLOT.CR0, HOST_CR0);
  state.set(SLOT.CR4, HOST_CR4);
  state.set(SLOT.EFER, LONG_EFER);
  state.rflags = 2n;
  succeed(vmx.vmxon(VMXON_REGION));
  succeed(vmx.vmclear(VMCS_A));
  succeed(vmx.vmptrld(VMCS_A));
  const vmcs = vmx.current as Vmcs;
  set64BitGuest(vmcs);
  return { memory, state, vmx, msrs, invalidations, vmcs };
}

export function succeed(status: { readonly kind: string }): void {
  if (status.kind !== 'succeed') throw new Error(JSON.stringify(status));
}

/** Every field a VM entry needs, so that `unmetChecks` finds nothing: a 64-bit guest at CPL 0 under EPT. */
export function set64BitGuest(vmcs: Vmcs): void {
  for (const [name, value] of Object.entries(GUEST_64)) vmcs.write(FIELD[name as VmcsFieldName], value);
}

const SELECTORS = { ES: 0x10n, CS: 0x8n, SS: 0x10n, DS: 0x10n, FS: 0x10n, GS: 0x10n } as const;
const guestSegments = Object.fromEntries(
  Object.entries(SELECTORS).flatMap(([r, selector]) => [
    [`GUEST_${r}_SELECTOR`, selector],
    [`GUEST_${r}_BASE`, 0n],
    [`GUEST_${r}_LIMIT`, 0xffff_ffffn],
    [`GUEST_${r}_AR_BYTES`, r === 'CS' ? 0xa09bn : 0xc093n],
    [`HOST_${r}_SELECTOR`, selector],
  ]),
);

const GUEST_64: Readonly<Partial<Record<VmcsFieldName, bigint>>> = {
  ...guestSegments,
  PIN_BASED_VM_EXEC_CONTROL: 0x16n,
  CPU_BASED_VM_EXEC_CONTROL: BigInt((0x0400_6172 | PROC.ACTIVATE_SECONDARY_CONTROLS | PROC.HLT_EXITING) >>> 0),
  SECONDARY_VM_EXEC_CONTROL: BigInt(SECONDARY.ENABLE_EPT | SECONDARY.UNRESTRICTED_GUEST),
  VM_EXIT_CONTROLS: BigInt(
    0x0003_6dff | EXIT_CTL.HOST_ADDR_SPACE_SIZE | EXIT_CTL.SAVE_IA32_EFER | EXIT_CTL.LOAD_IA32_EFER,
  ),
  VM_ENTRY_CONTROLS: BigInt(0x0000_11ff | ENTRY_CTL.IA32E_MODE | ENTRY_CTL.LOAD_IA32_EFER),
  EPT_POINTER: EPT_ROOT | 0x1en,
  VMCS_LINK_POINTER: 0xffff_ffff_ffff_ffffn,
  GUEST_CR0: HOST_CR0,
  GUEST_CR3: 0x4000n,
  GUEST_CR4: HOST_CR4,
  GUEST_IA32_EFER: LONG_EFER,
  GUEST_DR7: 0x400n,
  GUEST_TR_SELECTOR: 0x18n,
  GUEST_TR_LIMIT: 0x67n,
  GUEST_TR_AR_BYTES: 0x8bn,
  GUEST_LDTR_AR_BYTES: 0x1_0000n,
  GUEST_GDTR_LIMIT: 0x1fn,
  GUEST_IDTR_LIMIT: 0xfffn,
  GUEST_RIP: 0x1000n,
  GUEST_RSP: 0x8000n,
  GUEST_RFLAGS: 2n,
  HOST_TR_SELECTOR: 0x18n,
  HOST_CR0,
  HOST_CR3: 0x9000n,
  HOST_CR4,
  HOST_IA32_EFER: LONG_EFER,
  HOST_RIP: 0xffff_8000_0000_1234n,
  HOST_RSP: 0xffff_8000_0000_8000n,
};

/** A real-mode guest at F000:FFF0, as `unrestricted guest` admits. */
export function setRealModeGuest(vmcs: Vmcs): void {
  const entry = vmcs.read32(FIELD.VM_ENTRY_CONTROLS);
  vmcs.write32(FIELD.VM_ENTRY_CONTROLS, entry & ~ENTRY_CTL.IA32E_MODE);
  vmcs.set('GUEST_IA32_EFER', 0n);
  vmcs.set('GUEST_CR0', mask(CR0.ET, CR0.NE));
  vmcs.set('GUEST_CR4', mask(CR4.VMXE));
  for (const r of ['ES', 'CS', 'SS', 'DS', 'FS', 'GS'] as const) {
    vmcs.set(`GUEST_${r}_SELECTOR`, r === 'CS' ? 0xf000n : 0n);
    vmcs.set(`GUEST_${r}_BASE`, r === 'CS' ? 0xffff_0000n : 0n);
    vmcs.set(`GUEST_${r}_LIMIT`, 0xffffn);
    vmcs.set(`GUEST_${r}_AR_BYTES`, r === 'CS' ? 0x9bn : 0x93n);
  }
  vmcs.set('GUEST_RIP', 0xfff0n);
}

export const frame = (n: bigint): Hpa => hpa(BASE + n * 0x1000n);
