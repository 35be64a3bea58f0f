import { bit } from '../../../base/bits';
import { VECTOR } from '../../../isa/exceptions';
import { because, ROLE } from '../../../isa/reasons/index';
import { CR0, CR4, RFLAGS } from '../../../isa/flags';
import { IMPLICIT_READ, IMPLICIT_WRITE, type Core } from '../core';
import { RIGHTS, SEG, SLOT } from '../../state/layout';
import { loadPdptes } from './control-registers';
import {
  cacheOf,
  descriptorAddress,
  dplOf,
  fetchDescriptor,
  isCode,
  isConforming,
  isNull,
  isPresent,
  orTypeBits,
  SYS_TYPE,
  tableAddress,
  typeOf,
  type Descriptor,
} from './descriptor';
import { cr4Bit } from './modes';
import { debugException, deny, fault, selectorError } from './raise';
import { loadLdtr, nullSegment, prepareSegment, v86Segment } from './segments';
import { currentStack, Pushes } from './stack';

export type TaskSwitchSource = 'jmp' | 'call' | 'iret' | 'idt';

export interface TaskSwitch {
  /** Of the incoming task's TSS. */
  readonly selector: number;
  readonly source: TaskSwitchSource;
  /** Where the outgoing task goes on. */
  readonly returnRip: bigint;
  /** Pushed on the incoming task's stack when an exception with one went through a task gate. */
  readonly errorCode?: number | undefined;
  /** EXT of the error codes of faults: 1 for an event from outside the program. */
  readonly ext?: 0 | 1;
}

/**
 * Offsets in a task-state segment (SDM vol. 3, figures 7-2 and 7-10). The eight general registers follow each other in encoding order, and so do the
 * segment selectors ES CS SS DS (FS GS).
 *
 *            link  SP0 SS0 …  CR3   IP    FLAGS  registers  selectors  LDT   T/I-O map
 *   32-bit   00    04         1C    20    24     28…47      48…5F      60    64
 *   16-bit   00    02         –     0E    10     12…21      22…29      2A    –
 */
interface TssLayout {
  readonly word: 2 | 4;
  readonly minimumLimit: number;
  readonly cr3: number | undefined;
  readonly ip: number;
  readonly flags: number;
  readonly registers: number;
  readonly selectors: number;
  readonly selectorCount: 4 | 6;
  readonly ldt: number;
  readonly trap: number | undefined;
}
const TSS32: TssLayout = {
  word: 4,
  minimumLimit: 0x67,
  cr3: 0x1c,
  ip: 0x20,
  flags: 0x24,
  registers: 0x28,
  selectors: 0x48,
  selectorCount: 6,
  ldt: 0x60,
  trap: 0x64,
};
const TSS16: TssLayout = {
  word: 2,
  minimumLimit: 0x2b,
  cr3: undefined,
  ip: 0x0e,
  flags: 0x10,
  registers: 0x12,
  selectors: 0x22,
  selectorCount: 4,
  ldt: 0x2a,
  trap: undefined,
};

const layoutOf = (rights: number): TssLayout => ((typeOf(rights) & 8) !== 0 ? TSS32 : TSS16);
const BUSY = 2;
const DR6_BT = 1n << 15n;
/** L0–L3 and LE of DR7: breakpoints of one task (SDM vol. 3, 17.2.4). */
const DR7_LOCAL = 0x155n;

/**
 * Switches tasks (SDM vol. 3, 7.3) on behalf of JMP, CALL, IRET or an event through a task gate, outside IA-32e mode. The caller has made the privilege checks of
 * the instruction; this checks the TSS, saves the outgoing task at `returnRip`, and loads the incoming one. Up to the load of TR a fault belongs to
 * the old task and nothing has changed; after it, as on the processor, the fault is the new task's. True: the new task's RIP is set. False: event set.
 */
