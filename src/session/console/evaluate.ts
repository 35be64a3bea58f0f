import { hex } from '../../base/hex';
import type { Result } from '../../base/result';
import { err, ok } from '../../base/result';
import type { Diagnostic } from '../../base/diagnostic';
import { evaluate, locate, parseExpression } from '../../expr/index';
import type { Env, Expr } from '../../expr/index';
import { sessionError } from '../diagnostics';
import type { Names } from './names';
import { namesIn } from './names';
import { didYouMean } from '../../base/nearest';
import { isRegisterName, registerAddress } from '../guest/registers';
import type { Evaluation, SpaceAddress } from '../types';
import { viewInFrame } from '../types';

/** An expression's value, what kind of thing it is, and the address that it is about. */
export function evaluateExpression(text: string, names: Names): Result<Evaluation, readonly Diagnostic[]> {
  const parsed = parseExpression(text, 'expression');
  if (!parsed.ok) return parsed;
  const expr = parsed.value;
  const wide = expr.kind === 'name' ? names.wide(expr.name) : undefined;
  const mark = markOf(expr, names);
  const marked = (text: string): Pick<Evaluation, 'text' | 'mark'> =>
    mark === undefined ? { text } : { text: `${text} ${mark}`, mark };
  if (wide) return ok({ ...marked(wide.text), kind: 'register', ...viewOf(wide.name, names) });
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
    const text = isFlag ? String(raw) : String(value.value);
    return ok({ ...marked(text), value: raw, kind: isFlag ? 'register' : 'boolean' });
  }
  const address = addressOf(expr, value.value, names, env);
  const symbol = address?.space === 'gva' ? names.symbols.symbolOf(address.value) : undefined;
  const kind = kindOf(expr, names);
  return ok({
    ...marked(
      kind === 'label' ? hex(value.value) : numberText(value.value, kind === 'memory' ? loadBits(expr, env) : 64),
    ),
    value: value.value,
    kind,
    ...(address ? { address } : {}),
    ...(symbol === undefined ? {} : { symbol }),
    ...(expr.kind === 'name' && kind === 'register' ? viewOf(expr.name, names) : {}),
  });
}

/** Which registers in it are not known for the frame, so that they are the top frame's. */
function markOf(e: Expr, { frame }: Names): string | undefined {
  if (!frame) return undefined;
  const marks = new Map(namesIn(e).map(({ name }) => [name.toLowerCase(), frame.mark(name)]));
  const foreign = [...marks].filter(([, mark]) => mark !== undefined);
  if (e.kind === 'name') return foreign[0]?.[1];
  return foreign.length === 0 ? undefined : foreign.map(([name, mark]) => `(${name} ${mark?.slice(1) ?? ''}`).join(' ');
}

/** The row of the Variables view that shows the register, where it has parts. */
function viewOf(written: string, { frame }: Names): { readonly view?: string } {
  const view = rowOf(written.toLowerCase());
  return view === undefined ? {} : { view: frame ? viewInFrame(view, frame.level) : view };
}
function rowOf(name: string): string | undefined {
  if (/^xmm\d+$/.test(name)) return `sse/${name}`;
  if (/^(cr0|cr4|efer|gdtr|idtr)$/.test(name)) return `control/${name}`;
  if (/^([c-gs]s|ldtr|tr)$/.test(name)) return `segments/${name}`;
  if (/^r([abcd]x|[sb]p|[sd]i|\d+)$/.test(name)) return `registers/${name}`;
  return name === 'rflags' || name === 'eflags' ? 'flags' : undefined;
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
