import type { Diagnostic } from '../base/diagnostic';
import { hex } from '../base/hex';
import { err, ok } from '../base/result';
import { locate, parseExpression } from '../expr/index';
import type { Answer } from './api';
import { sessionError } from './diagnostics';
import { evaluateExpression } from './evaluate';
import type { GuestView } from './guest-view';
import type { MemoryAccess } from './memory';
import type { Names } from './names';
import { isRegisterName, writeRegister } from './registers';
import type { Evaluation, ViewNode } from './types';
import type { Views } from './views';
import { writeVmcbField } from './views/vmcb';
import { writeVmcsField } from './views/vmcs';

/** Setting registers, flags, memory operands and guest table entries to the value of an expression. */
export class Assignment {
  constructor(
    private readonly guest: GuestView,
    private readonly memory: MemoryAccess,
    private readonly names: Names,
    private readonly views: Views,
  ) {}

  /** `path` names a row of a view that says `editable`. */
  setValue(path: string, text: string): Answer<string> {
    const node = this.views.node(path);
    if (!node) return err([sessionError('unknownView', `there is nothing called \`${path}\` now`, path)]);
    if (!node.editable) return err([sessionError('notWritable', `\`${node.name}\` cannot be set`, path)]);
    const value = evaluateExpression(text, this.names);
    if (!value.ok) return value;
    const raw = value.value.value ?? 0n;
    const problem =
      node.kind === 'table' || node.kind === 'page' || node.kind === 'large-page'
        ? this.setEntry(node, raw)
        : path.startsWith('vmcs/')
          ? writeVmcsField(this.guest, node.name, raw)
          : path.startsWith('vmcb/')
            ? writeVmcbField(this.guest, node.name, raw)
            : writeRegister(this.guest, node.name, raw);
    if (problem !== undefined) return err([sessionError('notWritable', problem, path)]);
    return ok(this.views.node(path)?.value ?? hex(raw));
  }

  /** A register, a flag, or a memory operand. */
  assign(target: string, text: string): Answer<Evaluation> {
    const parsed = parseExpression(target, 'expression');
    if (!parsed.ok) return parsed;
    const expr = parsed.value;
    const value = evaluateExpression(text, this.names);
    if (!value.ok) return value;
    const raw = value.value.value ?? 0n;
    const refuse = (code: 'notWritable' | 'noMemory', message: string): { ok: false; error: readonly Diagnostic[] } =>
      err([sessionError(code, message, 'expression', expr.span)]);
    if (expr.kind === 'name' && isRegisterName(expr.name)) {
      const problem = writeRegister(this.guest, expr.name, raw);
      if (problem !== undefined) return refuse('notWritable', problem);
    } else if (expr.kind === 'memory') {
      const env = this.names.env();
      const request = locate(expr, env);
      if (!request.ok) return err([request.error]);
      const { size, space } = request.value;
      const address = this.names.linear(request.value);
      const bytes = Uint8Array.from({ length: size }, (_, i) => Number((raw >> BigInt(8 * i)) & 0xffn));
      if (this.memory.write({ space, value: address }, bytes) < size)
        return refuse('noMemory', `nothing can be written at ${hex(address)}`);
      this.guest.refresh();
    } else return refuse('notWritable', `\`${target}\` is no register, flag or memory operand`);
    const now = evaluateExpression(target, this.names);
    return now.ok ? ok({ ...now.value, changed: true }) : now;
  }

  /** A guest table entry, as a store of the guest's would: the TLB keeps what it has. */
  private setEntry(node: ViewNode, value: bigint): string | undefined {
    const at = this.views.guestEntryAddress(node.path);
    if (at === undefined) return `\`${node.name}\` cannot be set`;
    const bytes = Uint8Array.from({ length: at.bytes }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));
    const written = this.memory.write({ space: 'gpa', value: at.gpa }, bytes);
    this.guest.refresh();
    return written < bytes.length ? 'the entry cannot be written' : undefined;
  }
}
