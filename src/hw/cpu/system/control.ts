import { assertUnreachable, invariant } from '../../../base/assert';
import { isCanonical } from '../../../base/bits';
import { VECTOR } from '../../../isa/exceptions';
import { because, type FaultReason } from '../../../isa/reasons/index';
import { VMX_EXIT } from '../../../isa/exits';
import { CR0, CR4 } from '../../../isa/flags';
import { XCR0_MASK, XSTATE } from '../../../isa/xstate';
import { SLOT } from '../../state/layout';
import { SYS_EVENT, SYS_NEXT, type Core } from '../core';
import { readLinear } from './access';
import { setCr0, setCr3, setCr4, setCr8, shownControl } from './control-registers';
import { displacementOf, instructionInfo, operandLinear } from './instruction-info';
import { cr4Bit, isLong64, linearWidth } from './modes';
import { putPair } from './msr';
import { GPR, memoryOperand, operand, operandAddress, putGpr, readOperand16, writeOperand16 } from './operand';
import { debugException, deny, requireCpl0 } from './raise';
import type { SystemFunction } from './table';

/** Register width of MOV to and from control and debug registers: the mode's, whatever the prefixes. */
const controlWidth = (core: Core): 32 | 64 => (isLong64(core.state) ? 64 : 32);

type ControlNumber = 0 | 2 | 3 | 4 | 8;
/** CR1, CR5–CR7 and CR9–CR15 do not exist: #UD. */
const isControl = (n: number): n is ControlNumber => n === 0 || n === 2 || n === 3 || n === 4 || n === 8;

function registerPair(
  core: Core,
  special: 'control' | 'debug',
  specialAt: 0 | 1,
): { readonly number: number; readonly gpr: number } {
  const a = operand(core, specialAt);
  const b = operand(core, 1 - specialAt);
  invariant(a.kind === special && b.kind === 'gpr', `MOV between a ${special} and a general register`);
  return { number: a.index, gpr: b.index };
}

/** MOV r, CRn. */
export const movFromControl: SystemFunction = (core) => {
  const { number: cr, gpr } = registerPair(core, 'control', 1);
  if (!isControl(cr)) return core.raise(VECTOR.UD, because('control-register', cr));
  if (!requireCpl0(core)) return SYS_EVENT;
  const exit = core.intercepts?.controlRegister(core, { type: 'read', cr, gpr, value: 0n });
  if (exit) return core.exit(exit);
  const s = core.state;
  const value =
    cr === 0 || cr === 4 ? shownControl(core, cr) : s.get(cr === 2 ? SLOT.CR2 : cr === 3 ? SLOT.CR3 : SLOT.CR8);
  putGpr(s, gpr, controlWidth(core), value);
  return SYS_NEXT;
};

function setControl(core: Core, cr: ControlNumber, value: bigint): boolean {
  switch (cr) {
    case 0:
      return setCr0(core, value);
    case 2:
      core.state.set(SLOT.CR2, value);
      return true;
    case 3:
      return setCr3(core, value);
    case 4:
      return setCr4(core, value);
    case 8:
      return setCr8(core, value);
    default:
      return assertUnreachable(cr);
  }
}

/** MOV CRn, r. */
export const movToControl: SystemFunction = (core) => {
  const { number: cr, gpr } = registerPair(core, 'control', 0);
  if (!isControl(cr)) return core.raise(VECTOR.UD, because('control-register', cr));
  if (!requireCpl0(core)) return SYS_EVENT;
  const value = BigInt.asUintN(controlWidth(core), core.state.get(gpr));
  const exit = core.intercepts?.controlRegister(core, { type: 'write', cr, gpr, value });
  if (exit) return core.exit(exit);
  return setControl(core, cr, value) ? SYS_NEXT : SYS_EVENT;
};

/** LMSW: CR0 bits 3:0; PE can be set but not cleared. */
export const lmsw: SystemFunction = (core) => {
  if (!requireCpl0(core)) return SYS_EVENT;
  const o = operand(core, 0);
  const source = readOperand16(core, 0);
  if (source === undefined) return SYS_EVENT;
  const value = BigInt(source);
  const memory = o.kind === 'memory';
  const exit = core.intercepts?.controlRegister(core, {
    type: 'lmsw',
    cr: 0,
    gpr: 0,
    value,
    memory,
    ...(memory ? { linear: operandLinear(core, o.memory) } : {}),
  });
  if (exit) return core.exit(exit);
  const old = core.state.get(SLOT.CR0);
  return setCr0(core, (old & ~0xen) | (value & 0xfn)) ? SYS_NEXT : SYS_EVENT;
};

