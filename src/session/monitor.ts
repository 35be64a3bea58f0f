/**
 * Commands of the Debug Console with QEMU's monitor's names (info registers, info mem, info tlb, info mtree, x, xp, gva2gpa, gpa2hva, gpa2hpa), KVM's
 * memslots and statistics, and the reverse look-ups that QEMU has not (hpa2gva, hpa2gpa, hva2gpa).
 */
import { hex } from '../base/hex';
import type { Result } from '../base/result';
import { err, ok } from '../base/result';
import type { Diagnostic } from '../base/diagnostic';
import { bitNames, CR0, CR4, EFER, RFLAGS } from '../isa/flags';
import { GPR64, SEGMENTS } from '../isa/registers';
import { SLOT } from '../hw/state/layout';
import { disassemble } from '../asm/index';
import { sessionError } from './diagnostics';
import { sizeName } from './entry-names';
import { evaluateExpression } from './evaluate';
import type { GuestView } from './guest-view';
import type { MemoryAccess } from './memory';
import type { Names } from './names';
import { didYouMean } from './nearest';
import { reverseHpa, reverseHva } from './reverse';
import { accessOf, translateGpa, translateGva } from './translate';
import { memslotRanges } from './views/memory';
import { guestRoot, readGuestTable, type GuestTable } from './views/tables';
import type { Vm } from '../kvm/vm';
import type { Evaluation } from './types';

export interface MonitorContext {
  readonly guest: GuestView;
  readonly memory: MemoryAccess;
  readonly names: Names;
  readonly vm: Vm;
  /** KVM's counters and the hardware's, by name. */
  statistics(): readonly (readonly [string, number])[];
}

type Answer = Result<Evaluation, readonly Diagnostic[]>;
type Command = (c: MonitorContext, argument: string, format: string) => Answer;

const text = (lines: readonly string[]): Answer => ok({ text: lines.join('\n'), kind: 'text' });
const refuse = (code: Parameters<typeof sessionError>[0], message: string): Answer =>
  err([sessionError(code, message, 'command')]);

/** More lines than this help nobody in a console. */
const MAX_LINES = 256;
const MAX_UNITS = 1024;

const INFO: Readonly<Record<string, (c: MonitorContext) => Answer>> = {
  registers: infoRegisters,
  mem: infoMem,
  tlb: infoTlb,
  mtree: infoMtree,
  memslots: infoMtree,
  kvm: (c) =>
    text([
      `kvm support: modelled, EPT ${c.vm.mmu.ad ? 'with' : 'without'} A/D bits, VPID ${c.guest.vpid === 0 ? 'off' : c.guest.vpid}`,
      `EPTP ${hex(c.vm.mmu.eptp)}, VMCS at HPA ${hex(c.guest.cpu.vmx.vmptrst())}`,
    ]),
  stats: (c) => text(c.statistics().map(([name, n]) => `${name.padEnd(24)} ${n}`)),
};

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
  gpa2hva: (c, argument) => look(c, argument, (a) => c.guest.physical.hvaOf(a), 'hva', 'no memslot: a hole'),
  gpa2hpa: (c, argument) =>
    look(
      c,
      argument,
      (a) => translateGpa(c.guest, a, accessOf({ address: a, space: 'gpa' }, 0)).hpa,
      'hpa',
      'no host page yet, or no memslot',
    ),
  hpa2gpa: (c, argument) => reverse(c, argument, (a) => reverseHpa(c.guest, a).gpa),
  hpa2gva: (c, argument) => reverse(c, argument, (a) => reverseHpa(c.guest, a).gva),
  hva2gpa: (c, argument) => reverse(c, argument, (a) => reverseHva(c.guest, a).gpa),
  hva2gva: (c, argument) => reverse(c, argument, (a) => reverseHva(c.guest, a).gva),
  help: () =>
    text([
      ...Object.keys(INFO).map((n) => `info ${n}`),
      'x/FMT ADDRESS      memory by linear address (FMT: count, then x d u o c s i, then b h w g)',
      'xp/FMT ADDRESS     memory by guest physical address',
      ...['gva2gpa', 'gva2hpa', 'gpa2hva', 'gpa2hpa', 'hpa2gpa', 'hpa2gva', 'hva2gpa', 'hva2gva'].map(
        (n) => `${n} ADDRESS`,
      ),
      'anything else is an expression: rax, [rbx+8], label, gpa:0x5000',
    ]),
};

