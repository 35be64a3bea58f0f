import { parseNumber } from '../expr/numbers';
import type { Bits } from './code-size';
import { CPU_NAMES, parseCpu } from './cpu-levels';
import type { QualifyName } from './expression';
import { parseExpression, TokenCursor } from './expression';
import { isKeyword } from './keywords';
import { tokenSpan } from './lexer';
import { JUMP_THRESHOLD, PADDING_MODES } from './padding';
import { registerByName } from './registers';
import type { Body, SectionAttribute } from './statement';

/** Words that begin a directive line. Those without effect on a flat binary are accepted as `nasm -f bin` accepts them. */
export const DIRECTIVES: ReadonlySet<string> = new Set([
  'bits',
  'use16',
  'use32',
  'use64',
  'org',
  'section',
  'segment',
  'absolute',
  'align',
  'alignb',
  'sectalign',
  'default',
  'cpu',
  'global',
  'extern',
  'required',
  'common',
  'static',
  'float',
  'map',
  'warning',
  'alignmode',
  'struc',
  'endstruc',
  'istruc',
  'at',
  'iend',
]);
const PRIMITIVE_ONLY = new Set([
  'bits',
  'org',
  'section',
  'segment',
  'absolute',
  'default',
  'cpu',
  'global',
  'extern',
  'required',
  'common',
  'static',
  'float',
  'map',
  'warning',
  'alignmode',
  'list',
  'debug',
]);

/** `[directive …]`: the primitive form, the same without the user-level additions. @throws SyntaxFault */
export function parsePrimitive(cursor: TokenCursor, qualify: QualifyName): Body {
  const open = cursor.here();
  cursor.next();
  const word = cursor.word();
  if (word === undefined || !PRIMITIVE_ONLY.has(word))
    return cursor.fail('expected a directive such as `bits 16` inside the brackets');
  const last = cursor.tokens[cursor.tokens.length - 1];
  if (last?.text !== ']') return cursor.fail('this `[` has no `]`', open);
  const inner = new TokenCursor(cursor.tokens.slice(0, -1), tokenSpan(last), cursor.warn);
  inner.index = cursor.index;
  const body = parseDirectiveLine(inner, qualify, () => cursor.fail('an instruction is not allowed here'));
  if (!inner.done) inner.fail(`\`${inner.peek()?.text ?? ''}\` is not expected here`);
  cursor.index = cursor.tokens.length;
  return body;
}

/** Parses the directive at the cursor. @throws SyntaxFault */
export function parseDirectiveLine(
  cursor: TokenCursor,
  qualify: QualifyName,
  parseBody: (c: TokenCursor) => Body,
): Body {
  const word = cursor.word() ?? '';
  cursor.next();
  switch (word) {
    case 'bits':
      return parseBits(cursor);
    case 'use16':
      return { kind: 'bits', bits: 16 };
    case 'use32':
      return { kind: 'bits', bits: 32 };
    case 'use64':
      return { kind: 'bits', bits: 64 };
    case 'cpu':
      return parseCpuLine(cursor);
    case 'warning': {
      const text = cursor.tokens.slice(cursor.index).map((t) => t.text);
      cursor.index = cursor.tokens.length;
      return { kind: 'warning', text: text.join('') };
    }
    case 'common':
      cursor.index = cursor.tokens.length;
      return {
        kind: 'refused',
        message: 'a flat binary is not linked, so it has no common variables; reserve the space with resb in .bss',
      };
    case 'float': {
      const t = cursor.next();
      if (t === undefined || !/^(daz|nodaz|near|down|up|zero|default)$/i.test(t.text))
        return cursor.fail(
          'float takes daz, nodaz, near, down, up, zero or default',
          t ? tokenSpan(t) : cursor.lineEnd,
        );
      return { kind: 'none' };
    }
    case 'org':
      return { kind: 'org', origin: parseExpression(cursor, qualify) };
    case 'absolute':
      return { kind: 'absolute', at: parseExpression(cursor, qualify) };
    case 'section':
    case 'segment':
      return parseSection(cursor, qualify);
    case 'align':
    case 'alignb': {
      const boundary = parseExpression(cursor, qualify);
      const fill = cursor.accept(',') ? parseBody(cursor) : undefined;
      return { kind: 'align', boundary, reserve: word === 'alignb', fill };
    }
    case 'default': {
      let relative: boolean | undefined;
      while (!cursor.done) {
        const setting = cursor.word();
        if (setting === 'rel' || setting === 'abs') relative = setting === 'rel';
        else if (setting !== 'bnd' && setting !== 'nobnd') cursor.fail('default takes rel or abs');
        cursor.next();
        cursor.accept(',');
      }
      return relative === undefined ? { kind: 'none' } : { kind: 'default', relative };
    }
    case 'alignmode': {
      const name = cursor.next();
      const mode = PADDING_MODES.find((m) => m === name?.text.toLowerCase());
      if (mode === undefined)
        return cursor.fail(`alignmode takes ${PADDING_MODES.join(', ')}`, name ? tokenSpan(name) : cursor.lineEnd);
      const limit = cursor.accept(',') ? cursor.next() : undefined;
      const threshold =
        limit === undefined
          ? JUMP_THRESHOLD[mode]
          : limit.text.toLowerCase() === 'nojmp'
            ? -1
            : Number(parseNumber(limit.text) ?? JUMP_THRESHOLD[mode]);
      return { kind: 'alignmode', mode, threshold };
    }
    case 'struc':
    case 'istruc': {
      const t = cursor.next();
      if (t?.kind !== 'word') return cursor.fail(`${word} takes a name`);
      const lower = t.text.toLowerCase();
      if (isKeyword(lower) || registerByName(lower))
        return cursor.fail(`\`${t.text}\` is a reserved word and cannot name a structure`, tokenSpan(t));
      const name = qualify(t.text);
      if (word === 'istruc') return { kind: 'istruc', name, span: tokenSpan(t) };
      return {
        kind: 'struc',
        name,
        offset: cursor.accept(',') ? parseExpression(cursor, qualify) : undefined,
        span: tokenSpan(t),
      };
    }
    case 'endstruc':
      return { kind: 'endstruc' };
    case 'iend':
      return { kind: 'iend' };
    case 'at': {
      const offset = parseExpression(cursor, qualify);
      return { kind: 'at', offset, body: cursor.accept(',') ? parseBody(cursor) : { kind: 'none' } };
    }
    case 'global':
    case 'static':
    case 'required':
    case 'extern':
      return parseLinkage(cursor, qualify, word);
    default:
      // map, debug, list …: no effect on a flat binary.
      cursor.index = cursor.tokens.length;
      return { kind: 'none' };
  }
}

