import type { Expr, QualifyName, TokenCursor } from './expression';
import { parseExpression } from './expression';
import { SIZE_WORDS } from './keywords';
import { tokenSpan } from './lexer';
import { registerByName } from './registers';
import type { Decorators, OperandSyntax } from './statement';

interface Keywords {
  size: number;
  strict: boolean;
  distance: 'near' | 'far' | 'short' | undefined;
  to: boolean;
}

function parseKeywords(cursor: TokenCursor): Keywords {
  const out: Keywords = { size: 0, strict: false, distance: undefined, to: false };
  for (;;) {
    const word = cursor.word();
    const size = word === undefined ? undefined : SIZE_WORDS[word];
    if (size !== undefined) {
      // As in NASM only the first size counts.
      if (out.size === 0) out.size = size;
    } else if (word === 'strict') out.strict = true;
    else if (word === 'near' || word === 'far' || word === 'short') out.distance = word;
    else if (word === 'to') out.to = true;
    else if (word === 'ptr')
      cursor.warn('ptr', 'ignored', 'NASM does not use `ptr`; write the size alone', cursor.here());
    else return out;
    cursor.next();
  }
}

/** `{k1}{z}`, `{1to8}`, `{rn-sae}`, `{sae}` after an operand. @throws SyntaxFault */
function parseDecorators(cursor: TokenCursor): Decorators {
  let out: Decorators = {};
  while (cursor.is('{')) {
    const from = cursor.index;
    cursor.next();
    let text = '';
    while (!cursor.done && !cursor.is('}')) text += cursor.next()?.text.toLowerCase() ?? '';
    cursor.expect('}', 'to close the decorator');
    const mask = /^k([0-7])$/.exec(text);
    const broadcast = /^1to(\d+)$/.exec(text);
    const rounding = /^(rn|rd|ru|rz)-sae$/.exec(text);
    if (mask?.[1] !== undefined) out = { ...out, mask: Number(mask[1]) };
    else if (text === 'z') out = { ...out, zeroing: true };
    else if (text === 'sae') out = { ...out, sae: true };
    else if (broadcast?.[1] !== undefined) out = { ...out, broadcast: Number(broadcast[1]) };
    else if (rounding) out = { ...out, sae: true, rounding: rounding[1] as 'rn' | 'rd' | 'ru' | 'rz' };
    else
      cursor.fail(
        `{${text}} is not a decorator; the decorators are {k1}…{k7}, {z}, {1toN}, {sae} and {rn-sae} {rd-sae} {ru-sae} {rz-sae}`,
        cursor.since(from),
      );
  }
  return out;
}

/**
 * Parses one operand. A decorator that stands alone (`, {rn-sae}`) belongs to the operand before it; then the last of `before`
 * is replaced and nothing is returned. @throws SyntaxFault
 */
export function parseOperand(
  cursor: TokenCursor,
  qualify: QualifyName,
  farAllowed: boolean,
  before: OperandSyntax[],
): OperandSyntax | undefined {
  const from = cursor.index;
  if (cursor.is('{')) {
    const decorators = parseDecorators(cursor);
    const last = before.pop();
    if (last?.kind !== 'expression')
      return cursor.fail('a rounding decorator follows a register operand', cursor.since(from));
    before.push({ ...last, decorators: { ...last.decorators, ...decorators } });
    return undefined;
  }
  const keywords = parseKeywords(cursor);
  if (cursor.is('[')) return parseMemory(cursor, qualify, keywords, undefined, from);
  const t = cursor.peek();
  const register = t?.kind === 'word' ? registerByName(t.text.toLowerCase()) : undefined;
  if (register?.class === 'segment' && cursor.peek(1)?.text === ':' && cursor.peek(1)?.kind === 'punctuation') {
    // `es:[di]` outside the brackets, and `es:foo`.
    cursor.next();
    cursor.next();
    if (cursor.is('[')) return parseMemory(cursor, qualify, keywords, register.name, from);
    return bareMemory(parseExpression(cursor, qualify), cursor, keywords, register.name, from);
  }
  const last = cursor.tokens[cursor.index - 1];
  if (cursor.index > from && last && (cursor.done || cursor.is(',')))
    return cursor.fail(`the value or the bracket that \`${last.text}\` belongs to is missing`, tokenSpan(last));
  const expr = parseExpression(cursor, qualify);
  if (farAllowed && cursor.accept(':')) {
    const inner = parseKeywords(cursor);
    const offset = parseExpression(cursor, qualify);
    return { kind: 'far', selector: expr, offset, size: keywords.size || inner.size, span: cursor.since(from) };
  }
  const decorators = parseDecorators(cursor);
  return { kind: 'expression', expr, ...keywords, decorators, span: cursor.since(from) };
}

function bareMemory(expr: Expr, cursor: TokenCursor, keywords: Keywords, segment: string, from: number): OperandSyntax {
  return {
    kind: 'memory',
    expr,
    splitIndex: undefined,
    size: keywords.size,
    distance: keywords.distance,
    segment,
    displacementSize: 0,
    addressSize: 0,
    relative: undefined,
    nosplit: false,
    decorators: {},
    span: cursor.since(from),
  };
}

const ADDRESS_WORDS: Readonly<Record<string, number>> = { a16: 16, a32: 32, a64: 64 };

function parseMemory(
  cursor: TokenCursor,
  qualify: QualifyName,
  keywords: Keywords,
  outerSegment: string | undefined,
  from: number,
): OperandSyntax {
  const open = cursor.here();
  cursor.next();
  let displacementSize = 0;
  let addressSize = 0;
  let relative: boolean | undefined;
  let nosplit = false;
  let segment = outerSegment;
  for (;;) {
    const word = cursor.word();
    if (word === undefined) break;
    const size = SIZE_WORDS[word];
    const address = ADDRESS_WORDS[word];
    const register = registerByName(word);
    if (size !== undefined) displacementSize = size;
    else if (address !== undefined) addressSize = address;
    else if (word === 'rel' || word === 'abs') relative = word === 'rel';
    else if (word === 'nosplit') nosplit = true;
    else if (register?.class === 'segment' && cursor.peek(1)?.text === ':') {
      if (segment !== undefined && segment !== register.name)
        cursor.fail('two segment overrides on one operand; keep one');
      segment = register.name;
      cursor.next();
    } else break;
    cursor.next();
  }
  const expr = parseExpression(cursor, qualify);
  const splitIndex = cursor.accept(',') ? parseExpression(cursor, qualify) : undefined;
  if (!cursor.accept(']')) cursor.fail('this `[` has no `]`', open);
  const decorators = parseDecorators(cursor);
  return {
    kind: 'memory',
    expr,
    splitIndex,
    size: keywords.size,
    distance: keywords.distance,
    segment,
    displacementSize,
    addressSize,
    relative,
    nosplit,
    decorators,
    span: cursor.since(from),
  };
}