export const MONITOR_WORDS: readonly string[] = [
  ...Object.keys(COMMANDS),
  ...Object.keys(INFO).map((n) => `info ${n}`),
];

/** Runs `line` where it is a monitor command; undefined: it is an expression. */
export function monitor(c: MonitorContext, line: string): Answer | undefined {
  const match = /^\s*([a-z][a-z0-9]*)(?:\s*\/(\S*))?(?:\s+(.*))?$/i.exec(line);
  const name = match?.[1]?.toLowerCase();
  if (match === null || name === undefined || !Object.hasOwn(COMMANDS, name)) return undefined;
  const command = COMMANDS[name];
  const argument = match[3] ?? '';
  // a label of the guest may be called like a command: alone, it is the label
  if (argument === '' && match[2] === undefined && c.names.symbols.valueOf(name) !== undefined) return undefined;
  if (argument === '' && name !== 'help')
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
): Answer {
  const at = evaluateExpression(argument, c.names);
  if (!at.ok) return at;
  const address = at.value.kind === 'memory' ? at.value.address?.value : at.value.value;
  if (address === undefined) return refuse('notAnAddress', `\`${argument}\` is no address`);
  const found = find(address);
  if (found === undefined) return text([nothing]);
  return ok({ text: `${space}: ${hex(found)}`, value: found, kind: 'number', address: { space, value: found } });
}

function reverse(c: MonitorContext, argument: string, find: (a: bigint) => readonly bigint[]): Answer {
  const at = evaluateExpression(argument, c.names);
  if (!at.ok) return at;
  const found = find(at.value.value ?? 0n);
  return text(found.length === 0 ? ['nothing leads there'] : found.map((a) => hex(a)));
}

function infoRegisters({ guest: g }: MonitorContext): Answer {
  const s = g.state;
  const cell = (name: string, v: bigint): string =>
    `${name.toUpperCase().padEnd(4)}=${v.toString(16).padStart(16, '0')}`;
  const lines: string[] = [];
  for (let i = 0; i < 16; i += 4) lines.push([0, 1, 2, 3].map((j) => cell(GPR64[i + j] ?? '', s.get(i + j))).join(' '));
  lines.push(
    `${cell('rip', s.rip)} RFL=${s.rflags.toString(16).padStart(8, '0')} [${bitNames(s.rflags, RFLAGS).join(' ')}] CPL=${s.cpl}`,
  );
  for (const [i, name] of [...SEGMENTS, 'ldtr', 'tr'].entries()) {
    const c = s.segment(i);
    lines.push(
      `${name.toUpperCase().padEnd(4)}=${c.selector.toString(16).padStart(4, '0')} base=${c.base.toString(16).padStart(16, '0')} limit=${c.limit.toString(16).padStart(8, '0')} rights=${c.rights.toString(16).padStart(5, '0')}`,
    );
  }
  lines.push(
    `GDT base=${s.get(SLOT.GDTR_BASE).toString(16).padStart(16, '0')} limit=${s.get(SLOT.GDTR_LIMIT).toString(16)}`,
    `IDT base=${s.get(SLOT.IDTR_BASE).toString(16).padStart(16, '0')} limit=${s.get(SLOT.IDTR_LIMIT).toString(16)}`,
  );
  lines.push(
    `CR0=${hex(g.control(0))} [${bitNames(g.control(0), CR0).join(' ')}] CR2=${hex(s.get(SLOT.CR2))} CR3=${hex(s.get(SLOT.CR3))} CR4=${hex(g.control(4))} [${bitNames(g.control(4), CR4).join(' ')}]`,
  );
  lines.push(`EFER=${hex(s.get(SLOT.EFER))} [${bitNames(s.get(SLOT.EFER), EFER).join(' ')}]`);
  return text(lines);
}

