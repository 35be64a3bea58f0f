import type { Span } from '../base/diagnostic';
import type { Bits } from './code-size';
import type { Form, OperandPattern } from './forms';
import { formsOf } from './forms';
import { ALIASES, ASSUMED_MEMORY_SIZE, BY_MODE, BY_OPERAND_SIZE, LATE_VEX } from './names';
import type { Operand } from './operand';
import type { RegisterInfo } from './registers';
import { needsRex } from './registers';
import { exchangeOrders, loopCounter, meantMnemonic, rewrites, substitute, writtenAddressSize } from './rewrites';
import type { Prefixes } from './statement';
import type { Value } from './value';
import { isSimple } from './value';

/** A form and the operands in its order (which may differ from the written one: `xchg`, `test`, `imul r, imm`). */
export interface Candidate {
  readonly form: Form;
  readonly operands: readonly Operand[];
}

export type MatchFailure = {
  readonly code: 'badOperands' | 'operandSize' | 'wrongMode' | 'outOfRange' | 'notConstant';
  readonly message: string;
};

/** Answers whether a short jump reaches, by NASM's rule: the target lies in the same section and within a signed byte. */
export type ReachesShort = (target: Value, length: number) => boolean;

const signedByte = (n: bigint, width: number): boolean => BigInt.asUintN(Math.min(width, 32), n + 128n) <= 255n;

function immediateFits(
  p: Extract<OperandPattern, { kind: 'immediate' }>,
  op: Extract<Operand, { kind: 'immediate' }>,
): boolean {
  const { value, size, strict } = op;
  if (p.one) return size === 0 && !strict && (value.unknown || (isSimple(value) && value.number === 1n));
  if (p.nibble) return true;
  if (p.extendsTo === 0) return size === 0 || size === p.width;
  if (p.width === 8) {
    if (size === 8) return true;
    const sized = size === 0 || size === p.extendsTo || (p.extendsTo === 64 && size === 32);
    return sized && !strict && (value.unknown || (isSimple(value) && signedByte(value.number, p.extendsTo)));
  }
  return size === 0 || size === 32 || size === 64;
}

function registerFits(
  p: Extract<OperandPattern, { kind: 'register' }>,
  r: RegisterInfo,
  form: Form,
  bits: Bits,
): boolean {
  if (p.class !== r.class) return false;
  if (bits !== 64 && r.number > 7 && r.class !== 'control') return false;
  return r.number < 16 || form.encoding === 'evex';
}

const only64 = (r: RegisterInfo): boolean =>
  r.class === 'r64' || needsRex(r) || (r.number > 7 && r.class !== 'control');

/** Sizes that a person writes; tables of other sizes (descriptor-table registers, FPU state) take none. */
const WRITABLE = new Set([8, 16, 32, 64, 80, 128, 256, 512]);

function memoryFits(
  p: OperandPattern,
  op: Extract<Operand, { kind: 'memory' }>,
  form: Form,
  prefixes: Prefixes,
): boolean {
  const { address, size } = op;
  if (p.kind === 'offset') {
    if (!address.direct || prefixes.elides) return false;
  } else if (address.needsDirect) {
    return false;
  } else if (p.kind === 'memory') {
    if (p.vector !== address.vector) return false;
  } else if (p.kind === 'register' && p.memory) {
    if (address.vector !== undefined) return false;
  } else {
    return false;
  }
  if (form.pointer === 'far' && (form.operands.length === 1) !== (op.distance === 'far'))
    return form.operands.length === 2;
  if (form.pointer === 'near' && op.distance === 'far') return false;
  const bitsOf =
    op.decorators.broadcast !== undefined
      ? form.broadcastBits
      : form.pointer !== undefined
        ? form.operandSize
        : form.memoryBits;
  if (op.decorators.broadcast !== undefined) {
    if (form.broadcastBits === 0 || form.broadcastBits * op.decorators.broadcast !== form.memoryBits) return false;
  }
  return size === 0 || bitsOf === size || !WRITABLE.has(bitsOf);
}

