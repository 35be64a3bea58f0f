/**
 * Commands of the Debug Console with QEMU's monitor's names (info registers, info mem, info tlb, info mtree, x, xp, gva2gpa, gpa2hva, gpa2hpa), KVM's
 * memslots and statistics, and the reverse look-ups that QEMU has not (hpa2gva, hpa2gpa, hva2gpa).
 */
import { hex } from '../../base/hex';
import { ok } from '../../base/result';
import { disassemble } from '../../asm/index';
import { evaluateExpression } from './evaluate';
import { explainAddress, explainLast } from './explain';
import { HOST_COMMANDS, isHostCommand, parseHostCommand } from './host-commands';
import type { HostEvents } from './host-events';
import { refuse, text, type MonitorAnswer, type MonitorContext } from './monitor-context';
import { INFO } from './monitor-info';
import { didYouMean } from '../../base/nearest';
import { reverseHpa, reverseHva } from '../translate/reverse';
import { accessOf, translateGpa, translateGva } from '../translate/translate';

type Command = (c: MonitorContext, argument: string, format: string) => MonitorAnswer;

/** What holds guest RAM: of KVM's, or of the VMM's own where it emulates the processor. */
const rangeWord = ({ guest }: MonitorContext): string => (guest.emulated ? 'memory region' : 'memslot');

/** More units than this help nobody in a console. */
const MAX_UNITS = 1024;

const COMMANDS: Readonly<Record<string, Command>> = {
  info: (c, argument) => {
    const name = argument.trim();
    const command = Object.hasOwn(INFO, name) ? INFO[name] : undefined;
    return command
      ? command(c)
      : refuse(
          'unknownCommand',
          `there is no \`info ${name}\`${didYouMean(name, Object.keys(INFO)) || `; there are ${Object.keys(INFO).join(', ')}`}`,
        );
  },
  x: (c, argument, format) => examine(c, argument, format, 'gva'),
  xp: (c, argument, format) => examine(c, argument, format, 'gpa'),
  gva2gpa: (c, argument) =>
    look(
      c,
      argument,
      (a) => translateGva(c.guest, a, accessOf({ address: a, space: 'gva', user: false }, 0)).gpa,
      'gpa',
      'unmapped: the guest has no translation',
    ),
  gva2hpa: (c, argument) =>
    look(
      c,
      argument,
      (a) => translateGva(c.guest, a, accessOf({ address: a, space: 'gva', user: false }, 0)).hpa,
      'hpa',
      'no host page yet',
    ),
  gpa2hva: (c, argument) => look(c, argument, (a) => c.guest.physical.hvaOf(a), 'hva', `no ${rangeWord(c)}: a hole`),
  gpa2hpa: (c, argument) =>
    look(
      c,
      argument,
      (a) => translateGpa(c.guest, a, accessOf({ address: a, space: 'gpa' }, 0)).hpa,
      'hpa',
      `no host page yet, or no ${rangeWord(c)}`,
    ),
  hpa2gpa: (c, argument) => reverse(c, argument, (a) => reverseHpa(c.guest, a).gpa),
  hpa2gva: (c, argument) => reverse(c, argument, (a) => reverseHpa(c.guest, a).gva),
  hva2gpa: (c, argument) => reverse(c, argument, (a) => reverseHva(c.guest, a).gpa),
  hva2gva: (c, argument) => reverse(c, argument, (a) => reverseHva(c.guest, a).gva),
  explain: (c, argument) => (argument === '' ? explainLast(c) : explainAddress(c, argument)),
  help: () =>
    text([
      ...Object.keys(INFO).map((n) => `info ${n}`),
      'x/FMT ADDRESS      memory by linear address (FMT: count, then x d u o c s i, then b h w g)',
      'xp/FMT ADDRESS     memory by guest physical address',
      ...['gva2gpa', 'gva2hpa', 'gpa2hva', 'gpa2hpa', 'hpa2gpa', 'hpa2gva', 'hva2gpa', 'hva2gva'].map(
        (n) => `${n} ADDRESS`,
      ),
      'explain            why the last exception was raised',
      'explain ADDRESS    what a read, a write and a fetch of the address would meet now',
      ...HOST_COMMANDS.map((h) => `${`${h.words} ${h.usage}`.padEnd(32)} ${h.doc}`),
      'anything else is an expression: rax, [rbx+8], label, gpa:0x5000',
    ]),
};

export const MONITOR_WORDS: readonly string[] = [
  ...Object.keys(COMMANDS),
  ...Object.keys(INFO).map((n) => `info ${n}`),
  ...HOST_COMMANDS.map((h) => h.words),
];

/**
 * `host …` and `memslot …`: what they did, step by step, and the outcome; undefined: it is no such command.
 * @param acts whether it may be carried out here
 */
export function hostCommand(events: HostEvents, line: string, acts: boolean): MonitorAnswer | undefined {
  const words = line.trim().split(/\s+/);
  if (!isHostCommand(words)) return undefined;
  const command = parseHostCommand(words);
  if (!command.ok) return refuse('badExpression', command.error);
  if (!acts)
    return refuse('notWritable', `\`${line.trim()}\` changes the host; it is carried out in the Debug Console alone`);
  const { steps, outcome } = events.do(command.value);
  if (!outcome.ok) return refuse('notWritable', outcome.error);
  const lines = steps.map((s) => `  ${s.actor.padEnd(4)} ${s.fn}: ${s.what}`);
  return ok({ text: [...lines, outcome.value].join('\n'), kind: 'text', changed: true });
}

