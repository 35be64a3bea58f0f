/**
 * The one table of options. The keys of a guest file's `@guest` line, the fields of a launch configuration and the long
 * options of the command line are its keys; the launch schema and `--help` are generated from it.
 */
import { listed } from '../../base/plural';
import { DEVICES, USUAL_DEVICES, type OutputChannel } from '../../vmm/devices/table';

/**
 * How a value is written.
 *   size     bytes: `64M`, `0x1000`, `4096`; K, M, G and T are powers of 1024
 *   address  `0x…` or decimal, 64 bits
 *   count    a positive integer
 *   switch   on or off
 *   choice   one of `values`
 *   choices  one of `values`; repeatable
 *   tlb      `entries,ways` or `off`
 *   slot     `GPA+SIZE[,ro]`; repeatable
 *   text     anything
 *   file     a path
 *   define   `NAME[=VALUE]` or `NAME(PARAMETERS)=VALUE`; repeatable
 *   folder   a path; repeatable
 *   warning  a class of the assembler's warnings, with a sign; repeatable
 */
export type OptionType =
  | 'size'
  | 'address'
  | 'count'
  | 'switch'
  | 'choice'
  | 'choices'
  | 'tlb'
  | 'slot'
  | 'text'
  | 'file'
  | 'define'
  | 'folder'
  | 'warning';

export interface OptionSpec {
  readonly type: OptionType;
  readonly doc: string;
  /** For `choice` and `choices`: each value and what it means; an empty text where the name says it. */
  readonly values?: Readonly<Record<string, string>>;
  /** Smallest number of a `size`; default 1. */
  readonly least?: number;
  /** The default as it would be written; absent: see `doc`. */
  readonly default?: string;
  /** What the command line's help shows for the value. */
  readonly argument: string;
  /** Outputs are not named by a guest file: what a file says about itself must not decide where something is written. */
  readonly output?: true;
  /** The letter that the command line takes besides, as nasm does: `-D NAME`. */
  readonly short?: string;
  /** Values that name something not built yet (`*`: any value but the default). */
  readonly notBuilt?: readonly string[];
}

/** An option of its name for each device that puts out bytes. */
const DEVICE_OUTPUTS = Object.fromEntries(
  DEVICES.flatMap(({ name, output: doc }) =>
    doc === undefined ? [] : [[name, { type: 'file', doc, argument: '-|FILE', output: true }]],
  ),
) as Readonly<Record<OutputChannel, OptionSpec>>;

const SWITCH = { on: '', off: '' } as const;