function operandFits(
  p: OperandPattern,
  op: Operand,
  form: Form,
  bits: Bits,
  reaches: ReachesShort,
  prefixes: Prefixes,
): boolean {
  switch (op.kind) {
    case 'register':
      if (p.kind === 'fixed') return p.name === op.register.name;
      return p.kind === 'register' && registerFits(p, op.register, form, bits);
    case 'memory':
      return memoryFits(p, op, form, prefixes);
    case 'immediate':
      if (p.kind === 'relative') return relativeFits(p, op, form, bits, reaches);
      return p.kind === 'immediate' && immediateFits(p, op);
    case 'far':
      return p.kind === 'far' && (op.size === 0 ? p.width === (bits === 16 ? 16 : 32) : op.size === p.width);
  }
}

function relativeFits(
  p: Extract<OperandPattern, { kind: 'relative' }>,
  op: Extract<Operand, { kind: 'immediate' }>,
  form: Form,
  bits: Bits,
  reaches: ReachesShort,
): boolean {
  if (op.distance === 'far') return false;
  if (op.size !== 0 && form.operandSize !== 0 && op.size !== form.operandSize) return false;
  const modeSized = form.operandSize === bits || (p.branch === 'mode' && form.operandSize === (bits === 16 ? 16 : 32));
  if (op.size === 0 && form.operandSize !== 0 && !modeSized) return false;
  if (!form.hasNear) return op.distance === undefined;
  if (op.distance === 'short') return p.width === 8;
  if (op.distance === 'near' || op.strict || op.size !== 0) return p.width !== 8;
  return (p.width === 8) === (form.hasShort && reaches(op.value, 2));
}

function formFits(
  form: Form,
  operands: readonly Operand[],
  bits: Bits,
  prefixes: Prefixes,
  reaches: ReachesShort,
): boolean {
  if (form.operands.length !== operands.length || !form.modes.includes(bits)) return false;
  if (prefixes.encoding !== undefined && prefixes.encoding !== 'rex') {
    if (form.encoding !== (prefixes.encoding === 'evex' ? 'evex' : 'vex')) return false;
  }
  for (let i = 0; i < operands.length; i++) {
    const p = form.operands[i];
    const op = operands[i];
    if (p === undefined || op === undefined || !operandFits(p, op, form, bits, reaches, prefixes)) return false;
    if (op.kind === 'register' || op.kind === 'memory') {
      const d = op.decorators;
      if (d.mask !== undefined && !form.canMask) return false;
      if (d.zeroing && !form.canZero) return false;
      if (d.rounding && !form.canRound) return false;
      if (d.sae && !d.rounding && !form.canSae) return false;
    }
  }
  return true;
}

const forced = (prefix: Prefixes['operandSize'], bits: Bits): number =>
  prefix === 'other' ? (bits === 16 ? 32 : 16) : (prefix ?? 0);

/**
 * Of two candidates of one length, whether NASM takes `a`: a sign-extended byte before a full immediate, the x87 form that writes st(i)
 * before the one that reads it, `movq` between vector register and memory before its general-register form. Otherwise the table's order decides, which lists `op r/m, r` before `op r, r/m` as NASM does.
 */
export function preferred(a: Candidate, b: Candidate): boolean {
  const immediate = (c: Candidate): number => {
    const p = c.form.operands[c.form.operands.length - 1];
    return p?.kind === 'immediate' ? p.width : 0;
  };
  const writesStack = (c: Candidate): boolean => {
    const [x, y] = c.form.operands;
    return x?.kind === 'register' && x.class === 'st' && y?.kind === 'fixed' && y.name === 'st0';
  };
  const vectorMemory = (c: Candidate): boolean =>
    c.operands.some((o, i) => {
      const p = c.form.operands[i];
      return o.kind === 'memory' && p?.kind === 'register' && (p.class === 'xmm' || p.class === 'mm');
    });
  return immediate(a) < immediate(b) || (writesStack(a) && !writesStack(b)) || (vectorMemory(a) && !vectorMemory(b));
}

function tableName(mnemonic: string, bits: Bits, prefixes: Prefixes): string {
  const size = forced(prefixes.operandSize, bits);
  if (size === 16 || size === 32 || size === 64) return BY_OPERAND_SIZE[mnemonic]?.[size] ?? mnemonic;
  return BY_MODE[mnemonic]?.[bits] ?? mnemonic;
}

/**
 * The forms that could encode an instruction, in the table's order; the caller takes the shortest, the first of equals.
 * A missing operand size is an error, unless every candidate agrees.
 */
