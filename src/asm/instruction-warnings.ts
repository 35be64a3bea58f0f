import type { Span } from '../base/diagnostic';
import { Code } from 'iced-x86';
import { hex } from '../base/hex';
import type { Bits } from './code-size';
import { ANY_CPU } from './cpu-levels';
import type { AsmCode } from './diagnostics';
import type { Candidate } from './match';
import type { Operand } from './operand';
import type { OperandSyntax, Prefixes } from './statement';
import { NO_PREFIXES } from './statement';

/** nasm's warnings about single instructions (nasm 2.16, by class), besides values that do not fit. */
export interface InstructionWarning {
  readonly name:
    | 'ea-absolute'
    | 'ea-dispsize'
    | 'number-overflow'
    | 'obsolete-removed'
    | 'obsolete-valid'
    | 'other'
    | 'prefix-bnd'
    | 'prefix-hle'
    | 'prefix-lock'
    | 'prefix-seg'
    | 'regsize';
  readonly code: AsmCode;
  readonly message: string;
  readonly span: Span;
}

/** By code: the last level of cpu-levels that had the instruction. */
const REMOVED = new Map<Code, number>([
  [Code.Popw_CS, 0],
  [Code.Loadall386, 3],
  [Code.Cmpxchg486_rm8_r8, 4],
  [Code.Cmpxchg486_rm16_r16, 4],
  [Code.Cmpxchg486_rm32_r32, 4],
  [Code.Ibts_rm16_r16, 3],
  [Code.Ibts_rm32_r32, 3],
]);

/** Exchanges with memory lock the bus by themselves, so elision needs no LOCK. */
const EXCHANGES: ReadonlySet<Code> = new Set([
  ...[Code.Xchg_rm8_r8, Code.Xchg_rm16_r16, Code.Xchg_rm32_r32, Code.Xchg_rm64_r64],
]);
/** Stores that may end an elision. */
const RELEASES: ReadonlySet<Code> = new Set([
  ...[Code.Mov_rm8_r8, Code.Mov_rm16_r16, Code.Mov_rm32_r32, Code.Mov_rm64_r64],
  ...[Code.Mov_rm8_imm8, Code.Mov_rm16_imm16, Code.Mov_rm32_imm32, Code.Mov_rm64_imm32],
]);
const FLAT_SEGMENTS: ReadonlySet<string> = new Set(['cs', 'ds', 'es', 'ss']);

/** Whether any warning can apply to an instruction: for most none can, and this runs for each in every pass. */
export function mayWarn({ form }: Candidate, operands: readonly Operand[], prefixes: Prefixes, bits: Bits): boolean {
  if (prefixes !== NO_PREFIXES || REMOVED.has(form.code)) return true;
  return operands.some((o) => {
    if (o.kind === 'register') return o.size !== 0;
    if (o.kind !== 'memory') return false;
    const { base, index, segment, displacement } = o.address;
    const isSmall = displacement >= -0x8000n && displacement <= 0xffffn;
    return (base === undefined && index === undefined) || (bits === 64 && segment !== undefined) || !isSmall || o.rel;
  });
}

export function* instructionWarnings(
  { form }: Candidate,
  operands: readonly Operand[],
  written: readonly OperandSyntax[],
  prefixes: Prefixes,
  at: { readonly bits: Bits; readonly cpu: number; readonly span: Span },
): Generator<InstructionWarning> {
  const { bits, cpu, span } = at;
  const until = REMOVED.get(form.code);
  if (until !== undefined)
    yield cpu !== ANY_CPU && cpu <= until
      ? { name: 'obsolete-valid', code: 'obsolete', message: 'later processors do not have this instruction', span }
      : { name: 'obsolete-removed', code: 'obsolete', message: 'later processors removed this instruction', span };
  const intoMemory = operands[0]?.kind === 'memory';
  if (prefixes.lock && !(form.lockable && intoMemory)) {
    const message =
      'lock is not allowed here: only a read-modify-write of memory takes it; any other instruction raises #UD';
    yield { name: 'prefix-lock', code: 'badPrefix', message, span };
  }
  if (prefixes.elides) {
    const word = prefixes.rep === 'repne' ? 'xacquire' : 'xrelease';
    const exchanges = intoMemory && EXCHANGES.has(form.code);
    const releases = word === 'xrelease' && intoMemory && RELEASES.has(form.code);
    if (!exchanges && !releases && !(form.lockable && intoMemory))
      yield { name: 'prefix-hle', code: 'badPrefix', message: `${word} has no effect on this instruction`, span };
    else if (!exchanges && !releases && !prefixes.lock)
      yield { name: 'prefix-hle', code: 'badPrefix', message: `${word} needs lock before this instruction`, span };
  }
  if (prefixes.bnd && form.operands.some((p) => p.kind === 'relative' && p.width === 8) && form.hasNear) {
    const message = 'a short jump does not touch the bound registers: bnd is omitted';
    yield { name: 'prefix-bnd', code: 'badPrefix', message, span };
  }
  for (const [i, syntax] of written.entries()) {
    const operand = operands[i];
    if (operand) yield* operandWarnings(operand, syntax, bits);
  }
  const segment =
    prefixes.segment ?? operands.map((o) => (o.kind === 'memory' ? o.address.segment : undefined)).find(Boolean);
  if (bits === 64 && segment !== undefined && FLAT_SEGMENTS.has(segment)) {
    const message = `64-bit mode ignores ${segment}: its base is 0 there`;
    yield { name: 'prefix-seg', code: 'badPrefix', message, span };
  }
}

function* operandWarnings(operand: Operand, syntax: OperandSyntax, bits: Bits): Generator<InstructionWarning> {
  const { span } = syntax;
  if (operand.kind === 'register') {
    if (operand.size !== 0 && operand.size !== operand.register.width && operand.register.width !== 0) {
      const message = `the size written before ${operand.register.name} does not match it and is ignored`;
      yield { name: 'regsize', code: 'ignored', message, span };
    }
    return;
  }
  if (operand.kind !== 'memory' || syntax.kind !== 'memory') return;
  const { base, index, sections, displacement, addressSize } = operand.address;
  const hasRegisters = base !== undefined || index !== undefined;
  if (bits === 64 && syntax.relative === true) {
    if (hasRegisters) {
      const message = 'an address with registers cannot be relative to RIP: rel is ignored';
      yield { name: 'other', code: 'ignored', message, span };
    } else if (sections.length === 0 && syntax.expr.kind !== 'symbol') {
      const message = `${hex(displacement)} is a plain number, so its distance from RIP changes when the code moves`;
      yield { name: 'ea-absolute', code: 'badAddress', message, span };
    }
  }
  const limit = 1n << BigInt(addressSize);
  if (addressSize !== 64 && sections.length === 0 && (displacement < -(limit >> 1n) || displacement >= limit)) {
    const message = `${displacement < 0n ? displacement : hex(displacement)} does not fit in an address of ${addressSize} bits`;
    yield { name: 'number-overflow', code: 'truncated', message, span };
  }
  if (!hasRegisters && syntax.displacementSize !== 0 && syntax.displacementSize !== addressSize) {
    // In 64-bit mode 32 bits are what an address without registers has.
    if (bits === 64 && syntax.displacementSize === 32) return;
    const message = 'an address without registers has a displacement of fixed size: the size written is ignored';
    yield { name: 'ea-dispsize', code: 'ignored', message, span };
  }
}
