import { invariant } from '../../../base/assert';
import { isCanonical } from '../../../base/bits';
import { ERROR_CODE_VECTORS, VECTOR } from '../../../isa/exceptions';
import { because, ROLE } from '../../../isa/reasons/index';
import { RFLAGS } from '../../../isa/flags';
import { INTR_TYPE } from '../../../isa/vmcs-controls';
import type { CpuEvent, FaultEvent } from '../../state/event';
import { interruptionInfo, interruptionOfFault, type Interruption } from '../../state/interruption';
import { SEG, SLOT } from '../../state/layout';
import type { Core } from '../core';
import {
  cacheOf,
  dplOf,
  fetchDescriptor,
  isCode,
  isConforming,
  isNull,
  isPresent,
  orTypeBits,
  SYS_TYPE,
  tableAddress,
  type Descriptor,
} from './descriptor';
import { isLong, isReal, isV86, linearWidth } from './modes';
import { deny, fault, selectorError } from './raise';
import { insideLimit, isBadLongCode, isCode64, nullSegment, paragraphSegment, SHADOW } from './segments';
import { currentStack, Pushes, setStackPointer, type StackTarget } from './stack';
import { taskSwitch } from './task';
import { innerStack } from './tss';

/** An interrupt from outside the instruction stream. */
export interface Interrupt {
  readonly kind: 'interrupt';
  readonly vector: number;
  readonly source: 'external' | 'nmi';
}
export type Delivery = FaultEvent | Interrupt;
export type Delivered = { readonly ok: true } | { readonly ok: false; readonly event: CpuEvent };

/** An INT n, INT3 or INTO: checked against the gate's DPL, EXT clear. INT1 (ICEBP) is a software event that counts as hardware's here. */
const isSoftware = (e: Delivery): boolean => e.kind === 'fault' && e.software !== undefined && e.software !== 'icebp';

/** What `e` is called in interruption information. */
function interruptionOf(e: Delivery): Interruption {
  if (e.kind === 'fault') return interruptionOfFault(e, 0);
  return { type: e.source === 'nmi' ? INTR_TYPE.NMI_INTR : INTR_TYPE.EXT_INTR, vector: e.vector };
}

/** Fault-class exceptions return to the instruction that caused them, with RF set so that its breakpoint does not strike again (SDM vol. 3, 17.3.1.1). */
const FAULT_CLASS: ReadonlySet<number> = new Set([
  VECTOR.DE,
  VECTOR.BR,
  VECTOR.UD,
  VECTOR.NM,
  VECTOR.TS,
  VECTOR.NP,
  VECTOR.SS,
  VECTOR.GP,
  VECTOR.PF,
  VECTOR.MF,
  VECTOR.AC,
  VECTOR.XM,
  VECTOR.VE,
  VECTOR.CP,
]);

const bit = (n: number): bigint => 1n << BigInt(n);

/**
 * Takes an exception or interrupt through the IVT or IDT (SDM vol. 3, chapter 6; vol. 2, INT n): all checks and stack writes first, then the registers.
 * Not ok: the event that came up instead (another exception, to be combined by `combine`; a VM exit; the bus), with registers unchanged but for CR2,
 * which a #PF writes, and DR6 and DR7, which a #DB does. The return address is RIP, or `core.nextRip` for software events. The caller has asked the exception intercept.
 */
