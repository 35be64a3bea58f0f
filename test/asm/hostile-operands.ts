import type { Form, OperandPattern } from '../../src/asm/forms';
import { formsOf, mnemonics } from '../../src/asm/forms';
import type { FormCombinations } from './combinations';
import { SIZE } from './combinations';

/**
 * Operands whose bytes look like prefixes and opcodes: whoever goes by the value of an encoded byte instead of its place takes a displacement
 * or an immediate for a part of the instruction.
 */
const BYTES = [
  ...[0x0f, 0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x9b, 0xc4, 0xc5, 0x62, 0x8f],
  ...Array.from({ length: 16 }, (_, i) => 0x40 + i),
  ...[0x0f, 0x0f, 0x0f],
];

type Pick = (n: number) => number;

function sequence(seed: number): Pick {
  let state = seed >>> 0;
  return (n) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % n;
  };
}

class Operands {
  constructor(
    private readonly bits: 16 | 32 | 64,
    private readonly pick: Pick,
  ) {}

  private choose<T>(list: readonly [T, ...T[]]): T {
    return list[this.pick(list.length)] ?? list[0];
  }

  /** A signed number of `width` bits, each byte of it one of those. */
  number(width: number): bigint {
    let n = 0n;
    for (let i = 0; i < width; i += 8) n = (n << 8n) | BigInt(BYTES[this.pick(BYTES.length)] ?? 0);
    return BigInt.asIntN(width, n);
  }

  private register(p: Extract<OperandPattern, { kind: 'register' }>, form: Form): string | undefined {
    const long = this.bits === 64;
    const n = this.pick(long ? 16 : 8);
    const wide = this.pick(form.encoding === 'evex' && long ? 32 : long ? 16 : 8);
    const low8 = ['al', 'cl', 'dl', 'bl', 'spl', 'bpl', 'sil', 'dil'];
    const low = ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di'];
    switch (p.class) {
      case 'r8':
        return long
          ? n > 7
            ? `r${n}b`
            : this.pick(6) === 0
              ? ['ah', 'ch', 'dh', 'bh'][n % 4]
              : low8[n]
          : (low8.slice(0, 4)[n] ?? ['ah', 'ch', 'dh', 'bh'][n % 4]);
      case 'r16':
        return n > 7 ? `r${n}w` : low[n];
      case 'r32':
        return n > 7 ? `r${n}d` : `e${low[n] ?? ''}`;
      case 'r64':
        return n > 7 ? `r${n}` : `r${low[n] ?? ''}`;
      case 'segment':
        return this.choose(['es', 'ss', 'ds', 'fs', 'gs']);
      case 'control':
        return this.choose(long ? ['cr0', 'cr2', 'cr4', 'cr8'] : ['cr0', 'cr3', 'cr4']);
      case 'debug':
        return this.choose(['dr0', 'dr6', 'dr7']);
      case 'test':
        return this.choose(['tr6', 'tr7']);
      case 'st':
        return `st${n % 8}`;
      case 'mm':
        return `mm${n % 8}`;
      case 'mask':
        return `k${1 + (n % 7)}`;
      case 'tile':
        return undefined; // three of them must differ; forms.test.ts has them
      case 'bound':
        return `bnd${n % 4}`;
      default:
        return `${p.class}${wide}`;
    }
  }

  private address(size: 16 | 32 | 64): readonly string[] {
    if (size === 16) {
      const base = this.choose(['bx+si', 'bp+di', 'bp', 'di', 'si', 'bx', '']);
      return base === '' ? [] : [base];
    }
    const kind = this.pick(6);
    if (kind === 0) return [];
    const name = (n: number): string =>
      n > 7
        ? `r${n}${size === 32 ? 'd' : ''}`
        : `${size === 32 ? 'e' : 'r'}${['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di'][n] ?? ''}`;
    const registers = this.bits === 64 ? 16 : 8;
    const base = name(this.pick(registers));
    if (kind < 3) return [base];
    let index = this.pick(registers);
    if (index === 4) index = 5;
    if (kind === 5) return [`${name(index)}*${this.choose([4, 8])}`];
    return [base, `${name(index)}*${this.choose([1, 2, 4, 8])}`];
  }

