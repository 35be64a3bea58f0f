/** What the editor says about a mnemonic: our own words where a table has it, else what the encoder's tables tell. */
import { ARITHMETIC } from './arithmetic';
import { CONDITIONAL } from './conditions';
import type { InstructionDoc } from './doc';
import { FLOAT } from './float';
import { FLOW } from './flow';
import { LOGIC } from './logic';
import { MOVE } from './move';
import { PREFIXES, STRINGS } from './strings';
import { SYSTEM } from './system';
import { VECTOR } from './vector';
import { VIRTUALIZATION } from './virtualization';

export type { InstructionDoc } from './doc';

const DOCS: ReadonlyMap<string, InstructionDoc> = new Map(
  [ARITHMETIC, LOGIC, MOVE, FLOW, CONDITIONAL, STRINGS, SYSTEM, VIRTUALIZATION, FLOAT, VECTOR].flatMap((table) =>
    Object.entries(table),
  ),
);

/** Other spellings of the same instruction. */
const SAME: Readonly<Record<string, string>> = {
  retn: 'ret',
  retw: 'ret',
  retd: 'ret',
  retq: 'ret',
  retfw: 'retf',
  retfd: 'retf',
  retfq: 'retf',
  iretw: 'iret',
  xlat: 'xlatb',
  icebp: 'int1',
  int01: 'int1',
  int03: 'int3',
  pushfw: 'pushf',
  pushfd: 'pushf',
  pushfq: 'pushf',
  popfw: 'popf',
  popfd: 'popf',
  popfq: 'popf',
  pushaw: 'pusha',
  pushad: 'pusha',
  popaw: 'popa',
  popad: 'popa',
  fwait: 'wait',
  sysretq: 'sysret',
  sysexitq: 'sysexit',
  ud1: 'ud2',
  ud0: 'ud2',
  xsave64: 'xsave',
  xrstor64: 'xrstor',
  fxsave64: 'fxsave',
  fxrstor64: 'fxrstor',
  fnclex: 'fclex',
};

/** Our own words about a lower-case mnemonic. */
export const instructionDoc = (mnemonic: string): InstructionDoc | undefined => DOCS.get(SAME[mnemonic] ?? mnemonic);

export const prefixDoc = (word: string): string | undefined =>
  Object.hasOwn(PREFIXES, word) ? PREFIXES[word] : undefined;
export const prefixWords = (): string[] => Object.keys(PREFIXES);
