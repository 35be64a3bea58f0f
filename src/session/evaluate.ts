import { hex } from '../base/hex';
import type { Result } from '../base/result';
import { err, ok } from '../base/result';
import type { Diagnostic } from '../base/diagnostic';
import { evaluate, locate, parseExpression } from '../expr/index';
import type { Env, Expr } from '../expr/index';
import { sessionError } from './diagnostics';
import type { Names } from './names';
import { namesIn } from './names';
import { didYouMean } from './nearest';
import { isRegisterName, registerAddress } from './registers';
import type { Evaluation, SpaceAddress } from './types';

/** An expression's value, what kind of thing it is, and the address that it is about. */
export function evaluateExpression(text: string, names: Names): Result<Evaluation, readonly Diagnostic[]> {
  const parsed = parseExpression(text, 'expression');
  if (!parsed.ok) return parsed;
  const expr = parsed.value;
  const wide = expr.kind === 'name' ? names.wide(expr.name) : undefined;
  if (wide) return ok({ text: wide.text, kind: 'register', ...viewOf(wide.name) });
  const unknown = namesIn(expr).filter((n) => names.lookup(n.name) === undefined);
  if (unknown.length > 0) {
    return err(
      unknown.map((n) =>
        sessionError(
          'unknownName',
          names.wide(n.name)
            ? `\`${n.name}\` has more than 64 bits; in an expression take ${n.name}_lo or ${n.name}_hi`
            : `\`${n.name}\` is no register, flag, label or constant here${didYouMean(n.name, names.all())}`,
          n.span.file,
          n.span,
        ),
      ),
    );
  }
  const env = names.env();
  const value = evaluate(expr, env);
  if (!value.ok) return err([value.error]);
  if (typeof value.value === 'boolean') {
    const raw = value.value ? 1n : 0n;
    const isFlag = expr.kind === 'name';
    return ok({ text: isFlag ? String(raw) : String(value.value), value: raw, kind: isFlag ? 'register' : 'boolean' });
  }
  const address = addressOf(expr, value.value, names, env);
  const symbol = address?.space === 'gva' ? names.symbols.symbolOf(address.value) : undefined;
  const kind = kindOf(expr, names);
  return ok({
    text: kind === 'label' ? hex(value.value) : numberText(value.value, kind === 'memory' ? loadBits(expr, env) : 64),
    value: value.value,
    kind,
    ...(address ? { address } : {}),
    ...(symbol === undefined ? {} : { symbol }),
    ...(expr.kind === 'name' && kind === 'register' ? viewOf(expr.name) : {}),
  });
}

/** The row of the Variables view that shows the register, where it has parts. */
function viewOf(written: string): { readonly view?: string } {
  const name = written.toLowerCase();
  if (/^xmm\d+$/.test(name)) return { view: `sse/${name}` };
  if (/^(cr0|cr4|efer|gdtr|idtr)$/.test(name)) return { view: `control/${name}` };
  if (/^([c-gs]s|ldtr|tr)$/.test(name)) return { view: `segments/${name}` };
  if (/^r([abcd]x|[sb]p|[sd]i|\d+)$/.test(name)) return { view: `registers/${name}` };
  return name === 'rflags' || name === 'eflags' ? { view: 'flags' } : {};
}

const loadBits = (e: Expr, env: Env): number => (e.kind === 'memory' ? (e.size ?? env.wordSize ?? 8) * 8 : 64);

/** `0x2a = 42`, and the signed reading where the top bit of its width is set. */
function numberText(value: bigint, bits: number): string {
  const signed = BigInt.asIntN(bits, value);
  const decimal = value < 10n ? '' : ` = ${value}`;
  return `${hex(value)}${decimal}${signed < 0n ? ` = ${signed}` : ''}`;
}

function kindOf(e: Expr, names: Names): Evaluation['kind'] {
  switch (e.kind) {
    case 'number':
    case 'address':
      return 'number';
    case 'memory':
      return 'memory';
    case 'name':
      if (isRegisterName(e.name) || names.isMsr(e.name)) return 'register';
      if (names.symbols.isLabel(e.name)) return 'label';
      return names.constantOf(e.name) !== undefined || names.symbols.valueOf(e.name) !== undefined
        ? 'constant'
        : 'number';
    default:
      return 'expression';
  }
}

/** A memory operand's own address; a number's space where it says one; else the value as a linear address. */
function addressOf(e: Expr, value: bigint, names: Names, env: Env): SpaceAddress | undefined {
  if (e.kind === 'memory') {
    const request = locate(e, env);
    return request.ok ? { space: request.value.space, value: names.linear(request.value) } : undefined;
  }
  if (e.kind === 'address') return { space: e.space, value };
  if (e.kind === 'name' && isRegisterName(e.name)) return registerAddress(e.name, value);
  return { space: 'gva', value };
}