export function taskSwitch(core: Core, { selector, source, returnRip, errorCode, ext = 0 }: TaskSwitch): boolean {
  const s = core.state;
  const d = checkTss(core, selector, source, ext);
  if (d === undefined) return false;
  const layout = layoutOf(d.rights);
  if (d.limit < layout.minimumLimit) {
    const why = because('tss-too-small', selector, d.limit, layout.minimumLimit);
    return deny(core, VECTOR.TS, why, selectorError(selector, ext));
  }
  // those checks come before the VM exit, all others are for whoever switches in the processor's place (SDM vol. 3, 25.4.2)
  const exit = core.intercepts?.taskSwitch(core, selector, source);
  if (exit) {
    core.exit(exit);
    return false;
  }

  const oldTr = s.segment(SEG.TR);
  const oldLayout = layoutOf(oldTr.rights);
  const nested = source === 'call' || source === 'idt';
  const oldRange = oldLayout.selectors + oldLayout.selectorCount * oldLayout.word - oldLayout.ip;
  if (!core.port.probe(core, tableAddress(core, oldTr.base, oldLayout.ip), oldRange, IMPLICIT_WRITE)) return false;
  if (!core.port.probe(core, d.base, layout.minimumLimit + 1, nested ? IMPLICIT_WRITE : IMPLICIT_READ)) return false;

  // the outgoing task
  const clearNt = source === 'iret' ? 1n << BigInt(RFLAGS.NT) : 0n;
  if (!saveTask(core, oldTr.base, oldLayout, returnRip, s.rflags & ~clearNt)) return false;
  // read now: the link may lead back to the task itself
  const incoming = readTask(core, d.base, layout);
  if (incoming === undefined) return false;
  if (source === 'jmp' || source === 'iret') {
    const at = descriptorAddress(core, oldTr.selector);
    const raw = at === undefined ? undefined : core.readSystem(at, 8);
    if (at !== undefined && raw === undefined) return false;
    if (at !== undefined && raw !== undefined && !core.writeSystem(at + 5n, 1, (raw >> 40n) & 0xfdn)) return false;
  }
  if (source !== 'iret' && !orTypeBits(core, d, BUSY)) return false;
  if (nested && !core.writeSystem(d.base, 2, BigInt(oldTr.selector))) return false;

  // from here on the new task
  s.setSegment(SEG.TR, { selector, base: d.base, limit: d.limit, rights: d.rights | BUSY });
  s.set(SLOT.CR0, s.get(SLOT.CR0) | (1n << BigInt(CR0.TS)));
  s.set(SLOT.DR7, s.get(SLOT.DR7) & ~DR7_LOCAL);
  return (
    loadTask(core, incoming, layout, nested) && pushErrorCode(core, layout, errorCode) && debugTrap(core, incoming)
  );
}

/** The TSS descriptor: in the GDT, of the right busy state, present. From IRET the complaint is #TS, else #GP. */
function checkTss(core: Core, selector: number, source: TaskSwitchSource, ext: number): Descriptor | undefined {
  const vector = source === 'iret' ? VECTOR.TS : VECTOR.GP;
  const error = selectorError(selector, ext);
  if (isNull(selector)) return fault(core, vector, because('selector-null', ROLE.TSS, selector), error);
  if ((selector & 4) !== 0) return fault(core, vector, because('selector-in-ldt', ROLE.TSS, selector), error);
  const d = fetchDescriptor(core, ROLE.TSS, selector, vector, ext);
  if (d === undefined) return undefined;
  const type = typeOf(d.rights);
  const right =
    source === 'iret'
      ? type === SYS_TYPE.TSS32_BUSY || type === SYS_TYPE.TSS16_BUSY
      : type === SYS_TYPE.TSS32 || type === SYS_TYPE.TSS16;
  if ((d.rights & RIGHTS.S) !== 0 || !right) {
    const wanted = source === 'iret' ? 'a busy TSS' : 'an available TSS';
    return fault(core, vector, because('descriptor-type', ROLE.TSS, selector, d.rights, wanted), error);
  }
  return isPresent(d.rights)
    ? d
    : fault(core, VECTOR.NP, because('descriptor-absent', ROLE.TSS, selector, d.rights), error);
}

interface Task {
  readonly cr3: bigint | undefined;
  readonly ip: bigint;
  readonly flags: bigint;
  readonly registers: readonly bigint[];
  readonly selectors: readonly number[];
  readonly ldt: number;
  readonly trap: boolean;
}

function readTask(core: Core, base: bigint, l: TssLayout): Task | undefined {
  let failed = false;
  const read = (offset: number, size: number): bigint => {
    const v = failed ? undefined : core.readSystem(tableAddress(core, base, offset), size);
    if (v === undefined) failed = true;
    return v ?? 0n;
  };
  const task: Task = {
    cr3: l.cr3 === undefined ? undefined : read(l.cr3, 4),
    ip: read(l.ip, l.word),
    flags: read(l.flags, l.word),
    registers: Array.from({ length: 8 }, (_, i) => read(l.registers + i * l.word, l.word)),
    selectors: Array.from({ length: l.selectorCount }, (_, i) => Number(read(l.selectors + i * l.word, 2))),
    ldt: Number(read(l.ldt, 2)),
    trap: l.trap !== undefined && (read(l.trap, 2) & 1n) !== 0n,
  };
  return failed ? undefined : task;
}

