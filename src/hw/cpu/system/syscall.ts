import { isCanonical } from '../../../base/bits';
import { VECTOR } from '../../../isa/exceptions';
import { because, type FaultReason } from '../../../isa/reasons/index';
import { EFER, RFLAGS } from '../../../isa/flags';
import { RIGHTS, SEG, SLOT } from '../../state/layout';
import { SYS_EVENT, SYS_JUMPED, type Core, type SysResult } from '../core';
import { isLong, isLong64, isProtected, linearWidth } from './modes';
import { GPR } from './operand';
import { deny, requireCpl0 } from './raise';
import type { SystemFunction } from './table';

/** Flat segments that the fast system calls load without reading descriptors: code execute/read accessed, data read/write accessed. */
function loadFlat(core: Core, selector: number, stackSelector: number, cpl: number, long: boolean): void {
  const s = core.state;
  const common = RIGHTS.S | RIGHTS.P | RIGHTS.G | (cpl << RIGHTS.DPL_SHIFT);
  s.setSegment(SEG.CS, {
    selector: selector | cpl,
    base: 0n,
    limit: 0xffff_ffff,
    rights: common | 0xb | (long ? RIGHTS.L : RIGHTS.DB),
  });
  s.setSegment(SEG.SS, { selector: stackSelector | cpl, base: 0n, limit: 0xffff_ffff, rights: common | 3 | RIGHTS.DB });
  s.cpl = cpl;
}

const canonical = (core: Core, v: bigint): boolean => isCanonical(v, linearWidth(core.state));
const isAmd = (core: Core): boolean => core.model.vendor === 'amd';
/** Why SYSCALL and SYSRET are #UD here, or undefined. */
function withoutSyscall(core: Core): FaultReason | undefined {
  const s = core.state;
  if (!core.model.has('SYSCALL')) return because('feature-absent', 'SYSCALL');
  if (((s.get(SLOT.EFER) >> BigInt(EFER.SCE)) & 1n) === 0n) return because('not-enabled', 'EFER.SCE');
  return isLong64(s) || isAmd(core) ? undefined : because('mode-not-64-bit');
}
const tf = (core: Core): boolean => core.state.systemFlag(RFLAGS.TF);
/** The single-step trap of SYSCALL and SYSRET goes by TF at their end (APM vol. 2, 6.1.1), not at their start. */
function settleStep(core: Core, before: boolean): void {
  const after = tf(core);
  if (after !== before) core.stepTrap = after;
}

/**
 * SYSCALL with EFER.SCE: RCX ← RIP, R11 ← RFLAGS, then LSTAR with CS from STAR 47:32. Intel's processors have it in 64-bit mode only (SDM vol. 2); AMD's in compatibility
 * mode, which goes to CSTAR, and in legacy modes too: ECX ← EIP, then STAR 31:0 with VM and IF cleared (APM vol. 3).
 */
export const syscall: SystemFunction = (core) => {
  const s = core.state;
  const undefinedHere = withoutSyscall(core);
  if (undefinedHere) return core.raise(VECTOR.UD, undefinedHere);
  const stepping = tf(core);
  const selector = Number((s.get(SLOT.STAR) >> 32n) & 0xfffcn);
  if (isLong(s)) {
    s.set(GPR.RCX, core.nextRip);
    s.set(GPR.R11, s.rflags);
    s.rip = s.get(isLong64(s) ? SLOT.LSTAR : SLOT.CSTAR);
    s.rflags = s.rflags & ~s.get(SLOT.SFMASK) & ~(1n << BigInt(RFLAGS.RF));
  } else {
    s.set(GPR.RCX, core.nextRip & 0xffff_ffffn);
    s.rip = s.get(SLOT.STAR) & 0xffff_ffffn;
    for (const f of [RFLAGS.VM, RFLAGS.IF, RFLAGS.RF]) s.setSystemFlag(f, false);
  }
  loadFlat(core, selector, selector + 8, 0, isLong(s));
  settleStep(core, stepping);
  return SYS_JUMPED;
};

/** Flags that SYSRET takes from R11: all but RF, VM and the reserved bits. */
const SYSRET_FLAGS = 0x3c_7fd7n;