export function candidates(
  mnemonic: string,
  written: readonly Operand[],
  bits: Bits,
  prefixes: Prefixes,
  reaches: ReachesShort,
  span: Span,
): readonly Candidate[] | MatchFailure {
  const meant = meantMnemonic(mnemonic, written);
  if (meant !== mnemonic) return candidates(meant, written, bits, prefixes, reaches, span);
  const addressSize = writtenAddressSize(mnemonic, written);
  const counter = addressSize ?? loopCounter(mnemonic, written);
  const operands = addressSize !== undefined ? [] : counter === undefined ? written : written.slice(0, 1);
  const high = written.find((o) => o.kind === 'register' && bits !== 64 && only64(o.register));
  if (high?.kind === 'register') {
    return {
      code: 'wrongMode',
      message: `${high.register.name} exists in 64-bit mode only; put \`bits 64\` before this code`,
    };
  }
  const name = tableName(mnemonic, bits, prefixes);
  const alias = ALIASES[name];
  const forms = formsOf(name);
  const special = substitute(mnemonic, operands, bits);
  for (const ordered of rewrites(mnemonic, special, bits, span)) {
    const tries: (readonly Operand[])[] =
      mnemonic === 'xchg' && ordered.length === 2 ? exchangeOrders(ordered) : [ordered];
    let found: Candidate[] = tries.flatMap((ops) =>
      forms
        .filter((f) => formFits(f, ops, bits, prefixes, reaches))
        .map((form): Candidate => ({ form, operands: ops })),
    );
    if (counter !== undefined) found = found.filter((c) => c.form.addressSize === counter);
    if (mnemonic === 'xchg') found = found.filter((c) => !isNopExchange(c, bits));
    const wanted = alias?.operandSize ?? forced(prefixes.operandSize, bits);
    if (wanted !== 0) {
      const exact = found.filter((c) => c.form.operandSize === wanted);
      if (exact.length > 0) found = exact;
    }
    found = preferEncoding(mnemonic, found, prefixes);
    if (wanted === 0) found = naturalSize(found, ordered, bits);
    if (found.length > 0) return checkSizes(mnemonic, found, ordered);
  }
  // A 64-bit address that no direct form can take is cut to 32 bits, as NASM does.
  if (special.some((o) => o.kind === 'memory' && o.address.needsDirect)) {
    const cut = written.map((o): Operand =>
      o.kind === 'memory' ? { ...o, address: { ...o.address, needsDirect: false, direct: false } } : o,
    );
    return candidates(mnemonic, cut, bits, prefixes, reaches, span);
  }
  return explain(mnemonic, forms, special, bits);
}

/** Among AVX forms NASM takes VEX before EVEX (a few late ones the other way round), and the first of its table, not the shortest. */
function preferEncoding(mnemonic: string, found: Candidate[], prefixes: Prefixes): Candidate[] {
  if (prefixes.encoding !== undefined || found.every((c) => c.form.encoding === 'legacy')) return found;
  const first = LATE_VEX.has(mnemonic) ? 'evex' : 'vex';
  const wanted = found.filter((c) => c.form.encoding === first);
  return wanted.length > 0 ? wanted : found;
}

/**
 * Where no operand says what the operand size is, it is the mode's (64 in 64-bit mode where such a form exists, else 32). An immediate's
 * size keyword says it, as in `push word 5`.
 */
function naturalSize(found: Candidate[], operands: readonly Operand[], bits: Bits): Candidate[] {
  const general = (r: RegisterInfo): boolean =>
    r.class === 'r8' || r.class === 'r16' || r.class === 'r32' || r.class === 'r64';
  const farPointer = operands.some((o) => o.kind === 'memory' && o.distance === 'far' && o.size === 0);
  // In 64-bit mode NASM gives an unsized far pointer 64 bits of offset.
  if (farPointer && bits === 64) return found.filter((c) => c.form.operandSize === 64);
  if (operands.some((o) => (o.kind === 'register' && general(o.register)) || o.kind === 'memory')) return found;
  const written = operands.find((o) => o.kind === 'immediate' && o.size > 8);
  if (written?.kind === 'immediate') {
    const exact = found.filter(
      (c) => c.form.operandSize === written.size || (bits === 64 && written.size === 32 && c.form.operandSize === 64),
    );
    if (exact.length > 0) return exact;
  }
  const wants = (f: Form): boolean =>
    f.operandSize === 0 ||
    (bits === 64 ? (f.operandSize === 64 ? f.default64 : f.operandSize === 32) : f.operandSize === bits);
  const natural = found.filter((c) => wants(c.form));
  return natural.length > 0 ? natural : found;
}

