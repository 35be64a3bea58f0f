import { bit } from '../../base/bits';
import { CR0, EFER } from '../../isa/flags';
import { RIGHTS, SEG, SLOT } from '../../hw/state/layout';
import type { Vcpu } from '../vcpu';
import type { VmxRegisters } from './registers';
import type { VmcsPort } from './vmcs-port';
import {
  CR0_ALWAYS_OFF,
  CR0_ALWAYS_ON,
  CR0_ALWAYS_ON_SHADOW,
  CR4_ALWAYS_ON,
  CR4_ALWAYS_ON_SHADOW,
  CR4_PAGING_ONLY,
} from './setup';

const on = (n: number): bigint => 1n << BigInt(n);
const BUSY_64_TSS = 0xb;

/** A VCPU with its VMCS. */
interface OnVmx {
  readonly v: Vcpu;
  readonly vmcs: VmcsPort;
  readonly regs: VmxRegisters;
}

/**
 * The hardware's CR0 has NE set and NW and CD clear whatever the guest sets; the read shadow gives the guest its own
 * value.
 */
export function vmxSetCr0(x: OnVmx, cr0: bigint): void {
  const { vmcs, regs } = x;
  const { shadow } = x.v.vm;
  const long = bit(regs.efer, EFER.LME);
  const paging = bit(cr0, CR0.PG);
  if (long && paging && !bit(regs.efer, EFER.LMA)) enterLongMode(x);
  if (!paging && bit(regs.efer, EFER.LMA)) vmxSetEfer(x, regs.efer & ~on(EFER.LMA));
  vmcs.write('CR0_READ_SHADOW', cr0);
  vmcs.write('GUEST_CR0', (cr0 & ~CR0_ALWAYS_OFF) | (shadow ? CR0_ALWAYS_ON_SHADOW : CR0_ALWAYS_ON));
  if (shadow) vmxSetCr4(x, regs.cr4);
}

export function vmxSetCr4(x: OnVmx, cr4: bigint): void {
  x.vmcs.write('CR4_READ_SHADOW', cr4);
  const paging = bit(x.regs.cr0, CR0.PG);
  x.vmcs.write(
    'GUEST_CR4',
    x.v.vm.shadow ? (paging ? cr4 : cr4 & ~CR4_PAGING_ONLY) | CR4_ALWAYS_ON_SHADOW : cr4 | CR4_ALWAYS_ON,
  );
}

export function vmxSetEfer(x: OnVmx, efer: bigint): void {
  x.regs.saved.set(SLOT.EFER, efer);
  x.vmcs.write('GUEST_IA32_EFER', x.v.vm.shadow ? shadowEfer(efer) : efer);
  x.regs.setLongModeControl(bit(efer, EFER.LMA));
}

/**
 * Shadow entries need NX for SMEP and CR0.WP = 0; and since paging is always on, hardware has LME only together with
 * LMA.
 */
const shadowEfer = (efer: bigint): bigint => (bit(efer, EFER.LMA) ? efer : efer & ~on(EFER.LME)) | on(EFER.NXE);

/** enter_lmode: VM entry requires a busy 64-bit TSS, which a guest that never loaded TR does not have. */
function enterLongMode(x: OnVmx): void {
  const tr = x.regs.segment(SEG.TR);
  if ((tr.rights & RIGHTS.TYPE_MASK) !== BUSY_64_TSS)
    x.regs.setSegment(SEG.TR, { ...tr, rights: (tr.rights & ~RIGHTS.TYPE_MASK) | BUSY_64_TSS });
  vmxSetEfer(x, x.regs.efer | on(EFER.LMA));
}
