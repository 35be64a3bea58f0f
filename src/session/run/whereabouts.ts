/** What the guest was doing at the end of a run, in words: what it polls, which fault it takes again and again, which loop it is in, and whether it runs code in the wrong mode. */
import { hex } from '../../base/hex';
import { counted } from '../../base/plural';
import { vectorName } from '../../isa/exceptions';
import type { Cpu } from '../../hw/cpu/cpu';
import type { FaultEvent } from '../../hw/state/event';
import type { Machine } from '../../vmm/machine';
import type { MachineEnd } from '../../vmm/machine-stop';
import type { Poll, UnansweredPlace } from '../../vmm/bus/unanswered';
import type { GuestView } from '../guest/view';
import type { LineSpan, SymbolTable } from '../guest/symbols';
import type { Output } from '../types';

/** Reads of one place in a row from which on it is polled. */
const POLLED = 8;
/** Instructions from the last of them to the end of the run. */
const RECENT = 1000;
/** Times that one fault comes at one instruction, with nothing else between, from which on the guest is in it. */
const FAULTS = 8;

/** `port 0x64 (8042 keyboard controller: status and command)`. */
const placeName = ({ space, address, name }: Pick<UnansweredPlace, 'space' | 'address' | 'name'>): string =>
  `${space === 'port' ? 'port' : 'GPA'} ${hex(address)}${name === undefined ? '' : ` (${name})`}`;

/** The same fault at the same place, over and over. */
export class FaultLoop {
  private last: { readonly vector: number; readonly linear: bigint; readonly cr2: bigint | undefined } | undefined;
  count = 0;
  /** Guest instructions at the last one. */
  at = 0;
  /** A fault is about to be delivered to the guest that stands at `linear`. */
  note(event: FaultEvent, linear: bigint, retired: number): void {
    const { last } = this;
    this.at = retired;
    if (last && last.vector === event.vector && last.linear === linear && last.cr2 === event.cr2) this.count++;
    else {
      this.last = { vector: event.vector, linear, cr2: event.cr2 };
      this.count = 1;
    }
  }
  get fault(): FaultLoop['last'] {
    return this.last;
  }
}

export interface Surroundings {
  readonly machine: Machine;
  readonly guest: GuestView;
  readonly symbols: SymbolTable;
  readonly faults: FaultLoop;
  readonly modes: ModeWatch;
}

/** Sentences to follow the reason of the end; '' where there is nothing to add. */
export function whereabouts(s: Surroundings, end: MachineEnd): string {
  if (end.kind === 'exit-port') return '';
  const sentences: string[] = [];
  if (end.kind === 'limit') sentences.push(atLimit(s));
  if (end.kind !== 'halt') sentences.push(nobodyThere(s.machine, end.kind === 'limit' ? polled(s) : undefined));
  // after HLT the instruction pointer is behind it
  const here = s.guest.linearRip;
  for (const linear of [end.kind === 'halt' || end.kind === 'idle' ? here - 1n : here, ...s.machine.trail])
    s.modes.look(linear, s.guest.bits);
  sentences.push(s.modes.words);
  return sentences.filter((x) => x !== '').join(' ');
}

function atLimit(s: Surroundings): string {
  const { machine, faults, guest } = s;
  const { trail, bus } = machine;
  const distinct = [...new Set(trail)].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  const first = distinct[0] ?? guest.linearRip;
  const poll = polled(s);
  if (poll) {
    const known = bus.unanswered.all.find((p) => p.space === poll.space && p.address === poll.address);
    const place = placeName({ ...poll, name: known?.name });
    return `The guest is polling ${place} at ${where(s.symbols, first)}${poll.answered ? '' : ', where nothing answers: reads give ones'}.`;
  }
  const { fault } = faults;
  if (fault && faults.count >= FAULTS && guest.retired - faults.at <= RECENT)
    return `The guest takes the same ${vectorName(fault.vector)}${fault.cr2 === undefined ? '' : ` for address ${hex(fault.cr2)}`} again and again at ${where(s.symbols, fault.linear)}.`;
  if (trail.length > 0 && distinct.length * 4 <= trail.length)
    return distinct.length === 1
      ? `The guest is in a loop of one instruction at ${where(s.symbols, first)}.`
      : `The guest is in a loop of ${counted(distinct.length, 'instruction')} from ${where(s.symbols, first)} to ${where(s.symbols, distinct.at(-1) ?? first)}.`;
  return `The guest is at ${where(s.symbols, guest.linearRip)}.`;
}