/**
 * SYSRET: to CPL 3 at RCX, 64-bit code with REX.W, else 32-bit; CS and SS from STAR 63:48. On Intel processors a non-canonical RCX is #GP at CPL 0 (SDM vol. 2). On AMD's
 * the fetch at CPL 3 meets it, SS keeps base, limit and attributes, and outside 64-bit mode the flags stay but for IF, which is set (APM vol. 3).
 */
export const sysret: SystemFunction = (core) => {
  const s = core.state;
  const amd = isAmd(core);
  const undefinedHere = withoutSyscall(core);
  if (undefinedHere) return core.raise(VECTOR.UD, undefinedHere);
  if (!isProtected(s)) return core.raise(VECTOR.GP, because('sysenter-mode'), 0);
  if (!requireCpl0(core)) return SYS_EVENT;
  const stepping = tf(core);
  const long = core.insn.operandBits === 64;
  const target = s.get(GPR.RCX);
  if (long && !amd && !canonical(core, target)) return core.raise(VECTOR.GP, because('sysret-rip', target), 0);
  const base = Number((s.get(SLOT.STAR) >> 48n) & 0xffffn);
  s.rip = long ? target : target & 0xffff_ffffn;
  if (isLong64(s)) s.rflags = s.get(GPR.R11) & SYSRET_FLAGS;
  else s.setSystemFlag(RFLAGS.IF, true);
  const stack = s.segment(SEG.SS);
  loadFlat(core, ((long ? base + 16 : base) & 0xfffc) | 3, ((base + 8) & 0xfffc) | 3, 3, long);
  if (amd) s.setSegment(SEG.SS, { ...stack, selector: (base + 8) & 0xffff });
  settleStep(core, stepping);
  return SYS_JUMPED;
};

const sysenterCs = (core: Core): number => Number(core.state.get(SLOT.SYSENTER_CS) & 0xfffcn);

/** Why SYSENTER and SYSEXIT are #UD or #GP(0) here; false: event set. AMD's processors do not have them in long mode (APM vol. 3). */
function sysenterAllowed(core: Core): boolean {
  if (!core.model.has('SEP')) return deny(core, VECTOR.UD, because('feature-absent', 'SEP'));
  if (isAmd(core) && isLong(core.state)) return deny(core, VECTOR.UD, because('mode-long-amd'));
  if (!isProtected(core.state)) return deny(core, VECTOR.GP, because('sysenter-mode'), 0);
  return sysenterCs(core) !== 0 || deny(core, VECTOR.GP, because('sysenter-cs'), 0);
}

/** SYSENTER: to CPL 0 with CS, SS, RSP and RIP from the SYSENTER MSRs; VM and IF cleared; 64-bit code in IA-32e mode. */
export const sysenter: SystemFunction = (core) => {
  const s = core.state;
  if (!sysenterAllowed(core)) return SYS_EVENT;
  const long = isLong(s);
  const width = long ? 64 : 32;
  for (const f of [RFLAGS.VM, RFLAGS.IF, RFLAGS.RF]) s.setSystemFlag(f, false);
  s.set(GPR.RSP, BigInt.asUintN(width, s.get(SLOT.SYSENTER_ESP)));
  s.rip = BigInt.asUintN(width, s.get(SLOT.SYSENTER_EIP));
  loadFlat(core, sysenterCs(core), sysenterCs(core) + 8, 0, long);
  return SYS_JUMPED;
};

/** SYSEXIT: to CPL 3 at RDX with stack RCX; selectors 16 (32 with REX.W) above SYSENTER_CS. */
export const sysexit: SystemFunction = (core): SysResult => {
  const s = core.state;
  if (!sysenterAllowed(core)) return SYS_EVENT;
  if (!requireCpl0(core)) return SYS_EVENT;
  const long = core.insn.operandBits === 64;
  const rip = s.get(GPR.RDX);
  const rsp = s.get(GPR.RCX);
  const bad = [rip, rsp].find((v) => !canonical(core, v));
  if (long && bad !== undefined) return core.raise(VECTOR.GP, because('target-canonical', bad, linearWidth(s)), 0);
  const cs = sysenterCs(core) + (long ? 32 : 16);
  s.rip = long ? rip : rip & 0xffff_ffffn;
  s.set(GPR.RSP, long ? rsp : rsp & 0xffff_ffffn);
  loadFlat(core, cs, cs + 8, 3, long);
  return SYS_JUMPED;
};