export function deliver(core: Core, e: Delivery): Delivered {
  const s = core.state;
  core.event = undefined;
  if (e.kind === 'fault' && e.vector === VECTOR.PF && e.cr2 !== undefined) s.set(SLOT.CR2, e.cr2);
  if (e.kind === 'fault' && e.debug !== undefined) enterDebugHandler(core, e.debug);
  const ok = isReal(s) ? deliverReal(core, e) : deliverProtected(core, e);
  if (!ok) {
    const event: CpuEvent | undefined = core.event;
    core.event = undefined;
    invariant(event !== undefined, 'a failed delivery leaves an event');
    return { ok: false, event };
  }
  s.set32(SLOT.ACTIVITY, 0);
  s.set32(SLOT.LAST_EVENT, interruptionInfo(interruptionOf(e)));
  const blocking = s.get32(SLOT.INTERRUPTIBILITY) & ~(SHADOW.STI | SHADOW.MOV_SS);
  s.set32(SLOT.INTERRUPTIBILITY, e.kind === 'interrupt' && e.source === 'nmi' ? blocking | SHADOW.NMI : blocking);
  return { ok: true };
}

const DR6_BD = 1n << 13n;
const DR7_GD = 1n << 13n;
/** B3–B0. */
const DR6_BREAKPOINTS = 0xfn;
/**
 * DR6 says why. B3–B0 are those of this exception (the manual lets a debug exception clear the others, as hardware and KVM do); BS, BD and what else software left stay
 * (SDM vol. 3, 17.2.3). General detect ends, so that the handler can use the debug registers (17.2.4).
 */
function enterDebugHandler(core: Core, why: bigint): void {
  const s = core.state;
  s.set(SLOT.DR6, (s.get(SLOT.DR6) & ~DR6_BREAKPOINTS) | why);
  if ((why & DR6_BD) !== 0n) s.set(SLOT.DR7, s.get(SLOT.DR7) & ~DR7_GD);
}

const returnAddress = (core: Core, e: Delivery): bigint =>
  e.kind === 'fault' && e.software !== undefined ? core.nextRip : core.state.rip;

/** RFLAGS as pushed: RF set for fault-class exceptions, clear for software interrupts, whose instruction has completed. */
function pushedFlags(core: Core, e: Delivery): bigint {
  const flags = core.state.rflags;
  if (e.kind !== 'fault') return flags;
  if (e.software !== undefined) return flags & ~bit(RFLAGS.RF);
  return FAULT_CLASS.has(e.vector) ? flags | bit(RFLAGS.RF) : flags;
}

function clearFlags(core: Core, positions: readonly number[]): void {
  for (const n of positions) core.state.setSystemFlag(n, false);
}

/** Real mode: the four-byte entry IP, CS of the interrupt vector table at IDTR; no error code. */
function deliverReal(core: Core, e: Delivery): boolean {
  const s = core.state;
  const at = e.vector * 4;
  const limit = s.get32(SLOT.IDTR_LIMIT);
  if (at + 3 > limit) return deny(core, VECTOR.GP, because('ivt-limit', e.vector, at + 3, limit), 0);
  const entry = core.readSystem(BigInt.asUintN(32, s.get(SLOT.IDTR_BASE) + BigInt(at)), 4);
  if (entry === undefined) return false;
  const pushes = new Pushes(core, currentStack(core))
    .push(s.rflags, 2)
    .push(BigInt(s.get32(SLOT.SELECTOR + SEG.CS)), 2)
    .push(returnAddress(core, e), 2);
  const ip = Number(entry & 0xffffn);
  const cs = paragraphSegment(s, SEG.CS, Number(entry >> 16n));
  if (!insideLimit(cs.rights, cs.limit, ip, 1))
    return deny(core, VECTOR.GP, because('target-limit', BigInt(ip), cs.limit), 0);
  if (!pushes.write()) return false;
  pushes.commit();
  clearFlags(core, [RFLAGS.IF, RFLAGS.TF, RFLAGS.AC, RFLAGS.RF]);
  s.setSegment(SEG.CS, cs);
  s.rip = BigInt(ip);
  return true;
}

/**
 * A gate of the IDT (SDM vol. 3, 6.11 and 6.14.1):
 *
 *   63          48 47 46 45 44 43  40 39   35 34 32 31       16 15         0
 *  | offset 31:16 |P |DPL  |0 |type  |  0    | IST | selector  | offset 15:0 |      second quadword in IA-32e mode: offset 63:32
 */