function polled({ machine, guest }: Surroundings): Poll | undefined {
  const poll = machine.bus.unanswered.lastPoll;
  return poll && poll.count >= POLLED && guest.retired - poll.at <= RECENT ? poll : undefined;
}

/** `wait+0x2 (guest.asm:5)`. */
function where(symbols: SymbolTable, linear: bigint): string {
  const symbol = symbols.symbolOf(linear);
  const at = symbols.locationOf(linear);
  return `${symbol ?? hex(linear)}${at ? ` (${at.file.slice(at.file.lastIndexOf('/') + 1)}:${at.line})` : ''}`;
}

/** `except`: told already. */
function nobodyThere({ bus }: Machine, except: Poll | undefined): string {
  const { others } = bus.unanswered;
  const all = bus.unanswered.all.filter((p) => p.space !== except?.space || p.address !== except.address);
  if (all.length === 0) return '';
  const shown = all.slice(0, 3).map(placeName);
  const more = all.length - shown.length + (others > 0 ? 1 : 0);
  return `Nothing answered at ${shown.join(', ')}${more > 0 ? ` and ${more} more` : ''}.`;
}

/** Looks out for lines that are assembled for another mode than the one they are executed in. Looks at code as it is decoded, until it finds one. */
export class ModeWatch {
  private found: { readonly span: LineSpan; readonly bits: 16 | 32 | 64 } | undefined;
  constructor(
    private readonly cpu: Cpu,
    private readonly symbols: SymbolTable,
  ) {
    cpu.fetcher.decoded = (linear, bits) => this.look(linear, bits);
  }
  look(linear: bigint, bits: 16 | 32 | 64): void {
    const span = this.found ? undefined : this.symbols.lineAt(linear);
    if (!span?.code || span.bits === undefined || span.bits === bits) return;
    this.found = { span, bits };
    this.cpu.fetcher.decoded = undefined;
  }
  get words(): string {
    if (!this.found) return '';
    const { span, bits } = this.found;
    const file = span.file.slice(span.file.lastIndexOf('/') + 1);
    return `The guest executes ${file}:${span.line} in ${MODE[bits]}, but that line is assembled for \`bits ${span.bits}\`: the bytes mean other instructions there.`;
  }
}
const MODE: Readonly<Record<16 | 32 | 64, string>> = {
  16: 'a 16-bit code segment',
  32: 'a 32-bit code segment',
  64: '64-bit mode',
};

/** Lines for the console at first touches; further places are in the report alone. */
const MOST_LINES = 32;

/** What the console says at the first touch of a place by the instruction at `linear`: once each. */
export function firstTouch(
  s: Pick<Surroundings, 'machine' | 'guest' | 'symbols'>,
  place: UnansweredPlace,
  write: boolean,
): Output | undefined {
  if (s.machine.bus.unanswered.all.length > MOST_LINES) return undefined;
  s.guest.refresh();
  const { linearRip } = s.guest;
  const name = placeName(place);
  const what = `${name.charAt(0).toUpperCase()}${name.slice(1)} is ${write ? 'written' : 'read'} at ${where(s.symbols, linearRip)}`;
  const location = s.symbols.locationOf(linearRip);
  return {
    channel: 'log',
    text: `${what}: no device answers there, so ${write ? 'the write is lost' : 'the read gives ones'}\n`,
    ...(location ? { location } : {}),
  };
}