export const OPTIONS = {
  mmu: {
    type: 'choice',
    doc: 'How guest memory is virtualized.',
    values: {
      ept: 'Intel extended page tables',
      npt: 'AMD nested page tables',
      shadow: 'Shadow page tables kept by KVM',
      software: 'No hypervisor: translation in software',
    },
    default: 'ept',
    argument: 'ept|npt|shadow|software',
  },
  shadow: {
    type: 'choice',
    doc: 'Shadow-paging generation: classic (Linux 2.6.20) or modern.',
    values: { classic: '', modern: '' },
    default: 'classic',
    argument: 'classic|modern',
  },
  start: {
    type: 'choice',
    doc: 'How the guest starts. `auto` decides from the file.',
    values: {
      auto: "By the file's magic, its boot signature, or the mode of its first instruction",
      boot: 'Boot sector: the first 512 bytes, loaded at 0000:7C00 in real mode',
      flat16: 'Real mode, all segments 0',
      flat32: 'Protected mode with paging and an identity map prepared',
      flat64: 'Long mode with paging and an identity map prepared',
      elf: "By the ELF file's headers",
      multiboot: 'As the Multiboot 1 specification defines',
      reset: 'From the reset vector, with a firmware image',
    },
    default: 'auto',
    argument: 'auto|boot|flat16|flat32|flat64|elf|multiboot|reset',
  },
  memory: { type: 'size', doc: 'Guest RAM, for example `64M`.', default: '64M', argument: 'SIZE' },
  slot: {
    type: 'slot',
    doc: 'Memslots as GPA+SIZE[,ro], for example "0x0+1M". Default: one slot of all memory.',
    argument: 'GPA+SIZE[,ro]',
  },
  cpus: { type: 'count', doc: 'Number of VCPUs.', default: '1', argument: 'N', notBuilt: ['*'] },
  cpu: {
    type: 'choice',
    doc: 'CPU model.',
    values: {
      'pagewalk-x64': 'Paging as on a Skylake client, four levels',
      'pagewalk-x64-la57': 'With 5-level paging, protection keys and 52 physical bits',
      'pagewalk-x64-no1g': 'The default without 1 GiB pages',
      'pagewalk-svm': 'AMD: SVM with nested paging; the default with mmu=npt',
      'pagewalk-svm-la57': 'AMD with 5-level paging, in guest, host and nested tables',
    },
    default: 'pagewalk-x64',
    argument: 'MODEL',
  },
  device: {
    type: 'choices',
    doc: `A device besides ${listed(
      USUAL_DEVICES.map((d) => d.title),
      'and',
    )}. Repeatable.`,
    values: Object.fromEntries(DEVICES.flatMap((d) => (d.onRequest === undefined ? [] : [[d.name, d.onRequest]]))),
    argument: 'NAME',
  },
  tlb: {
    type: 'tlb',
    doc: 'TLB geometry as entries,ways (`64,4`), or `off`: a walk on every access.',
    argument: 'ENTRIES,WAYS|off',
  },
  'walk-caches': {
    type: 'switch',
    doc: 'Paging-structure caches.',
    values: SWITCH,
    default: 'off',
    argument: 'on|off',
  },
  'ept-ad': {
    type: 'switch',
    doc: 'Accessed and dirty bits in EPT entries.',
    values: SWITCH,
    default: 'on',
    argument: 'on|off',
  },
  vpid: {
    type: 'switch',
    doc: 'Tag TLB entries by virtual processor.',
    values: SWITCH,
    default: 'on',
    argument: 'on|off',
  },
  'host-memory': { type: 'size', doc: "Size of the modelled host's physical memory.", argument: 'SIZE' },
  'host-swap': {
    type: 'size',
    doc: "Size of the modelled host's swap area; 0: none. Default: as large as its memory.",
    argument: 'SIZE',
    least: 0,
  },
  'host-base': {
    type: 'address',
    doc: 'First host physical address to allocate.',
    default: '0x100000000',
    argument: 'HPA',
  },
  'hva-base': {
    type: 'address',
    doc: "Where guest RAM lies in the VMM's address space.",
    default: '0x7f5a00000000',
    argument: 'HVA',
  },
  'host-pages': {
    type: 'choice',
    doc: 'What backs guest RAM on the host.',
    values: { '4k': '', thp: '', '2m': '', '1g': '' },
    default: '4k',
    argument: '4k|thp|2m|1g',
  },
  seed: {
    type: 'count',
    doc: 'Seed for the order in which host frames are allocated.',
    argument: 'N',
  },
  firmware: {
    type: 'file',
    doc: 'Firmware image, mapped below 4 GiB (start `reset`). Default: the guest itself.',
    argument: 'FILE',
  },
  module: { type: 'file', doc: 'Multiboot module.', argument: 'FILE' },
  append: { type: 'text', doc: 'Command line of a Multiboot kernel, after the file name.', argument: 'TEXT' },
  disk: { type: 'file', doc: 'Disk image.', argument: 'FILE', notBuilt: ['*'] },
  assembler: {
    type: 'choice',
    doc: 'Assembler to use.',
    values: { builtin: 'The built-in NASM-syntax assembler', nasm: 'An installed nasm', gas: 'An installed GNU as' },
    default: 'builtin',
    argument: 'builtin|nasm|gas',
  },
  define: {
    type: 'define',
    doc: 'A macro for the assembler, as with `nasm -D`: `DEBUG`, `LEVEL=2`. Repeatable; adds to those of `@guest`.',
    argument: 'NAME[=VALUE]',
    short: '-D',
  },
  include: {
    type: 'folder',
    doc: 'A folder where `%include` and `incbin` look for files that are not beside the source. Repeatable; searched before those of `@guest`.',
    argument: 'DIR',
    short: '-I',
  },
  warning: {
    type: 'warning',
    doc: "Turns a class of the assembler's warnings on or off, as `nasm -w`: `-zeroing`, `+float-denorm`, `error=label-orphan`. Repeatable.",
    argument: '±CLASS',
    short: '-w',
  },
  'max-instructions': { type: 'count', doc: 'Stop after this many guest instructions.', argument: 'N' },
  ...DEVICE_OUTPUTS,
  trace: {
    type: 'file',
    doc: 'File that receives one JSON line per step of the hypervisor.',
    argument: 'FILE',
    output: true,
  },
} as const satisfies Readonly<Record<string, OptionSpec>>;

export type OptionKey = keyof typeof OPTIONS;
export const OPTION_KEYS = Object.keys(OPTIONS) as readonly OptionKey[];
export const optionSpec = (key: OptionKey): OptionSpec => OPTIONS[key];
/** Whether an option may be given several times, or as a list. */
export const isRepeatable = ({ type }: OptionSpec): boolean =>
  type === 'slot' || type === 'define' || type === 'folder' || type === 'warning' || type === 'choices';
export const isOptionKey = (key: string): key is OptionKey => Object.hasOwn(OPTIONS, key);