interface Gate {
  readonly type: number;
  readonly selector: number;
  readonly offset: bigint;
  readonly ist: number;
}

function fetchGate(core: Core, e: Delivery, ext: number): Gate | undefined {
  const s = core.state;
  const long = isLong(s);
  const size = long ? 16 : 8;
  const at = e.vector * size;
  // error code: index, IDT in bit 1, EXT in bit 0
  const error = e.vector * 8 + 2 + ext;
  const limit = s.get32(SLOT.IDTR_LIMIT);
  if (at + size - 1 > limit)
    return fault(core, VECTOR.GP, because('gate-limit', e.vector, at + size - 1, limit), error);
  const linear = tableAddress(core, s.get(SLOT.IDTR_BASE), at);
  const raw = core.readSystem(linear, 8);
  if (raw === undefined) return undefined;
  const upper = long ? core.readSystem(linear + 8n, 8) : 0n;
  if (upper === undefined) return undefined;
  const type = Number((raw >> 40n) & 0x1fn);
  const known =
    type === SYS_TYPE.INT32 ||
    type === SYS_TYPE.TRAP32 ||
    (!long && (type === SYS_TYPE.INT16 || type === SYS_TYPE.TRAP16 || type === SYS_TYPE.TASK_GATE));
  if (!known) return fault(core, VECTOR.GP, because('gate-type', e.vector, type, long), error);
  const dpl = Number((raw >> 45n) & 3n);
  if (isSoftware(e) && dpl < s.cpl)
    return fault(core, VECTOR.GP, because('gate-software', e.vector, dpl, s.cpl), error);
  if ((raw & (1n << 47n)) === 0n) return fault(core, VECTOR.NP, because('gate-absent', e.vector), error);
  const narrow = type === SYS_TYPE.INT16 || type === SYS_TYPE.TRAP16;
  return {
    type,
    selector: Number((raw >> 16n) & 0xffffn),
    offset: (raw & 0xffffn) | (narrow ? 0n : ((raw >> 48n) << 16n) | ((upper & 0xffff_ffffn) << 32n)),
    ist: long ? Number((raw >> 32n) & 7n) : 0,
  };
}

const HANDLER_PRIVILEGE = 'a handler may not be less privileged than the code that it interrupts';

/** The gate's code segment, checked (SDM vol. 2, INT n). Undefined: event set. */
function fetchHandlerSegment(core: Core, vector: number, selector: number, ext: number): Descriptor | undefined {
  const role = ROLE.GATE + vector;
  if (isNull(selector)) return fault(core, VECTOR.GP, because('selector-null', role, selector), ext);
  const d = fetchDescriptor(core, role, selector, VECTOR.GP, ext);
  if (d === undefined) return undefined;
  const error = selectorError(selector, ext);
  const { cpl } = core.state;
  const dpl = dplOf(d.rights);
  if (!isCode(d.rights))
    return fault(core, VECTOR.GP, because('descriptor-type', role, selector, d.rights, 'code'), error);
  if (dpl > cpl)
    return fault(core, VECTOR.GP, because('descriptor-privilege', role, selector, dpl, cpl, HANDLER_PRIVILEGE), error);
  if (isLong(core.state) && !isCode64(core, d.rights))
    return fault(core, VECTOR.GP, because('code-not-64-bit', role, selector), error);
  if (isBadLongCode(core, d.rights)) return fault(core, VECTOR.GP, because('code-l-and-d', role, selector), error);
  return isPresent(d.rights)
    ? d
    : fault(core, VECTOR.NP, because('descriptor-absent', role, selector, d.rights), error);
}