/** With CR4.UMIP, SGDT SIDT SLDT STR SMSW are for CPL 0 alone. */
export const umipAllows = (core: Core): boolean =>
  !cr4Bit(core.state, CR4.UMIP) || core.state.cpl === 0 || deny(core, VECTOR.GP, because('umip', core.state.cpl), 0);

/** SMSW: a register destination gets CR0 at its own width, memory the low word. */
export const smsw: SystemFunction = (core) =>
  umipAllows(core) && writeOperand16(core, 0, shownControl(core, 0)) ? SYS_NEXT : SYS_EVENT;

export const clts: SystemFunction = (core) => {
  if (!requireCpl0(core)) return SYS_EVENT;
  const exit = core.intercepts?.controlRegister(core, { type: 'clts', cr: 0, gpr: 0, value: 0n });
  if (exit) return core.exit(exit);
  return setCr0(core, core.state.get(SLOT.CR0) & ~(1n << BigInt(CR0.TS))) ? SYS_NEXT : SYS_EVENT;
};

const DR6_BD = 1n << 13n;
const DR7_GD = 1n << 13n;
/** Reserved bits of DR6 and DR7 that read as one, and the bits that can be written (SDM vol. 3, figure 17-1). */
const DR6_ONES = 0xffff_0ff0n;
const DR6_WRITABLE = 0xe00fn;
const DR7_ONES = 0x400n;
const DR7_WRITABLE = 0xffff_23ffn;

/** The slot of debug register n, or undefined: DR4 and DR5 are DR6 and DR7 unless CR4.DE makes them #UD; DR8 and up do not exist. */
function debugSlot(core: Core, n: number): number | undefined {
  if (n > 7) return undefined;
  if (n === 4 || n === 5) return cr4Bit(core.state, CR4.DE) ? undefined : SLOT.DR6 + (n - 4);
  return n < 4 ? SLOT.DR0 + n : SLOT.DR6 + (n - 6);
}

/** MOV between a debug and a general register. DR7.GD makes any such access a #DB with DR6.BD; its delivery clears GD. */
const movDebug =
  (write: boolean): SystemFunction =>
  (core) => {
    const s = core.state;
    const { number: dr, gpr } = registerPair(core, 'debug', write ? 0 : 1);
    const slot = debugSlot(core, dr);
    if (slot === undefined)
      return core.raise(VECTOR.UD, dr > 7 ? because('debug-register', dr) : because('debug-register-alias', dr));
    if (!requireCpl0(core)) return SYS_EVENT;
    const exit = core.intercepts?.debugRegister(core, { write, dr, gpr });
    if (exit) return core.exit(exit);
    if ((s.get(SLOT.DR7) & DR7_GD) !== 0n) {
      core.event = debugException(s, DR6_BD);
      return SYS_EVENT;
    }
    if (!write) {
      putGpr(s, gpr, controlWidth(core), s.get(slot));
      return SYS_NEXT;
    }
    const value = BigInt.asUintN(controlWidth(core), s.get(gpr));
    if (slot >= SLOT.DR6 && value >> 32n !== 0n) return core.raise(VECTOR.GP, because('debug-upper', dr, value), 0);
    if (slot === SLOT.DR6) s.set(slot, (value & DR6_WRITABLE) | DR6_ONES);
    else if (slot === SLOT.DR7) s.set(slot, (value & DR7_WRITABLE) | DR7_ONES);
    else s.set(slot, value);
    return SYS_NEXT;
  };
export const movFromDebug = movDebug(false);
export const movToDebug = movDebug(true);

/** An instruction for CPL 0 that VMX may intercept by its exit reason alone, and what it does otherwise. */
const privileged =
  (reason: number, act: (core: Core) => void): SystemFunction =>
  (core) => {
    if (!requireCpl0(core)) return SYS_EVENT;
    const exit = core.intercepts?.instruction(core, reason, 0n);
    if (exit) return core.exit(exit);
    act(core);
    return SYS_NEXT;
  };