  memory(p: OperandPattern, form: Form): string {
    const size = this.pick(5) !== 0 ? this.bits : this.bits === 64 ? 32 : this.bits === 32 ? 16 : 32;
    const vector = p.kind === 'memory' && p.vector;
    const parts = [...this.address(vector && size === 16 ? 32 : size)];
    if (p.kind === 'memory' && p.sib && parts.length === 0) parts.push(this.bits === 64 ? 'r9' : 'ebx');
    if (vector) {
      parts.splice(1);
      const highest = this.bits === 64 ? (form.encoding === 'evex' ? 32 : 16) : 8;
      parts.push(`${vector}${this.pick(highest)}*${this.choose([1, 2, 4, 8])}`);
    }
    const addressBits = size === 16 && !vector ? 16 : 32;
    // A compressed displacement is a byte times the size of what is accessed.
    const scale = form.encoding === 'evex' && this.pick(2) === 0 ? BigInt(Math.max(1, form.memoryBits / 8)) : 1n;
    const displacement = this.pick(3) === 0 ? this.number(8) * scale : this.number(addressBits);
    let text = parts.join('+');
    if (parts.length === 0 || this.pick(8) !== 0) {
      const shown = parts.length === 0 ? BigInt.asUintN(addressBits === 16 ? 16 : 31, displacement) : displacement;
      text += `${shown < 0n ? '-' : parts.length > 0 ? '+' : ''}0x${(shown < 0n ? -shown : shown).toString(16)}`;
    }
    if (parts.length === 0 && this.bits === 64 && this.pick(2) === 0) text = `rel $+${text}`;
    else if (this.pick(6) === 0) text = `${this.choose(['es', 'cs', 'ss', 'ds', 'fs', 'gs'])}:${text}`;
    const sized = SIZE[form.memoryBits];
    return sized === undefined ? `[${text}]` : `${sized} [${text}]`;
  }

  operand(p: OperandPattern, form: Form): string | undefined {
    const hex = (n: bigint): string => `${n < 0n ? '-' : ''}0x${(n < 0n ? -n : n).toString(16)}`;
    switch (p.kind) {
      case 'register':
        return p.memory && this.pick(4) !== 0 ? this.memory(p, form) : this.register(p, form);
      case 'memory':
        return this.memory(p, form);
      case 'offset':
        return this.bits === 64
          ? `[qword 0x${BigInt.asUintN(64, this.number(64)).toString(16)}]`
          : `[0x${BigInt.asUintN(this.bits, this.number(this.bits)).toString(16)}]`;
      case 'fixed':
        return p.name;
      case 'immediate':
        if (p.one) return '1';
        return hex(p.nibble ? BigInt(this.pick(16)) : this.number(p.width));
      case 'relative':
        if (p.width === 8) return `short $+2${this.pick(2) === 0 ? '-' : '+'}${0x40 + this.pick(16)}`;
        return `near $+${hex(BigInt.asUintN(Math.min(p.width, this.bits) - 2, this.number(p.width)))}`;
      case 'far':
        return `${hex(BigInt.asUintN(16, this.number(16)))}:${p.width === 32 ? 'dword' : 'word'} ${hex(
          BigInt.asUintN(p.width, this.number(p.width)),
        )}`;
      case 'implied':
        return undefined;
    }
  }
}

/** For every form of a mode that has operands, `rounds` instructions with such operands; the same ones in every run. */
export function hostileCombinations(bits: 16 | 32 | 64, rounds: number, seed: number): FormCombinations[] {
  const pick = sequence(seed + bits);
  const operands = new Operands(bits, pick);
  const out: FormCombinations[] = [];
  for (const mnemonic of new Set(mnemonics())) {
    for (const form of formsOf(mnemonic)) {
      if (!form.modes.includes(bits) || form.operands.length === 0) continue;
      const texts = new Set<string>();
      for (let round = 0; round < rounds; round++) {
        const list = form.operands.map((p) => operands.operand(p, form));
        if (list.some((o) => o === undefined)) continue;
        const vsib = form.operands.some((p) => p.kind === 'memory' && p.vector);
        if (form.encoding === 'evex' && form.canMask && (vsib || pick(3) === 0) && list[0] !== undefined)
          list[0] += `{k${1 + pick(7)}}`;
        const prefix =
          form.encoding === 'vex' || form.encoding === 'evex'
            ? `{${form.encoding}} `
            : form.lockable && pick(4) === 0
              ? 'lock '
              : '';
        texts.add(`${prefix}${mnemonic} ${list.join(', ')}`);
      }
      out.push({ mnemonic, form, texts: [...texts] });
    }
  }
  return out;
}