/** Commands that mean something without an argument. */
const ALONE: ReadonlySet<string> = new Set(['help', 'explain']);

/** Runs `line` where it is a monitor command; undefined: it is an expression. */
export function monitor(c: MonitorContext, line: string): MonitorAnswer | undefined {
  const match = /^\s*([a-z][a-z0-9]*)(?:\s*\/(\S*))?(?:\s+(.*))?$/i.exec(line);
  const name = match?.[1]?.toLowerCase();
  if (match === null || name === undefined || !Object.hasOwn(COMMANDS, name)) return undefined;
  const command = COMMANDS[name];
  const argument = match[3] ?? '';
  // a label of the guest may be called like a command: alone, it is the label
  if (argument === '' && match[2] === undefined && c.names.symbols.valueOf(name) !== undefined) return undefined;
  if (argument === '' && !ALONE.has(name))
    return refuse(
      'badExpression',
      `\`${name}\` needs ${name === 'info' ? `what: ${Object.keys(INFO).join(', ')}` : 'an address'}`,
    );
  return command?.(c, argument, match[2] ?? '');
}

function look(
  c: MonitorContext,
  argument: string,
  find: (a: bigint) => bigint | undefined,
  space: 'gpa' | 'hva' | 'hpa',
  nothing: string,
): MonitorAnswer {
  const at = evaluateExpression(argument, c.names);
  if (!at.ok) return at;
  const address = at.value.kind === 'memory' ? at.value.address?.value : at.value.value;
  if (address === undefined) return refuse('notAnAddress', `\`${argument}\` is not an address`);
  const found = find(address);
  if (found === undefined) return text([nothing]);
  return ok({ text: `${space}: ${hex(found)}`, value: found, kind: 'number', address: { space, value: found } });
}

function reverse(c: MonitorContext, argument: string, find: (a: bigint) => readonly bigint[]): MonitorAnswer {
  const at = evaluateExpression(argument, c.names);
  if (!at.ok) return at;
  const found = find(at.value.value ?? 0n);
  return text(found.length === 0 ? ['nothing leads there'] : found.map((a) => hex(a)));
}

const UNIT: Readonly<Record<string, number>> = { b: 1, h: 2, w: 4, g: 8 };

/** `x/4xg ADDRESS`, as in QEMU and gdb: count, format (x d u o c s i), unit (b h w g). */
function examine(c: MonitorContext, argument: string, format: string, space: 'gva' | 'gpa'): MonitorAnswer {
  const match = /^(\d{0,6})([xduocsi]?)([bhwg]?)$|^(\d{0,6})([bhwg])([xduocsi])$/.exec(format);
  if (!match)
    return refuse(
      'badExpression',
      `\`/${format}\` is no format; write a count, x d u o c s or i, and b h w or g, as in x/4xg`,
    );
  const count = Math.min(Number(match[1] || match[4] || '1'), MAX_UNITS);
  const letter = match[2] || match[6] || 'x';
  const size =
    UNIT[match[3] || match[5] || (letter === 'c' || letter === 's' ? 'b' : c.guest.bits === 64 ? 'g' : 'w')] ?? 8;
  const at = evaluateExpression(argument, c.names);
  if (!at.ok) return at;
  const start = at.value.kind === 'memory' ? at.value.address?.value : at.value.value;
  if (start === undefined) return refuse('notAnAddress', `\`${argument}\` is not an address`);
  if (letter === 'i') return instructions(c, start, count, space);
  const { bytes, unreadable } = c.memory.read({ space, value: start }, count * size);
  if (bytes.length < size) return refuse('noMemory', `cannot access memory at ${hex(start)}`);
  const lines: string[] = [];
  const perLine = letter === 'c' || letter === 's' ? 16 : 16 / size;
  const units = Math.floor(bytes.length / size);
  for (let i = 0; i < units; i += perLine) {
    const cells: string[] = [];
    for (let j = i; j < Math.min(i + perLine, units); j++)
      cells.push(formatUnit(bytes.subarray(j * size, (j + 1) * size), letter));
    lines.push(`${hex(start + BigInt(i * size), space === 'gva' ? 16 : 0)}: ${cells.join(letter === 's' ? '' : ' ')}`);
  }
  if (unreadable > 0) lines.push(`cannot access memory at ${hex(start + BigInt(bytes.length))}`);
  return text(lines);
}

function formatUnit(bytes: Uint8Array, letter: string): string {
  const bits = bytes.length * 8;
  const n = bytes.reduceRight((v, b) => (v << 8n) | BigInt(b), 0n);
  switch (letter) {
    case 'd':
      return String(BigInt.asIntN(bits, n));
    case 'u':
      return String(n);
    case 'o':
      return `0${n.toString(8)}`;
    case 'c':
    case 's':
      return n >= 0x20n && n < 0x7fn
        ? String.fromCharCode(Number(n))
        : letter === 's'
          ? '.'
          : `\\x${n.toString(16).padStart(2, '0')}`;
    default:
      return hex(n, bytes.length * 2);
  }
}

function instructions(c: MonitorContext, start: bigint, count: number, space: 'gva' | 'gpa'): MonitorAnswer {
  const { bytes } = c.memory.read({ space, value: start }, count * 15);
  if (bytes.length === 0) return refuse('noMemory', `cannot access memory at ${hex(start)}`);
  return text(
    disassemble(bytes, start, c.guest.bits, count, (a) => c.names.symbols.symbolOf(a)).map(
      (i) => `${hex(i.address)}: ${i.text}`,
    ),
  );
}
