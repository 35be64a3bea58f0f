import { invariant } from '../../../base/assert';
import { bit, isCanonical } from '../../../base/bits';
import { VECTOR } from '../../../isa/exceptions';
import { because, type FaultReason } from '../../../isa/reasons/index';
import { CR0, CR4, EFER } from '../../../isa/flags';
import { MSR } from '../../../isa/msrs';
import { VMX_EXIT } from '../../../isa/exits';
import { SEG, SLOT } from '../../state/layout';
import { vmxCapabilities, type VmxCapabilities } from '../../vmx/capabilities';
import { SVM_ASIDS, type CpuFeature, type CpuidModel } from '../cpuid-model';
import type { SvmCapabilities } from '../../svm/checks';
import { SYS_EVENT, SYS_NEXT, type Core } from '../core';
import { isValidPat } from './memory-types';
import { AMD_PLAIN_MSRS, PLAIN_MSRS } from './model-msrs';
import { cr0Bit, cr4Bit, isLong64 } from './modes';
import type { PlainMsr } from './plain-msr';
import { GPR, operand, putGpr } from './operand';
import { requireCpl0 } from './raise';
import { isReadOnly, msrRefusal, withoutReserved } from './msr-refusal';
import type { SystemFunction } from './table';

/** One MSR. `read` undefined and `write` anything but true mean #GP(0); false where no more is to say than that the value is refused. */
export interface MsrHandler {
  /** The CPUID feature it belongs to: without it the MSR does not exist. */
  readonly feature?: CpuFeature;
  read(core: Core): bigint | undefined;
  write(core: Core, value: bigint): boolean | FaultReason;
}

const UPPER_HALF = 0xffff_ffff_0000_0000n;
const canonical = (core: Core, v: bigint): boolean => isCanonical(v, core.model.linearBits);
const any = (): boolean => true;
/** AMD has SYSENTER in legacy mode only: the upper half means nothing there, and is not checked. */
const sysenterAddress = (core: Core, v: bigint): boolean => core.model.vendor === 'amd' || canonical(core, v);

/** A register kept in a slot as it is, written if `valid`. */
const stored = (
  slot: number,
  valid: (core: Core, value: bigint) => boolean | FaultReason,
  feature?: CpuFeature,
): MsrHandler => ({
  ...(feature === undefined ? {} : { feature }),
  read: (core) => core.state.get(slot),
  write(core, value) {
    const allowed = valid(core, value);
    if (allowed !== true) return allowed;
    core.state.set(slot, value);
    return true;
  },
});
/** A constant: writes are #GP. */
const readOnlyMsr = (value: (core: Core) => bigint | undefined, feature?: CpuFeature): MsrHandler => ({
  ...(feature === undefined ? {} : { feature }),
  read: value,
  write: () => false,
});

/**
 * EFER (SDM vol. 3, 2.2.1): SCE 0, LME 8, LMA 10 (read-only, follows CR0.PG), NXE 11. Reserved bits, and LME changing while paging is on, are #GP.
 */
function writeEfer(core: Core, value: bigint): true | FaultReason {
  const s = core.state;
  const old = s.get(SLOT.EFER);
  const lma = 1n << BigInt(EFER.LMA);
  const reserved = ~core.model.eferMask;
  if ((value & reserved) !== 0n) return because('efer-reserved', value, reserved);
  if (bit(value ^ old, EFER.LME) && cr0Bit(s, CR0.PG)) return because('efer-lme');
  s.set(SLOT.EFER, (value & ~lma) | (old & lma));
  core.port.controlsChanged(core);
  return true;
}

/** FEATURE_CONTROL (SDM vol. 4): lock 0, VMXON in SMX 1, VMXON outside SMX 2. Locked until reset once bit 0 is set. */
function writeFeatureControl(core: Core, value: bigint): boolean | FaultReason {
  if (bit(core.state.get(SLOT.FEATURE_CONTROL), 0)) return because('feature-control-locked');
  const allowed = withoutReserved(MSR.FEATURE_CONTROL, value, ~5n);
  if (allowed !== true) return allowed;
  core.state.set(SLOT.FEATURE_CONTROL, value);
  return true;
}

