import type { Diagnostic } from '../../base/diagnostic';
import { hex } from '../../base/hex';
import { err, ok } from '../../base/result';
import { gprPart } from '../../isa/registers';
import { locate, parseExpression } from '../../expr/index';
import type { Answer } from '../answer';
import { sessionError } from '../diagnostics';
import { evaluateExpression } from './evaluate';
import { unmetEntryChecks } from '../guest/entry-checks';
import type { Place } from '../stack/frame-registers';
import type { GuestView } from '../guest/view';
import type { MemoryAccess } from '../guest/memory';
import type { Names } from './names';
import type { Machine } from '../../vmm/machine';
import { readWide } from '../guest/fp-registers';
import { RegisterWriter, fits } from '../guest/register-writes';
import { isRegisterName } from '../guest/registers';
import type { Evaluation, SpaceAddress, ViewNode } from '../types';
import type { Views } from '../views';
import { writeVmcbField } from '../views/vmcb';
import { writeVmcsField } from '../views/vmcs';

type FieldWriter = (guest: GuestView, name: string, value: bigint) => string | undefined;

/** Setting registers, flags, memory operands and guest table entries to the value of an expression. */
export class Assignment {
  constructor(
    private readonly guest: GuestView,
    private readonly memory: MemoryAccess,
    private readonly names: Names,
    private readonly views: Views,
    private readonly machine: Machine,
  ) {
    this.registers = new RegisterWriter(guest, machine);
  }
  private readonly registers: RegisterWriter;

  /** `path` names a row of a view that says `editable`. */
  setValue(path: string, text: string): Answer<string> {
    const node = this.views.node(path);
    if (!node) return err([sessionError('unknownView', `there is nothing called \`${path}\` now`, path)]);
    const register = node.evaluateName ?? node.name;
    const why = this.names.frame?.whyReadOnly(register);
    if (why !== undefined || !node.editable)
      return err([sessionError('notWritable', why ?? `\`${node.name}\` cannot be set`, path)]);
    if (this.registers.isWide(register)) {
      const problem = this.registers.writeWide(register, this.wideText(text));
      if (problem !== undefined) return err([sessionError('notWritable', problem, path)]);
      return ok(this.views.node(path)?.value ?? text);
    }
    const value = this.number(text);
    if (!value.ok) return value;
    const raw = value.value;
    const isEntry = node.kind === 'table' || node.kind === 'page' || node.kind === 'large-page';
    const problem = isEntry
      ? this.setEntry(node, raw)
      : path.startsWith('vmcs/')
        ? this.setField(node.name, raw, writeVmcsField)
        : path.startsWith('vmcb/')
          ? this.setField(node.name, raw, writeVmcbField)
          : this.writeRegister(register, raw);
    if (problem !== undefined) return err([sessionError('notWritable', problem, path)]);
    return ok(this.views.node(path)?.value ?? hex(raw));
  }

  /** A register, a flag, or a memory operand. */
  assign(target: string, text: string): Answer<Evaluation> {
    const parsed = parseExpression(target, 'expression');
    if (!parsed.ok) return parsed;
    const expr = parsed.value;
    if (expr.kind === 'name' && this.registers.isWide(expr.name)) {
      const problem =
        this.names.frame?.whyReadOnly(expr.name) ?? this.registers.writeWide(expr.name, this.wideText(text));
      if (problem !== undefined) return err([sessionError('notWritable', problem, 'expression', expr.span)]);
      return this.now(target);
    }
    const value = this.number(text);
    if (!value.ok) return value;
    const raw = value.value;
    const refuse = (code: 'notWritable' | 'noMemory', message: string): { ok: false; error: readonly Diagnostic[] } =>
      err([sessionError(code, message, 'expression', expr.span)]);
    const isMsr = expr.kind === 'name' && this.names.isMsr(expr.name);
    if (expr.kind === 'name' && (isMsr || isRegisterName(expr.name))) {
      const problem = this.writeRegister(expr.name, raw);
      if (problem !== undefined) return refuse('notWritable', problem);
    } else if (expr.kind === 'memory') {
      const env = this.names.env();
      const request = locate(expr, env);
      if (!request.ok) return err([request.error]);
      const { size, space } = request.value;
      const address = this.names.linear(request.value);
      if (!fits(raw, size * 8))
        return refuse('notWritable', `\`${target}\` has ${size * 8} bits; ${hex(raw)} does not fit`);
      const problem = this.store({ space, value: address }, raw, size);
      if (problem !== undefined) return refuse('noMemory', problem);
    } else if (expr.kind === 'call' && expr.name.toLowerCase() === 'msr' && expr.args.length === 1) {
      const index = evaluateExpression(target.slice(target.indexOf('(')), this.names);
      if (!index.ok) return index;
      const problem = this.registers.writeMsr(Number(BigInt.asUintN(32, index.value.value ?? 0n)), raw);
      if (problem !== undefined) return refuse('notWritable', problem);
    } else return refuse('notWritable', `\`${target}\` is no register, flag or memory operand`);
    return this.now(target);
  }