function saveTask(core: Core, base: bigint, l: TssLayout, ip: bigint, flags: bigint): boolean {
  const s = core.state;
  const write = (offset: number, size: number, value: bigint): boolean =>
    core.writeSystem(tableAddress(core, base, offset), size, value);
  if (!write(l.ip, l.word, ip) || !write(l.flags, l.word, flags)) return false;
  for (let i = 0; i < 8; i++) if (!write(l.registers + i * l.word, l.word, s.get(i))) return false;
  for (let i = 0; i < l.selectorCount; i++)
    if (!write(l.selectors + i * l.word, 2, BigInt(s.get32(SLOT.SELECTOR + i)))) return false;
  return true;
}

function loadTask(core: Core, t: Task, l: TssLayout, nested: boolean): boolean {
  const s = core.state;
  if (t.cr3 !== undefined && bit(s.get(SLOT.CR0), CR0.PG) && t.cr3 !== s.get(SLOT.CR3)) {
    if (cr4Bit(s, CR4.PAE) && !loadPdptes(core, t.cr3)) return false;
    s.set(SLOT.CR3, t.cr3);
    core.port.cr3Loaded(core, false);
  }
  s.rip = t.ip;
  s.rflags = t.flags | (nested ? 1n << BigInt(RFLAGS.NT) : 0n);
  // a 16-bit TSS leaves the upper halves as they were on the 386: ones
  t.registers.forEach((v, i) => s.set(i, l.word === 4 ? v : v | 0xffff_0000n));
  const selector = (index: number): number => t.selectors[index] ?? 0;
  const v86 = l.word === 4 && (t.flags & (1n << BigInt(RFLAGS.VM))) !== 0n;
  const cs = selector(SEG.CS);
  s.cpl = v86 ? 3 : cs & 3;
  // selectors are loaded first, and their hidden parts one by one: until a fault is handled, those that did not get that far are the old task's
  for (let i = 0; i < 6; i++) s.setSegment(i, { ...s.segment(i), selector: selector(i) });
  s.setSegment(SEG.LDTR, nullSegment(t.ldt));
  if (!loadLdtr(core, t.ldt, VECTOR.TS)) return false;
  if (v86) {
    for (let i = 0; i < 6; i++) s.setSegment(i, v86Segment(selector(i)));
    return true;
  }
  if (!loadTaskCode(core, cs)) return false;
  for (const index of [SEG.SS, SEG.ES, SEG.DS, SEG.FS, SEG.GS]) {
    const cache = prepareSegment(core, index, selector(index), VECTOR.TS);
    if (cache === undefined) return false;
    s.setSegment(index, cache);
  }
  return true;
}

const TASK_PRIVILEGE = "the new task's code has its DPL equal to the RPL, or not above it where it is conforming";

function loadTaskCode(core: Core, selector: number): boolean {
  const error = selectorError(selector);
  const rpl = selector & 3;
  const role = ROLE.CS;
  if (isNull(selector)) return deny(core, VECTOR.TS, because('selector-null', role, selector), 0);
  const d = fetchDescriptor(core, role, selector, VECTOR.TS);
  if (d === undefined) return false;
  const dpl = dplOf(d.rights);
  if (!isCode(d.rights))
    return deny(core, VECTOR.TS, because('descriptor-type', role, selector, d.rights, 'a code segment'), error);
  if (isConforming(d.rights) ? dpl > rpl : dpl !== rpl)
    return deny(core, VECTOR.TS, because('descriptor-privilege', role, selector, dpl, rpl, TASK_PRIVILEGE), error);
  if (!isPresent(d.rights)) return deny(core, VECTOR.NP, because('descriptor-absent', role, selector, d.rights), error);
  if (!orTypeBits(core, d, 1)) return false;
  core.state.setSegment(SEG.CS, cacheOf(d, selector));
  const { rip } = core.state;
  return Number(rip) <= d.limit || deny(core, VECTOR.GP, because('target-limit', rip, d.limit), 0);
}

function pushErrorCode(core: Core, l: TssLayout, errorCode: number | undefined): boolean {
  if (errorCode === undefined) return true;
  const push = new Pushes(core, currentStack(core)).push(BigInt(errorCode), l.word);
  if (!push.write()) return false;
  push.commit();
  return true;
}

/** The T flag of the new TSS: a debug trap before its first instruction. */
function debugTrap(core: Core, t: Task): boolean {
  if (t.trap) core.event = debugException(core.state, DR6_BT);
  return !t.trap;
}