interface Mapping {
  readonly start: bigint;
  readonly size: bigint;
  readonly gpa: bigint;
  readonly flags: readonly string[];
}

/** The guest's leaves in order; at most `limit` of them, so that tables which point at themselves end too. */
function* mappings(g: GuestView, limit: number): Generator<Mapping> {
  const root = guestRoot(g);
  if (!root) return;
  let visited = 0;
  const visit = function* (table: GuestTable): Generator<Mapping> {
    for (const e of readGuestTable(g, g.physical, table)) {
      if (!e.present || visited >= limit) continue;
      if (e.leaf) {
        visited++;
        yield { start: e.start, size: e.size, gpa: e.target, flags: e.flags };
      } else yield* visit({ level: e.level - 1, table: e.target, start: e.start });
    }
  };
  yield* visit(root);
}

/** QEMU's `info mem`: runs of pages with the same rights. */
function infoMem({ guest: g }: MonitorContext): Answer {
  if (!guestRoot(g)) return text(['PG disabled']);
  const lines: string[] = [];
  let run: { start: bigint; end: bigint; rights: string } | undefined;
  const flush = (): void => {
    if (run) lines.push(`${hex(run.start)}-${hex(run.end)} ${sizeName(run.end - run.start).padStart(8)} ${run.rights}`);
  };
  for (const m of mappings(g, 1 << 20)) {
    const rights = `${m.flags.includes('US') ? 'u' : '-'}r${m.flags.includes('RW') ? 'w' : '-'}${m.flags.includes('XD') ? '-' : 'x'}`;
    if (run && run.end === m.start && run.rights === rights) run.end = m.start + m.size;
    else {
      flush();
      run = { start: m.start, end: m.start + m.size, rights };
    }
    if (lines.length >= MAX_LINES) break;
  }
  flush();
  return text(lines);
}

/** QEMU's `info tlb` lists the guest's mappings; here it lists what the TLB really holds. */
function infoTlb({ guest: g }: MonitorContext): Answer {
  const entries = g.cpu.tlb.entries();
  if (entries.length === 0) return text(['the TLB is empty']);
  return text(
    entries
      .slice(0, MAX_LINES)
      .map(
        (e) =>
          `${hex(e.linear, 16)}: GPA ${hex(e.gpa)} HPA ${hex(e.hpa)} ${e.writable ? 'W' : '-'}${e.user ? 'U' : '-'}${e.executable ? 'X' : '-'}${e.dirty ? 'D' : '-'}${e.global ? 'G' : '-'} VPID ${e.vpid} PCID ${e.pcid < 0 ? 'global' : e.pcid} set ${e.set} way ${e.way}`,
      ),
  );
}

function infoMtree({ vm }: MonitorContext): Answer {
  return text(
    memslotRanges(vm.memslots.all).map((r) =>
      r.kind === 'hole'
        ? `${hex(r.start, 16)}-${hex(r.end - 1n, 16)} hole (MMIO)`
        : `${hex(r.slot.start, 16)}-${hex(r.slot.end - 1n, 16)} slot ${r.slot.id}${r.slot.readonly ? ' (rom)' : ' (ram)'} HVA ${hex(r.slot.hva)}`,
    ),
  );
}

const UNIT: Readonly<Record<string, number>> = { b: 1, h: 2, w: 4, g: 8 };

/** `x/4xg ADDRESS`, as in QEMU and gdb: count, format (x d u o c s i), unit (b h w g). */
function examine(c: MonitorContext, argument: string, format: string, space: 'gva' | 'gpa'): Answer {
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
  if (start === undefined) return refuse('notAnAddress', `\`${argument}\` is no address`);
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

function instructions(c: MonitorContext, start: bigint, count: number, space: 'gva' | 'gpa'): Answer {
  const { bytes } = c.memory.read({ space, value: start }, count * 15);
  if (bytes.length === 0) return refuse('noMemory', `cannot access memory at ${hex(start)}`);
  return text(
    disassemble(bytes, start, c.guest.bits, count, (a) => c.names.symbols.symbolOf(a)).map(
      (i) => `${hex(i.address)}: ${i.text}`,
    ),
  );
}
