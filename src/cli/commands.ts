import type { OptionKey } from '../session/launch/option-table';
import { OPTION_KEYS, optionSpec } from '../session/launch/option-table';

/** An option that belongs to one command rather than to the table of options that describe a guest. */
export interface CommandOption {
  readonly argument: string | undefined;
  readonly doc: string;
  readonly values?: readonly string[];
  /** `-o`. */
  readonly short?: string;
}

export interface CommandSpec {
  readonly name: string;
  /** Absent: the command takes none. */
  readonly operand?: string;
  readonly summary: string;
  readonly guestOptions: readonly OptionKey[];
  readonly options: Readonly<Record<string, CommandOption>>;
  readonly notes: readonly string[];
}

const JSON_OPTION: CommandOption = { argument: undefined, doc: 'Print JSON.' };
const AT_OPTION: CommandOption = {
  argument: 'LABEL|FILE:LINE|end',
  doc: 'The moment: before the instruction there first executes, or the end of the run (default).',
};
const GUEST_KEYS = OPTION_KEYS.filter((key) => !optionSpec(key).output);

const EXIT_NOTES = [
  'Exit codes: 0 halted, 2 bad input, 4 triple fault, 6 instruction limit, 8 internal error or failed entry,',
  '10 an `@assert` of the guest does not hold or was never reached,',
  "70 an internal error in pagewalk; odd codes are the guest's: ((value << 1) | 1) & 0xff of what it wrote to port 0xf4.",
];

export const COMMANDS: readonly CommandSpec[] = [
  {
    name: 'run',
    operand: 'GUEST',
    summary: 'Run a guest to its end and report.',
    guestOptions: OPTION_KEYS,
    options: {
      json: { argument: undefined, doc: 'Print one JSON report.' },
      'hash-every': {
        argument: 'N',
        doc: 'Print the count and a hash of the whole machine on standard error, every N instructions.',
      },
    },
    notes: EXIT_NOTES,
  },
  {
    name: 'translate',
    operand: 'GUEST',
    summary: 'Show the chain GVA → GPA → HVA → HPA of an address.',
    guestOptions: GUEST_KEYS,
    options: {
      address: { argument: '0x…', doc: 'The address (required).' },
      space: {
        argument: 'gva|gpa|hva|hpa',
        doc: 'The address space it is in; default gva.',
        values: ['gva', 'gpa', 'hva', 'hpa'],
      },
      access: { argument: 'r|w|x', doc: 'The access; default r.', values: ['r', 'w', 'x'] },
      user: { argument: undefined, doc: 'Translate for an access at CPL 3.' },
      at: AT_OPTION,
      json: JSON_OPTION,
    },
    notes: [
      'A probe: no A/D bit is set, no TLB entry filled, nothing faults. If the place is never reached, the exit code is 2.',
    ],
  },
  {
    name: 'tables',
    operand: 'GUEST',
    summary: 'Print the present entries of a set of page tables.',
    guestOptions: GUEST_KEYS,
    options: {
      of: {
        argument: 'guest|shadow|ept|npt|host',
        doc: 'Whose tables (required).',
        values: ['guest', 'shadow', 'ept', 'npt', 'host'],
      },
      at: AT_OPTION,
      json: JSON_OPTION,
    },
    notes: [],
  },
  {
    name: 'pagemap',
    operand: 'GUEST',
    summary: 'Print where each page of guest RAM is: GPA, HVA, and HPA or swap slot.',
    guestOptions: GUEST_KEYS,
    options: {
      at: AT_OPTION,
      json: JSON_OPTION,
      binary: { argument: undefined, doc: 'Write 64 bits per 4 KiB from GPA 0 on, as in /proc/PID/pagemap (with -o).' },
      output: { argument: 'FILE', doc: 'Output file; default standard output.', short: '-o' },
    },
    notes: ['Untouched pages are left out. A large host page is one line.'],
  },
  {
    name: 'trace',
    operand: 'GUEST',
    summary: 'Run a guest and print what hypervisor, host and VMM do, step by step or exit by exit.',
    guestOptions: GUEST_KEYS,
    options: {
      format: {
        argument: 'jsonl|chrome|csv',
        doc: 'One JSON line for each step (default); a trace for Perfetto and chrome://tracing; one CSV line for each VM exit.',
        values: ['jsonl', 'chrome', 'csv'],
      },
    },
    notes: EXIT_NOTES,
  },
  {
    name: 'compare',
    operand: 'GUEST',
    summary: 'Run a guest under several kinds of memory virtualization, side by side.',
    guestOptions: GUEST_KEYS.filter((key) => key !== 'shadow'),
    options: {
      methods: {
        argument: 'LIST',
        doc: 'Methods to compare, separated by commas: ept, npt, shadow (both), shadow:classic, shadow:modern, software, software:naive. Default: all but the last. `--mmu LIST` is the same.',
      },
      json: JSON_OPTION,
    },
    notes: [
      'Checks that the guest-visible result (end, registers, guest memory, output) is the same; exit code 1 where it is not.',
      'Cycles are those of a cost model, whose parameters and their sources --json lists.',
    ],
  },
  {
    name: 'asm',
    operand: 'FILE',
    summary: 'Assemble a NASM source to a flat image.',
    guestOptions: ['define', 'include', 'warning'],
    options: {
      output: { argument: 'OUT', doc: 'Output file; default FILE with the extension .bin.', short: '-o' },
      listing: { argument: 'FILE', doc: 'Write a listing.' },
      optimize: {
        argument: '0|1|x',
        doc: 'As in nasm: 0 full immediates and near jumps, 1 near jumps, x as short as possible (default).',
        values: ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'x'],
        short: '-O',
      },
      json: {
        argument: undefined,
        doc: 'Print origin, size, symbols and lines as JSON; no image is written without -o.',
      },
    },
    notes: ['Without `org` the origin is 0, as with nasm.'],
  },
  {
    name: 'dap',
    summary: 'Run the debug adapter, for any editor that speaks the Debug Adapter Protocol.',
    guestOptions: [],
    options: {
      port: { argument: 'N', doc: 'Listen on this TCP port of 127.0.0.1; 0 takes a free one. The port is printed.' },
      socket: { argument: 'PATH', doc: 'Listen on a Unix socket that only its user can open.' },
      secret: {
        argument: 'FILE',
        doc: 'Serve only clients whose launch request has the first line of this file as `secret`.',
      },
    },
    notes: [
      'Without options it serves one client over standard input and output.',
      'docs/other-editors.md shows how Neovim, Emacs and others start it, and the fields of a launch request.',
    ],
  },
];

export const findCommand = (name: string): CommandSpec | undefined => COMMANDS.find((c) => c.name === name);