/** There are no caches to write back: memory is always coherent. */
export const invd = privileged(VMX_EXIT.INVD, () => undefined);
export const wbinvd = privileged(VMX_EXIT.WBINVD, () => undefined);

const ACTIVITY_HLT = 1;
/** HLT completes and leaves the processor waiting for an interrupt. */
export const hlt = privileged(VMX_EXIT.HLT, (core) => core.state.set32(SLOT.ACTIVITY, ACTIVITY_HLT));

export const pause: SystemFunction = (core) => {
  const exit = core.intercepts?.instruction(core, VMX_EXIT.PAUSE_INSTRUCTION, 0n);
  return exit ? core.exit(exit) : SYS_NEXT;
};

/** MONITOR and MWAIT are #UD without the feature; with it, MONITOR arms nothing and MWAIT goes on at once, as the manual allows. */
const monitorInsn =
  (reason: number): SystemFunction =>
  (core) => {
    if (!core.model.has('MONITOR')) return core.raise(VECTOR.UD, because('feature-absent', 'MONITOR'));
    if (core.state.cpl !== 0) return core.raise(VECTOR.UD, because('cpl-undefined', core.state.cpl));
    const exit = core.intercepts?.instruction(core, reason, 0n);
    if (exit) return core.exit(exit);
    const extensions = core.state.get32(GPR.RCX);
    return extensions !== 0 ? core.raise(VECTOR.GP, because('monitor-ecx', extensions), 0) : SYS_NEXT;
  };
export const monitor = monitorInsn(VMX_EXIT.MONITOR_INSTRUCTION);
export const mwait = monitorInsn(VMX_EXIT.MWAIT_INSTRUCTION);

/** INVLPG: no access is made, so nothing but CPL is checked; a non-canonical address does nothing. */
export const invlpg: SystemFunction = (core) => {
  if (!requireCpl0(core)) return SYS_EVENT;
  const linear = operandLinear(core, memoryOperand(core, 0));
  const exit = core.intercepts?.instruction(core, VMX_EXIT.INVLPG, linear);
  if (exit) return core.exit(exit);
  if (isCanonical(linear, linearWidth(core.state))) core.port.invlpg(core, linear);
  return SYS_NEXT;
};

/** Why INVPCID refuses its operands (SDM vol. 2, INVPCID), or undefined. `descriptor`: its first quadword. */
export function invpcidRefusal(
  type: bigint,
  descriptor: bigint,
  linear: bigint,
  pcide: boolean,
  linearBits: number,
): FaultReason | undefined {
  if (type > 3n) return because('invpcid-type', type);
  if (descriptor >> 12n !== 0n) return because('invpcid-reserved', descriptor);
  if (type < 2n && descriptor !== 0n && !pcide) return because('invpcid-pcide', descriptor);
  return type === 0n && !isCanonical(linear, linearBits) ? because('address-canonical', linear, linearBits) : undefined;
}

/**
 * INVPCID (SDM vol. 2): register = type, 128-bit descriptor = PCID in bits 11:0, linear address in 127:64.
 *   0 one address of the PCID · 1 all of the PCID but globals · 2 everything · 3 everything but globals
 * For a PCID that is not the current one, more than it is invalidated: every PCID's non-global entries (SDM vol. 3, 4.10.4.2 allows it).
 */