const segmentBase = (segment: number): MsrHandler => stored(SLOT.SEG_BASE + segment, canonical, 'LM');

/** Guest time as the instruction being executed sees it: the instructions retired before it. */
const guestTime = (core: Core): bigint => core.state.get(SLOT.RETIRED) + BigInt(core.completed);
/** Time-stamp counter: guest time plus the offset that writes (and VMX) set. */
const readTsc = (core: Core): bigint => BigInt.asUintN(64, guestTime(core) + core.state.get(SLOT.TSC_OFFSET));

const capabilities = new WeakMap<CpuidModel, VmxCapabilities>();
/** What VMX offers on a processor of this model: the source of the capability MSRs and of VM entry's checks. */
export function vmxCapabilitiesOf(model: CpuidModel): VmxCapabilities {
  let c = capabilities.get(model);
  if (c === undefined) {
    c = vmxCapabilities({
      physicalBits: model.physicalBits,
      linearBits: model.linearBits,
      pages1g: model.pages1g,
      cr4: model.cr4Mask,
      efer: model.eferMask,
    });
    capabilities.set(model, c);
  }
  return c;
}
/** What VMRUN's checks allow on a processor of this model. */
export const svmCapabilitiesOf = (model: CpuidModel): SvmCapabilities => ({
  physicalBits: model.physicalBits,
  cr4: model.cr4Mask,
  efer: model.eferMask,
  asids: SVM_ASIDS,
});
/** VMX_BASIC to VMX_TRUE_ENTRY_CTLS. */
const VMX_CAPABILITY_MSRS: readonly number[] = Array.from(
  { length: MSR.VMX_TRUE_ENTRY_CTLS - MSR.VMX_BASIC + 1 },
  (_, i) => MSR.VMX_BASIC + i,
);

/** MSRs by index. Whoever models a device with MSRs (a local APIC, KVM's paravirtual ones) registers here. */
const MSR_HANDLERS = new Map<number, MsrHandler>([
  [
    MSR.TSC,
    {
      feature: 'TSC',
      read: readTsc,
      write(core, value) {
        core.state.set(SLOT.TSC_OFFSET, BigInt.asUintN(64, value - guestTime(core)));
        return true;
      },
    },
  ],
  [
    MSR.APIC_BASE,
    stored(SLOT.APIC_BASE, (core, v) => withoutReserved(MSR.APIC_BASE, v, 0x2ffn, core.model.physicalBits), 'APIC'),
  ],
  [
    MSR.FEATURE_CONTROL,
    { feature: 'VMX', read: (core) => core.state.get(SLOT.FEATURE_CONTROL), write: writeFeatureControl },
  ],
  // the microcode revision: writing zero and reading it back is how software asks
  [MSR.BIOS_SIGN_ID, { read: () => 0n, write: any }],
  [MSR.SYSENTER_CS, stored(SLOT.SYSENTER_CS, any, 'SEP')],
  [MSR.SYSENTER_ESP, stored(SLOT.SYSENTER_ESP, sysenterAddress, 'SEP')],
  [MSR.SYSENTER_EIP, stored(SLOT.SYSENTER_EIP, sysenterAddress, 'SEP')],
  [MSR.MISC_ENABLE, stored(SLOT.MISC_ENABLE, any)],
  [MSR.PAT, stored(SLOT.PAT, (_, v) => isValidPat(v), 'PAT')],
  [MSR.EFER, { feature: 'LM', read: (core) => core.state.get(SLOT.EFER), write: writeEfer }],
  [MSR.STAR, stored(SLOT.STAR, any, 'SYSCALL')],
  [MSR.LSTAR, stored(SLOT.LSTAR, canonical, 'SYSCALL')],
  [MSR.CSTAR, stored(SLOT.CSTAR, canonical, 'SYSCALL')],
  [MSR.SFMASK, stored(SLOT.SFMASK, (_, v) => withoutReserved(MSR.SFMASK, v, UPPER_HALF), 'SYSCALL')],
  [MSR.FS_BASE, segmentBase(SEG.FS)],
  [MSR.GS_BASE, segmentBase(SEG.GS)],
  [MSR.KERNEL_GS_BASE, stored(SLOT.KERNEL_GS_BASE, canonical, 'LM')],
  [
    MSR.TSC_AUX,
    {
      feature: 'RDTSCP',
      read: (core) => core.state.get(SLOT.TSC_AUX),
      // the upper half is reserved on Intel's processors, and dropped by AMD's
      write(core, value) {
        const allowed = core.model.vendor === 'amd' || withoutReserved(MSR.TSC_AUX, value, UPPER_HALF);
        if (allowed !== true) return allowed;
        core.state.set(SLOT.TSC_AUX, value & 0xffff_ffffn);
        return true;
      },
    },
  ],
  // the lock bit (3) and SVMDIS (4) stay clear: writing them is refused, so that no guest takes SVM from itself for good
  [MSR.VM_CR, stored(SLOT.VM_CR, (_, v) => withoutReserved(MSR.VM_CR, v, ~7n), 'SVM')],
  [
    MSR.VM_HSAVE_PA,
    stored(SLOT.VM_HSAVE_PA, (core, v) => withoutReserved(MSR.VM_HSAVE_PA, v, 0xfffn, core.model.physicalBits), 'SVM'),
  ],
  ...VMX_CAPABILITY_MSRS.map((index): [number, MsrHandler] => [
    index,
    readOnlyMsr((core) => vmxCapabilitiesOf(core.model).msr(index), 'VMX'),
  ]),
]);