  /** A register by its name, or an MSR as `msr(0x10)`; of a caller's frame where its value is kept. */
  private writeRegister(name: string, value: bigint): string | undefined {
    const place = this.names.frame?.placeOf(name);
    const why = this.names.frame?.whyReadOnly(name);
    if (why !== undefined) return why;
    if (typeof place === 'object' && place.kind === 'memory') return this.writeSaved(name, place, value);
    const index = /^msr\((0x[0-9a-f]+)\)$/.exec(name)?.[1];
    return index === undefined ? this.registers.write(name, value) : this.registers.writeMsr(Number(index), value);
  }
  /** A register that lies in memory: what `name` covers of it. A 32-bit write clears the upper half, as it does in the CPU. */
  private writeSaved(name: string, place: Extract<Place, { kind: 'memory' }>, value: bigint): string | undefined {
    const { width, shift } = gprPart(name.toLowerCase()) ?? { width: ipWidth(name), shift: 0 };
    const stored = 8 * place.bytes;
    const bits = Math.min(width, stored);
    if (!fits(value, bits)) return `\`${name}\` is saved in ${bits} bits; ${hex(value)} does not fit`;
    const mask = BigInt.asUintN(bits, -1n) << BigInt(shift);
    const old = this.memory.readNumber('gva', place.address, place.bytes) ?? 0n;
    const kept = width === 32 ? 0n : old & ~mask;
    const merged = kept | ((value << BigInt(shift)) & mask);
    return this.store({ space: 'gva', value: place.address }, merged, place.bytes);
  }
  /** Writes a little-endian number. */
  private store(at: SpaceAddress, value: bigint, size: number): string | undefined {
    const bytes = Uint8Array.from({ length: size }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));
    const written = this.memory.write(at, bytes);
    this.guest.refresh();
    return written < size ? `nothing can be written at ${hex(at.value)}` : undefined;
  }
  private now(target: string): Answer<Evaluation> {
    const now = evaluateExpression(target, this.names);
    return now.ok ? ok({ ...now.value, changed: true }) : now;
  }
  /** The number that a text stands for; one without a value (a vector) is refused. */
  private number(text: string): Answer<bigint> {
    const value = evaluateExpression(text, this.names);
    if (!value.ok) return value;
    return value.value.value === undefined
      ? err([sessionError('badExpression', `\`${text}\` is not a number of up to 64 bits`, 'expression')])
      : ok(value.value.value);
  }
  /** Another register of more than 64 bits stands for its bits. */
  private wideText(text: string): string {
    const other = readWide(this.guest.state, text.trim().toLowerCase());
    return other ? hex(other.value) : text;
  }

  /** While the guest runs, its state is in the CPU: the VCPU is made to exit, which saves it, and a value with which it could not enter again is put back. */
  private setField(name: string, value: bigint, write: FieldWriter): string | undefined {
    const { guest, machine } = this;
    if (!guest.inGuest) return write(guest, name, value);
    return machine.outsideGuest(
      () => {
        guest.refresh();
        const before = new Set(unmetEntryChecks(guest));
        const old = guest.fieldOf(name);
        const problem = write(guest, name, value);
        if (problem !== undefined || old === undefined) return problem;
        const broken = unmetEntryChecks(guest).filter((check) => !before.has(check));
        if (broken.length === 0) return undefined;
        write(guest, name, old);
        return broken.join('; ');
      },
      () => guest.refresh(),
    );
  }

  /** A guest table entry, as a store of the guest's would: the TLB keeps what it has. */
  private setEntry(node: ViewNode, value: bigint): string | undefined {
    const at = this.views.guestEntryAddress(node.path);
    if (at === undefined) return `\`${node.name}\` cannot be set`;
    if (!fits(value, at.bytes * 8)) return `\`${node.name}\` has ${at.bytes * 8} bits; ${hex(value)} does not fit`;
    return this.store({ space: 'gpa', value: at.gpa }, value, at.bytes) && 'the entry cannot be written';
  }
}

const ipWidth = (name: string): number => ({ ip: 16, eip: 32 })[name.toLowerCase()] ?? 64;