/** `xchg eax, eax` clears the high half of rax in 64-bit mode; its short form would be a nop. */
const isNopExchange = (c: Candidate, bits: Bits): boolean =>
  bits === 64 &&
  c.form.operandSize === 32 &&
  c.form.operands.some((p) => p.kind === 'fixed') &&
  c.operands.every((o) => o.kind === 'register' && o.register.name === 'eax');

/** `mov rax, imm` may take the sign-extended 32-bit form only where the value is known to fit. */
function longImmediateOk(c: Candidate): boolean {
  const [a, b] = c.operands;
  const p = c.form.operands[1];
  if (
    a?.kind !== 'register' ||
    a.register.class !== 'r64' ||
    b?.kind !== 'immediate' ||
    p?.kind !== 'immediate' ||
    p.extendsTo !== 64 ||
    p.width !== 32
  )
    return true;
  if (b.size === 32) return true;
  return !b.strict && isSimple(b.value) && b.value.number >= -0x8000_0000n && b.value.number <= 0x7fff_ffffn;
}

function checkSizes(
  mnemonic: string,
  found: Candidate[],
  operands: readonly Operand[],
): readonly Candidate[] | MatchFailure {
  const usable = found.some((c) => c.form.operands.some((p) => p.kind === 'immediate' && p.width === 64))
    ? found.filter(longImmediateOk)
    : found;
  const memory = operands.find((o) => o.kind === 'memory');
  if (memory?.kind !== 'memory' || memory.size !== 0) return usable;
  const immediate = operands.find((o) => o.kind === 'immediate');
  const sizes = new Set(
    usable.filter((c) => c.form.pointer === undefined && WRITABLE.has(c.form.memoryBits)).map((c) => c.form.memoryBits),
  );
  if (sizes.size <= 1) return usable;
  const assumed = ASSUMED_MEMORY_SIZE[mnemonic];
  if (assumed !== undefined && sizes.has(assumed)) return usable.filter((c) => c.form.memoryBits === assumed);
  if (immediate?.kind === 'immediate' && immediate.size !== 0 && operands.length === 2) {
    const bySize = usable.filter((c) => c.form.memoryBits === immediate.size);
    if (bySize.length > 0) return bySize;
  }
  return {
    code: 'operandSize',
    message: 'the size of the memory operand is not known; write byte, word, dword or qword before the bracket',
  };
}

function explain(mnemonic: string, forms: readonly Form[], operands: readonly Operand[], bits: Bits): MatchFailure {
  if (!forms.some((f) => f.modes.includes(bits))) {
    const where = [...new Set(forms.flatMap((f) => f.modes))].map((m) => `bits ${m}`).join(' or ');
    return { code: 'wrongMode', message: `${mnemonic} does not exist in ${bits}-bit mode; it does under ${where}` };
  }
  if (operands.some((o) => o.kind === 'immediate' && o.distance === 'far'))
    return {
      code: 'badOperands',
      message: `a label of a flat binary has no segment to ${mnemonic} to; write selector and offset, as \`${mnemonic} 8:label\``,
    };
  const jump = operands.find((o) => o.kind === 'immediate' && o.distance !== undefined);
  if (jump?.kind === 'immediate' && forms.some((f) => f.hasShort && !f.hasNear))
    return {
      code: 'badOperands',
      message: `${mnemonic} has one kind of target, a short one; leave out \`${jump.distance ?? ''}\``,
    };
  const counts = [...new Set(forms.map((f) => f.operands.length))].sort();
  if (!counts.includes(operands.length)) {
    return {
      code: 'badOperands',
      message: `${mnemonic} takes ${counts.join(' or ')} ${counts.join() === '1' ? 'operand' : 'operands'}, not ${operands.length}`,
    };
  }
  return {
    code: 'badOperands',
    message: `${mnemonic} does not take these operands in ${bits}-bit mode; check their kinds and that their sizes agree`,
  };
}