const offered = <T extends { readonly feature?: CpuFeature }>(core: Core, msr: T | undefined): T | undefined =>
  msr?.feature !== undefined && !core.model.has(msr.feature) ? undefined : msr;
function plain({ model }: Core, index: number): PlainMsr | undefined {
  return PLAIN_MSRS.get(index) ?? (model.vendor === 'amd' ? AMD_PLAIN_MSRS.get(index) : undefined);
}
/** The value of an MSR that the processor has and that can be read. */
export function readKnownMsr(core: Core, index: number): bigint | undefined {
  const msr = index >>> 0;
  if (core.apic?.owns(msr) === true) return core.apic.readMsr(msr);
  const handler = offered(core, MSR_HANDLERS.get(msr));
  return handler ? handler.read(core) : offered(core, plain(core, msr))?.read(core.state);
}
/** The MSR's value, or undefined where RDMSR would raise #GP(0). */
export function readMsr(core: Core, index: number): bigint | undefined {
  const known = readKnownMsr(core, index);
  return known === undefined && core.model.ignoresUnknownMsrs && core.apic?.owns(index >>> 0) !== true ? 0n : known;
}
/** Writes an MSR as WRMSR does; anything but true where that would raise #GP(0). */
export function writeMsr(core: Core, index: number, value: bigint): boolean | FaultReason {
  const msr = index >>> 0;
  if (core.apic?.owns(msr) === true) return core.apic.writeMsr(msr, value);
  const handler = offered(core, MSR_HANDLERS.get(msr));
  const register = handler ? undefined : offered(core, plain(core, msr));
  if (core.model.ignoresUnknownMsrs && ((!handler && !register) || isReadOnly(msr))) return true;
  return handler ? handler.write(core, value) : (register?.write(core.state, value, core.model) ?? false);
}

const pair = (core: Core): bigint => (BigInt(core.state.get32(GPR.RDX)) << 32n) | BigInt(core.state.get32(GPR.RAX));
/** EDX:EAX ← a 64-bit value, upper halves cleared. */
export function putPair(core: Core, value: bigint): void {
  core.state.set(GPR.RAX, value & 0xffff_ffffn);
  core.state.set(GPR.RDX, value >> 32n);
}

export const rdmsr: SystemFunction = (core) => {
  if (!requireCpl0(core)) return SYS_EVENT;
  const index = core.state.get32(GPR.RCX);
  const exit = core.intercepts?.msr(core, index, false);
  if (exit) return core.exit(exit);
  const value = readMsr(core, index);
  if (value === undefined) return core.raise(VECTOR.GP, because('msr-unknown', index), 0);
  putPair(core, value);
  return SYS_NEXT;
};