export const invpcid: SystemFunction = (core) => {
  const s = core.state;
  if (!core.model.has('INVPCID')) return core.raise(VECTOR.UD, because('feature-absent', 'INVPCID'));
  if (core.intercepts?.isUndefined(VMX_EXIT.INVPCID))
    return core.raise(VECTOR.UD, because('control-off', 'enable INVPCID'));
  if (!requireCpl0(core)) return SYS_EVENT;
  const o = operand(core, 0);
  invariant(o.kind === 'gpr', 'INVPCID takes its type in a register');
  const exit = core.intercepts?.instruction(
    core,
    VMX_EXIT.INVPCID,
    displacementOf(core, 1),
    instructionInfo(core, 1, { reg2: o.index }),
  );
  if (exit) return core.exit(exit);
  const m = memoryOperand(core, 1);
  const low = operandAddress(core, m, 0, 16, false);
  const descriptor = low === undefined ? undefined : readLinear(core, low, 8);
  const linear = low === undefined || descriptor === undefined ? undefined : readLinear(core, low + 8n, 8);
  if (descriptor === undefined || linear === undefined) return SYS_EVENT;
  const type = BigInt.asUintN(controlWidth(core), s.get(o.index));
  const refused = invpcidRefusal(type, descriptor, linear, cr4Bit(s, CR4.PCIDE), core.model.linearBits);
  if (refused) return core.raise(VECTOR.GP, refused, 0);
  const pcid = descriptor & 0xfffn;
  const current = !cr4Bit(s, CR4.PCIDE) || pcid === (s.get(SLOT.CR3) & 0xfffn);
  if (type === 0n && current) core.port.invlpg(core, linear);
  else if (type === 1n && current) core.port.cr3Loaded(core, false);
  else core.port.flush(core, type === 2n);
  return SYS_NEXT;
};

/** XGETBV: extended control register ECX; only XCR0 exists. #UD unless the operating system set CR4.OSXSAVE. */
export const xgetbv: SystemFunction = (core) => {
  const s = core.state;
  if (!cr4Bit(s, CR4.OSXSAVE)) return core.raise(VECTOR.UD, because('not-enabled', 'CR4.OSXSAVE'));
  const index = s.get32(GPR.RCX);
  if (index !== 0) return core.raise(VECTOR.GP, because('xcr-index', index), 0);
  putPair(core, s.get(SLOT.XCR0));
  return SYS_NEXT;
};
/** XCR0 holds the x87 bit always and the SSE bit at will; there are no other components (SDM vol. 1, 13.3). */
const isValidXcr0 = (value: bigint): boolean => (value & XSTATE.X87) !== 0n && (value & ~XCR0_MASK) === 0n;
/** Why XSETBV refuses, or undefined. */
export function xsetbvRefusal(index: number, value: bigint): FaultReason | undefined {
  if (index !== 0) return because('xcr-index', index);
  return isValidXcr0(value) ? undefined : because('xcr0-value', value);
}

/** XSETBV: ECX = 0 names XCR0. */
export const xsetbv: SystemFunction = (core) => {
  const s = core.state;
  if (!cr4Bit(s, CR4.OSXSAVE)) return core.raise(VECTOR.UD, because('not-enabled', 'CR4.OSXSAVE'));
  if (!requireCpl0(core)) return SYS_EVENT;
  const exit = core.intercepts?.instruction(core, VMX_EXIT.XSETBV, 0n);
  if (exit) return core.exit(exit);
  const value = (BigInt(s.get32(GPR.RDX)) << 32n) | BigInt(s.get32(GPR.RAX));
  const refused = xsetbvRefusal(s.get32(GPR.RCX), value);
  if (refused) return core.raise(VECTOR.GP, refused, 0);
  s.set(SLOT.XCR0, value);
  return SYS_NEXT;
};

/** RDPKRU and WRPKRU: protection-key rights for user pages, #UD unless CR4.PKE. ECX must be zero; WRPKRU wants EDX zero too. */
const protectionKeys =
  (write: boolean): SystemFunction =>
  (core) => {
    const s = core.state;
    if (!cr4Bit(s, CR4.PKE)) return core.raise(VECTOR.UD, because('not-enabled', 'CR4.PKE'));
    const [ecx, edx] = [s.get32(GPR.RCX), s.get32(GPR.RDX)];
    if (ecx !== 0) return core.raise(VECTOR.GP, because('pkru-ecx', ecx), 0);
    if (write && edx !== 0) return core.raise(VECTOR.GP, because('pkru-edx', edx), 0);
    if (write) {
      s.set32(SLOT.PKRU, s.get32(GPR.RAX));
      core.port.controlsChanged(core);
    } else putPair(core, BigInt(s.get32(SLOT.PKRU)));
    return SYS_NEXT;
  };
export const rdpkru = protectionKeys(false);
export const wrpkru = protectionKeys(true);

/** RSM outside system-management mode, which does not exist here: #UD. */
export const rsm: SystemFunction = (core) => core.raise(VECTOR.UD, because('smm-only'));
