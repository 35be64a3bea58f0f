import { bit } from '../../../base/bits';
import { VECTOR } from '../../../isa/exceptions';
import { because } from '../../../isa/reasons/index';
import { VMX_EXIT } from '../../../isa/exits';
import { CR4 } from '../../../isa/flags';
import { MSR } from '../../../isa/msrs';
import { SLOT } from '../../state/layout';
import { SYS_NEXT } from '../core';
import { CPUID_FAULT_ENABLE } from './model-msrs';
import { cr4Bit, isLong64 } from './modes';
import { readMsr } from './msr';
import { GPR } from './operand';
import type { SystemFunction } from './table';

const LEAF1_OSXSAVE = 1 << 27;
const LEAF1_APIC = 1 << 9;
const APIC_ENABLE = 11;
const LEAF7_OSPKE = 1 << 4;
const EXTENDED_SYSCALL = 1 << 11;

/** CPUID: the model's leaf, with the bits that mirror the mode: OSXSAVE and OSPKE follow CR4, APIC the enable bit of IA32_APIC_BASE (SDM vol. 3, 10.4.3), and Intel shows SYSCALL only in 64-bit mode. With CPUID faulting on, only CPL 0 is answered. */
export const cpuid: SystemFunction = (core) => {
  const s = core.state;
  if (s.cpl !== 0 && (s.get(SLOT.MISC_FEATURES_ENABLES) & CPUID_FAULT_ENABLE) !== 0n)
    return core.raise(VECTOR.GP, because('cpuid-faulting', core.state.cpl), 0);
  const exit = core.intercepts?.instruction(core, VMX_EXIT.CPUID, 0n);
  if (exit) return core.exit(exit);
  const leaf = s.get32(GPR.RAX);
  const subleaf = s.get32(GPR.RCX);
  const [eax, ebx, ...rest] = core.model.leaf(leaf, subleaf);
  let [ecx, edx] = rest;
  if (leaf === 1 && cr4Bit(s, CR4.OSXSAVE)) ecx |= LEAF1_OSXSAVE;
  if (leaf === 1 && core.model.has('APIC') && !bit(readMsr(core, MSR.APIC_BASE) ?? 0n, APIC_ENABLE)) edx &= ~LEAF1_APIC;
  if (leaf === 7 && subleaf === 0 && cr4Bit(s, CR4.PKE)) ecx |= LEAF7_OSPKE;
  if (leaf === 0x8000_0001 && core.model.vendor === 'intel' && !isLong64(s)) edx &= ~EXTENDED_SYSCALL;
  s.set(GPR.RAX, BigInt(eax >>> 0));
  s.set(GPR.RBX, BigInt(ebx >>> 0));
  s.set(GPR.RCX, BigInt(ecx >>> 0));
  s.set(GPR.RDX, BigInt(edx >>> 0));
  return SYS_NEXT;
};
