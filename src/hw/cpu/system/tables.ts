import { isCanonical } from '../../../base/bits';
import { VECTOR } from '../../../isa/exceptions';
import { because } from '../../../isa/reasons/index';
import { VMX_EXIT } from '../../../isa/exits';
import { SEG, SLOT } from '../../state/layout';
import { SYS_EVENT, SYS_NEXT, type Core } from '../core';
import { dataAccess, writeLinear } from './access';
import { umipAllows } from './control';
import { displacementOf, instructionInfo } from './instruction-info';
import { isLong64, isParagraphMode, isV86 } from './modes';
import { memoryOperand, operandAddress, readOperand16, readOperandMemory, writeOperand16 } from './operand';
import { requireCpl0 } from './raise';
import { loadLdtr, loadTr } from './segments';
import type { SystemFunction } from './table';

/** Identities in the instruction-information field: SDM vol. 3, 27.2.5. */
const TABLE_ID = { sgdt: 0, sidt: 1, lgdt: 2, lidt: 3 } as const;
const SEGMENT_ID = { sldt: 0, str: 1, lldt: 2, ltr: 3 } as const;

/** True: a VM exit was recorded. */
function tableExit(core: Core, reason: number, identity: number): boolean {
  const operandSize32 = reason === VMX_EXIT.GDTR_IDTR && core.insn.operandBits !== 16;
  const exit = core.intercepts?.descriptorTable(
    core,
    reason,
    instructionInfo(core, 0, { identity, operandSize32 }),
    displacementOf(core, 0),
  );
  if (!exit) return false;
  core.exit(exit);
  return true;
}

type TableRegister = { readonly base: number; readonly limit: number };
const GDTR: TableRegister = { base: SLOT.GDTR_BASE, limit: SLOT.GDTR_LIMIT };
const IDTR: TableRegister = { base: SLOT.IDTR_BASE, limit: SLOT.IDTR_LIMIT };

/** LGDT LIDT: limit word, then base: 8 bytes in 64-bit mode, else 4, of which a 16-bit operand size keeps 24 bits. Not in virtual-8086 mode. */
const loadTable =
  (register: TableRegister, identity: number): SystemFunction =>
  (core) => {
    const s = core.state;
    if (isV86(s)) return core.raise(VECTOR.GP, because('cpl', s.cpl), 0);
    if (!requireCpl0(core) || tableExit(core, VMX_EXIT.GDTR_IDTR, identity)) return SYS_EVENT;
    const long = isLong64(s);
    const m = memoryOperand(core, 0);
    const limit = readOperandMemory(core, m, 0, 2);
    const base = limit === undefined ? undefined : readOperandMemory(core, m, 2, long ? 8 : 4);
    if (limit === undefined || base === undefined) return SYS_EVENT;
    if (long && !isCanonical(base, core.model.linearBits)) return core.raise(VECTOR.GP, because('table-base', base), 0);
    s.set(register.limit, limit);
    s.set(register.base, !long && core.insn.operandBits === 16 ? base & 0xff_ffffn : base);
    return SYS_NEXT;
  };
export const lgdt = loadTable(GDTR, TABLE_ID.lgdt);
export const lidt = loadTable(IDTR, TABLE_ID.lidt);

/** SGDT SIDT: ten bytes in 64-bit mode, else six; processors after the 286 store all 32 bits of the base whatever the operand size. */
const storeTable =
  (register: TableRegister, identity: number): SystemFunction =>
  (core) => {
    if (!umipAllows(core) || tableExit(core, VMX_EXIT.GDTR_IDTR, identity)) return SYS_EVENT;
    const s = core.state;
    const width = isLong64(s) ? 8 : 4;
    const m = memoryOperand(core, 0);
    const at = operandAddress(core, m, 0, 2, true);
    const rest = at === undefined ? undefined : operandAddress(core, m, 2, width, true);
    if (at === undefined || rest === undefined || !core.port.probe(core, rest, width, dataAccess(core, 'write')))
      return SYS_EVENT;
    return writeLinear(core, at, 2, s.get(register.limit)) && writeLinear(core, rest, width, s.get(register.base))
      ? SYS_NEXT
      : SYS_EVENT;
  };
export const sgdt = storeTable(GDTR, TABLE_ID.sgdt);
export const sidt = storeTable(IDTR, TABLE_ID.sidt);

const loadSystemSegment =
  (load: (core: Core, selector: number) => boolean, identity: number): SystemFunction =>
  (core) => {
    if (isParagraphMode(core.state)) return core.raise(VECTOR.UD, because('mode-paragraph'));
    if (!requireCpl0(core) || tableExit(core, VMX_EXIT.LDTR_TR, identity)) return SYS_EVENT;
    const selector = readOperand16(core, 0);
    return selector !== undefined && load(core, selector) ? SYS_NEXT : SYS_EVENT;
  };
export const lldt = loadSystemSegment((core, selector) => loadLdtr(core, selector), SEGMENT_ID.lldt);
export const ltr = loadSystemSegment(loadTr, SEGMENT_ID.ltr);

/** SLDT STR: a register destination gets the selector zero-extended to its width, memory 16 bits. */
const storeSystemSegment =
  (index: number, identity: number): SystemFunction =>
  (core) => {
    if (isParagraphMode(core.state)) return core.raise(VECTOR.UD, because('mode-paragraph'));
    if (!umipAllows(core) || tableExit(core, VMX_EXIT.LDTR_TR, identity)) return SYS_EVENT;
    return writeOperand16(core, 0, BigInt(core.state.get32(SLOT.SELECTOR + index))) ? SYS_NEXT : SYS_EVENT;
  };
export const sldt = storeSystemSegment(SEG.LDTR, SEGMENT_ID.sldt);
export const str = storeSystemSegment(SEG.TR, SEGMENT_ID.str);