function deliverProtected(core: Core, e: Delivery): boolean {
  const s = core.state;
  const ext = isSoftware(e) ? 0 : 1;
  const gate = fetchGate(core, e, ext);
  if (gate === undefined) return false;
  const errorCode =
    e.kind === 'fault' && ERROR_CODE_VECTORS.has(e.vector) && e.software === undefined ? (e.errorCode ?? 0) : undefined;
  if (gate.type === SYS_TYPE.TASK_GATE)
    return taskSwitch(core, {
      selector: gate.selector,
      source: 'idt',
      returnRip: returnAddress(core, e),
      errorCode,
      ext,
    });
  const code = fetchHandlerSegment(core, e.vector, gate.selector, ext);
  if (code === undefined) return false;

  const long = isLong(s);
  const v86 = isV86(s);
  const dpl = dplOf(code.rights);
  const inner = !isConforming(code.rights) && dpl < s.cpl;
  // out of virtual-8086 mode the handler runs at level 0 and nowhere else
  if (v86 && (!inner || dpl !== 0)) {
    const why = because('gate-from-v86', e.vector, inner ? dpl : 3);
    return deny(core, VECTOR.GP, why, selectorError(gate.selector, ext));
  }
  const cpl = inner ? dpl : s.cpl;
  const stack = handlerStack(core, cpl, inner, gate.ist, ext);
  if (stack === undefined) return false;
  if (long) {
    const width = linearWidth(s);
    if (!isCanonical(gate.offset, width))
      return deny(core, VECTOR.GP, because('target-canonical', gate.offset, width), ext);
  } else if (!insideLimit(code.rights, code.limit, Number(gate.offset), 1))
    return deny(core, VECTOR.GP, because('target-limit', gate.offset, code.limit), ext);

  const size = long ? 8 : gate.type === SYS_TYPE.INT32 || gate.type === SYS_TYPE.TRAP32 ? 4 : 2;
  const pushes = new Pushes(core, stack);
  const selectorOf = (index: number): bigint => BigInt(s.get32(SLOT.SELECTOR + index));
  if (v86) for (const index of [SEG.GS, SEG.FS, SEG.DS, SEG.ES]) pushes.push(selectorOf(index), size);
  if (inner || long) pushes.push(selectorOf(SEG.SS), size).push(s.get(4), size);
  pushes.push(pushedFlags(core, e), size).push(selectorOf(SEG.CS), size).push(returnAddress(core, e), size);
  if (errorCode !== undefined) pushes.push(BigInt(errorCode), size);
  if (!orTypeBits(core, code, 1) || !pushes.write()) return false;

  // ---- nothing below can fault
  if (v86) for (const index of [SEG.GS, SEG.FS, SEG.DS, SEG.ES]) s.setSegment(index, nullSegment(0));
  clearFlags(core, [RFLAGS.TF, RFLAGS.NT, RFLAGS.VM, RFLAGS.RF]);
  if (gate.type === SYS_TYPE.INT32 || gate.type === SYS_TYPE.INT16) s.setSystemFlag(RFLAGS.IF, false);
  s.setSegment(SEG.CS, cacheOf(code, (gate.selector & ~3) | cpl));
  s.cpl = cpl;
  if (inner) s.setSegment(SEG.SS, stack.ss);
  setStackPointer(core, pushes.sp);
  s.rip = gate.offset;
  return true;
}

/** Where the handler's frame goes: the TSS's stack for a more privileged handler or an IST gate, else the current one. In IA-32e mode aligned to 16 bytes. */
function handlerStack(core: Core, cpl: number, inner: boolean, ist: number, ext: number): StackTarget | undefined {
  const long = isLong(core.state);
  const switched = inner || ist > 0;
  const stack = switched ? innerStack(core, cpl, ist, ext) : currentStack(core, ext);
  if (stack === undefined || !long) return stack;
  // an IST switch at the same level keeps SS; compatibility-mode code is entered on a 64-bit stack
  const ss = inner ? stack.ss : core.state.segment(SEG.SS);
  const sp = switched ? stack.sp : core.state.get(4);
  return { ss, sp: sp & ~0xfn, bits: 64, cpl, errorCode: ext };
}