export const wrmsr: SystemFunction = (core) => {
  if (!requireCpl0(core)) return SYS_EVENT;
  const index = core.state.get32(GPR.RCX);
  const exit = core.intercepts?.msr(core, index, true);
  if (exit) return core.exit(exit);
  const value = pair(core);
  const written = writeMsr(core, index, value);
  if (written === true) return SYS_NEXT;
  return core.raise(VECTOR.GP, written || msrRefusal(index, value, readMsr(core, index) !== undefined), 0);
};

/** RDTSC and RDTSCP: with CR4.TSD only CPL 0 may (#GP(0)). */
const timestamp =
  (reason: number, aux: boolean): SystemFunction =>
  (core) => {
    if (aux && !core.model.has('RDTSCP')) return core.raise(VECTOR.UD, because('feature-absent', 'RDTSCP'));
    if (aux && core.intercepts?.isUndefined(reason))
      return core.raise(VECTOR.UD, because('control-off', 'enable RDTSCP'));
    const { cpl } = core.state;
    if (cr4Bit(core.state, CR4.TSD) && cpl !== 0) return core.raise(VECTOR.GP, because('tsd', cpl), 0);
    const exit = core.intercepts?.instruction(core, reason, 0n);
    if (exit) return core.exit(exit);
    putPair(core, readTsc(core));
    if (aux) core.state.set(GPR.RCX, core.state.get(SLOT.TSC_AUX) & 0xffff_ffffn);
    return SYS_NEXT;
  };
export const rdtsc = timestamp(VMX_EXIT.RDTSC, false);
export const rdtscp = timestamp(VMX_EXIT.RDTSCP, true);

/** There are no performance counters: every index is #GP(0), as for one the processor does not support. */
export const rdpmc: SystemFunction = (core) => {
  const { cpl } = core.state;
  if (cpl !== 0 && !cr4Bit(core.state, CR4.PCE)) return core.raise(VECTOR.GP, because('pce', cpl), 0);
  const exit = core.intercepts?.instruction(core, VMX_EXIT.RDPMC, 0n);
  return exit ? core.exit(exit) : core.raise(VECTOR.GP, because('no-counter', core.state.get32(GPR.RCX)), 0);
};

/** RDFSBASE RDGSBASE WRFSBASE WRGSBASE: 64-bit mode with CR4.FSGSBASE only; a base written must be canonical. */
const segmentBaseInsn =
  (segment: number, write: boolean): SystemFunction =>
  (core) => {
    const s = core.state;
    if (!isLong64(s)) return core.raise(VECTOR.UD, because('mode-not-64-bit'));
    if (!cr4Bit(s, CR4.FSGSBASE)) return core.raise(VECTOR.UD, because('not-enabled', 'CR4.FSGSBASE'));
    const o = operand(core, 0);
    invariant(o.kind === 'gpr', 'a register operand');
    if (!write) {
      putGpr(s, o.index, o.width, s.segmentBase(segment));
      return SYS_NEXT;
    }
    const value = BigInt.asUintN(o.width, s.get(o.index));
    if (!canonical(core, value)) return core.raise(VECTOR.GP, because('segment-base', value), 0);
    s.set(SLOT.SEG_BASE + segment, value);
    return SYS_NEXT;
  };
export const rdfsbase = segmentBaseInsn(SEG.FS, false);
export const rdgsbase = segmentBaseInsn(SEG.GS, false);
export const wrfsbase = segmentBaseInsn(SEG.FS, true);
export const wrgsbase = segmentBaseInsn(SEG.GS, true);

export const swapgs: SystemFunction = (core) => {
  const s = core.state;
  if (!isLong64(s)) return core.raise(VECTOR.UD, because('mode-not-64-bit'));
  if (!requireCpl0(core)) return SYS_EVENT;
  const base = s.segmentBase(SEG.GS);
  s.set(SLOT.SEG_BASE + SEG.GS, s.get(SLOT.KERNEL_GS_BASE));
  s.set(SLOT.KERNEL_GS_BASE, base);
  return SYS_NEXT;
};