/** `global x, y:function`: names for a linker. A flat image accepts plain names and ignores them. */
function parseLinkage(cursor: TokenCursor, qualify: QualifyName, word: string): Body {
  const names: string[] = [];
  do {
    const t = cursor.next();
    if (t?.kind !== 'word') return cursor.fail(`${word} takes names`, t ? tokenSpan(t) : cursor.lineEnd);
    names.push(qualify(t.text.replace(/^\$/, '')));
    if (cursor.accept(':') && !cursor.done && !cursor.is(','))
      return cursor.fail(`a flat image has no symbol types; write \`${word} ${t.text}\` alone`);
  } while (cursor.accept(','));
  return word === 'extern' || word === 'required' ? { kind: 'extern', names } : { kind: 'none' };
}

/** `cpu 386`; words after it that choose among encodings are ignored. */
function parseCpuLine(cursor: TokenCursor): Body {
  const from = cursor.index;
  const text = cursor.tokens.slice(from).map((t) => (t.spaced ? ' ' : '') + t.text);
  cursor.index = cursor.tokens.length;
  const { level, unknown } = parseCpu(
    text
      .join('')
      .split(/[\s,]+/)
      .filter((word) => word !== ''),
  );
  if (unknown !== undefined || text.length === 0)
    return cursor.fail(
      `\`${unknown ?? ''}\` is not a known processor; the processors are ${CPU_NAMES.join(', ')}`,
      cursor.since(from),
    );
  return level === undefined ? { kind: 'none' } : { kind: 'cpu', level };
}

function parseBits(cursor: TokenCursor): Body {
  const t = cursor.next();
  if (t === undefined || !/^(16|32|64)$/.test(t.text))
    return cursor.fail('bits takes 16, 32 or 64', t ? tokenSpan(t) : cursor.lineEnd);
  return { kind: 'bits', bits: Number(t.text) as Bits };
}

const PLAIN_ATTRIBUTES = new Set(['progbits', 'nobits', 'exec', 'noexec', 'write', 'nowrite', 'alloc', 'noalloc']);
const VALUE_ATTRIBUTES = new Set(['align', 'start', 'vstart', 'follows', 'vfollows', 'valign']);

function parseSection(cursor: TokenCursor, qualify: QualifyName): Body {
  const t = cursor.next();
  if (t?.kind !== 'word' && t?.kind !== 'string') return cursor.fail('section takes a name, such as .text');
  let name = t.kind === 'string' ? t.text.slice(1, -1) : t.text;
  // Up to the next space everything belongs to the name, as in `__TEXT,__text`.
  for (let more = cursor.peek(); more && !more.spaced; more = cursor.peek()) {
    name += more.text;
    cursor.next();
  }
  const attributes: SectionAttribute[] = [];
  while (!cursor.done) {
    const from = cursor.index;
    const word = cursor.word();
    if (word === undefined) return cursor.fail('expected a section attribute such as align=16 or nobits here');
    cursor.next();
    if (PLAIN_ATTRIBUTES.has(word)) attributes.push({ name: word, value: undefined, span: cursor.since(from) });
    else if (VALUE_ATTRIBUTES.has(word)) {
      cursor.expect('=', `after ${word}`);
      const name = cursor.peek();
      const value = word.endsWith('follows')
        ? (cursor.next()?.text ?? cursor.fail('expected a section name here', name ? tokenSpan(name) : cursor.lineEnd))
        : parseExpression(cursor, qualify);
      attributes.push({ name: word, value, span: cursor.since(from) });
    } else if (cursor.accept('=')) {
      cursor.next();
      attributes.push({ name: word, value: undefined, span: cursor.since(from) });
    } else attributes.push({ name: word, value: undefined, span: cursor.since(from) });
  }
  return { kind: 'section', name, attributes };
}
