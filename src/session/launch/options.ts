import { WARNING_CLASSES, Warnings } from '../../asm/index';
import type { Diagnostic, Span } from '../../base/diagnostic';
import type { MmuKind } from '../../vmm/options';
import { parseNumber, parseSize } from './option-values';
import type { OptionKey, OptionSpec } from './option-table';
import { OPTION_KEYS, isOptionKey, isRepeatable, optionSpec } from './option-table';
import { didYouMean } from '../../base/nearest';
import { sessionError } from '../diagnostics';

/** Where a set of options was written: decides what is allowed and how an error is located. */
export type OptionSource = 'guest' | 'launch' | 'command-line';

export type StartName = 'auto' | 'boot' | 'flat16' | 'flat32' | 'flat64' | 'elf' | 'multiboot' | 'reset';
export type HostPages = '4k' | 'thp' | '2m' | '1g';
export type AssemblerName = 'builtin' | 'nasm' | 'gas';

export interface SlotOption {
  readonly gpa: bigint;
  readonly size: bigint;
  readonly readOnly: boolean;
}

/** The options of a run, settled: what the guest file says, overridden by the launch or the command line, and defaults. */
export interface Settings {
  readonly mmu: MmuKind;
  readonly shadow: 'classic' | 'modern';
  readonly start: StartName;
  /** Bytes of guest RAM. */
  readonly memory: bigint;
  /** Empty: one slot of all memory at GPA 0. */
  readonly slots: readonly SlotOption[];
  readonly tlb: { readonly entries: number; readonly ways: number } | 'off' | undefined;
  readonly walkCaches: boolean;
  readonly eptAd: boolean;
  readonly vpid: boolean;
  /** Bytes of host memory; undefined: enough for guest RAM. */
  readonly hostMemory: bigint | undefined;
  readonly hostSwap: bigint | undefined;
  readonly hostBase: bigint;
  readonly hvaBase: bigint;
  readonly hostPages: HostPages;
  readonly assembler: AssemblerName;
  readonly maxInstructions: number | undefined;
  /** Of the order in which host frames are handed out; 0: the usual one. */
  readonly seed: number;
  /** CPU model by name. */
  readonly cpu: string;
  /** Devices besides those that every machine has. */
  /** Names of devices besides those that every machine has. */
  readonly devices: readonly string[];
  /** Files that the guest is given, and the text behind a Multiboot kernel's name. */
  readonly module: string | undefined;
  readonly firmware: string | undefined;
  readonly append: string | undefined;
  readonly serial: string | undefined;
  readonly debugcon: string | undefined;
  readonly trace: string | undefined;
}

/** One option as written: a text, or the JSON value of a launch field. */
export interface WrittenOption {
  readonly key: string;
  readonly value: unknown;
  /** Where it stands; absent for launch fields and command-line options, which are named instead. */
  readonly span?: Span;
}

/** Options that were accepted, by key: the texts of their values (several for repeatable ones). */
export type OptionTexts = ReadonlyMap<OptionKey, readonly string[]>;

/** How an option is called where it was written. */
function nameOf(key: string, source: OptionSource): string {
  switch (source) {
    case 'guest':
      return `\`${key}\``;
    case 'launch':
      return `field \`${key}\``;
    case 'command-line':
      return `\`--${key}\``;
  }
}

const builtValues = (spec: OptionSpec): string[] =>
  Object.keys(spec.values ?? {}).filter((v) => !spec.notBuilt?.includes(v));

/** What is wrong with one value, or undefined. */
function problemOf(
  key: OptionKey,
  text: string,
): { readonly code: 'badValue' | 'notBuiltYet'; readonly what: string } | undefined {
  const spec = optionSpec(key);
  const bad = (what: string) => ({ code: 'badValue', what }) as const;
  switch (spec.type) {
    case 'choice':
    case 'choices':
    case 'switch':
      if (!Object.hasOwn(spec.values ?? {}, text)) {
        const names = Object.keys(spec.values ?? {});
        return bad(`\`${text}\` is not one of ${names.join(', ')}${didYouMean(text, names)}`);
      }
      break;
    case 'size':
      if (parseSize(text) === undefined)
        return bad(`\`${text}\` is no size; write bytes, or a number with K, M, G or T, as 64M`);
      break;
    case 'address':
      if (parseNumber(text) === undefined)
        return bad(`\`${text}\` is not an address; write 0x and hex digits, at most 64 bits`);
      break;
    case 'count': {
      const n = parseNumber(text);
      if (n === undefined || n < 1n || n > BigInt(Number.MAX_SAFE_INTEGER))
        return bad(`\`${text}\` is no positive number`);
      break;
    }
    case 'tlb':
      if (parseTlb(text) === undefined)
        return bad(
          `\`${text}\` is no TLB; write entries,ways as powers of two with ways at most entries, such as 64,4, or off`,
        );
      break;
    case 'slot':
      if (parseSlot(text) === undefined)
        return bad(
          `\`${text}\` is no memslot; write GPA+SIZE, as 0x100000+16M, with ,ro behind it for a read-only one`,
        );
      break;
    case 'define':
      if (parseDefine(text) === undefined)
        return bad(`\`${text}\` is no NAME or NAME=VALUE; a name begins with a letter, as DEBUG=1`);
      break;
    case 'warning':
      if (new Warnings([]).apply(text) !== undefined)
        return bad(
          `\`${text}\` is not a warning class${didYouMean(text.replace(/^[-+]?(error=)?/, ''), WARNING_CLASSES)}`,
        );
      break;
    case 'text':
    case 'file':
    case 'folder':
      if (text === '') return bad('the value is empty');
      break;
  }
  const isDefault = text === spec.default;
  if (spec.notBuilt && !isDefault && (spec.notBuilt.includes('*') || spec.notBuilt.includes(text))) {
    const instead = spec.notBuilt.includes('*') ? 'leave it out' : `use ${builtValues(spec).join(', ')}`;
    return { code: 'notBuiltYet', what: `\`${text}\` is not supported yet; ${instead}` };
  }
  return undefined;
}

/** The texts of a JSON value: a number, a boolean (on, off), a text, or for repeatable options a list of them. */
function textsOf(value: unknown, repeatable: boolean): readonly string[] | undefined {
  if (typeof value === 'string') return [value];
  if (typeof value === 'number' && Number.isSafeInteger(value)) return [String(value)];
  if (typeof value === 'bigint') return [String(value)];
  if (typeof value === 'boolean') return [value ? 'on' : 'off'];
  if (repeatable && Array.isArray(value)) {
    const all = value.map((v: unknown) => textsOf(v, false)?.[0]);
    return all.every((t): t is string => t !== undefined) ? all : undefined;
  }
  return undefined;
}

/**
 * Checks a set of written options against the table. Everything wrong is reported, each by the option's name and with the
 * nearest valid name or value; what is right is returned.
 * @param file the file that the options stand in, or `launch configuration`, or `command line`
 */
export function checkOptions(
  written: readonly WrittenOption[],
  source: OptionSource,
  file: string,
): { readonly options: OptionTexts; readonly diagnostics: readonly Diagnostic[] } {
  const options = new Map<OptionKey, readonly string[]>();
  const diagnostics: Diagnostic[] = [];
  for (const { key, value, span } of written) {
    const name = nameOf(key, source);
    if (!isOptionKey(key)) {
      diagnostics.push(
        sessionError('unknownOption', `there is no option ${name}${didYouMean(key, OPTION_KEYS)}`, file, span),
      );
      continue;
    }
    const spec = optionSpec(key);
    if (source === 'guest' && spec.output) {
      diagnostics.push(
        sessionError(
          'notAllowedHere',
          `${name} names an output, which a guest file cannot do; give it in the launch configuration or on the command line`,
          file,
          span,
        ),
      );
      continue;
    }
    const repeatable = isRepeatable(spec);
    const texts = textsOf(value, repeatable);
    if (texts === undefined) {
      diagnostics.push(
        sessionError(
          'badValue',
          `${name}: expected ${repeatable ? 'a string or a list of strings' : 'a string'} here`,
          file,
          span,
        ),
      );
      continue;
    }
    if (options.has(key) && !repeatable) {
      diagnostics.push(sessionError('duplicateOption', `${name} is given twice; keep one`, file, span));
      continue;
    }
    const problems = texts.map((t) => problemOf(key, t)).filter((p) => p !== undefined);
    for (const p of problems) diagnostics.push(sessionError(p.code, `${name}: ${p.what}`, file, span));
    if (problems.length === 0) options.set(key, [...(options.get(key) ?? []), ...texts]);
  }
  return { options, diagnostics };
}

/** Under shadow paging the top table of a 32-bit guest must lie below 4 GiB, and all of host memory does, unless somebody says where it begins. */
export const SHADOW_HOST_BASE = 0x4000_0000n;

/** Nested paging is AMD's: the processor is one of theirs unless somebody says which. */
const SVM_CPU = 'pagewalk-svm';
/** Processors with VMX and their counterparts with SVM: what a guest's paging depends on is the same. Others have none. */
const COUNTERPARTS: readonly (readonly [vmx: string, svm: string])[] = [
  ['pagewalk-x64', SVM_CPU],
  ['pagewalk-x64-la57', 'pagewalk-svm-la57'],
];
/** The processor that runs a guest for `cpu` under a method; `cpu` itself where it can, or where no other is like it. */
export function cpuFor(mmu: MmuKind, cpu: string): string {
  if (mmu === 'software') return cpu;
  const pair = COUNTERPARTS.find((p) => p.includes(cpu));
  return pair ? pair[mmu === 'npt' ? 1 : 0] : cpu;
}

/** Later sets override earlier ones, option by option. */
export function settle(...sets: readonly OptionTexts[]): Settings {
  const all = new Map(sets.flatMap((s) => [...s]));
  const text = (key: OptionKey): string | undefined => all.get(key)?.at(-1) ?? optionSpec(key).default;
  const size = (key: OptionKey): bigint | undefined =>
    text(key) === undefined ? undefined : parseSize(text(key) ?? '');
  const number = (key: OptionKey): bigint | undefined =>
    text(key) === undefined ? undefined : parseNumber(text(key) ?? '');
  const limit = number('max-instructions');
  const tlb = text('tlb');
  return {
    mmu: text('mmu') as MmuKind,
    shadow: text('shadow') === 'modern' ? 'modern' : 'classic',
    start: text('start') as StartName,
    memory: size('memory') ?? 0n,
    slots: (all.get('slot') ?? []).map(parseSlot).filter((s) => s !== undefined),
    tlb: tlb === undefined ? undefined : parseTlb(tlb),
    walkCaches: text('walk-caches') === 'on',
    eptAd: text('ept-ad') === 'on',
    vpid: text('vpid') === 'on',
    hostMemory: size('host-memory'),
    hostSwap: size('host-swap'),
    hostBase: text('mmu') === 'shadow' && !all.has('host-base') ? SHADOW_HOST_BASE : (number('host-base') ?? 0n),
    hvaBase: number('hva-base') ?? 0n,
    hostPages: text('host-pages') as HostPages,
    assembler: text('assembler') as AssemblerName,
    seed: Number(number('seed') ?? 0n),
    maxInstructions: limit === undefined ? undefined : Number(limit),
    cpu: (text('mmu') === 'npt' && !all.has('cpu') ? SVM_CPU : text('cpu')) ?? '',
    devices: [...new Set(all.get('device') ?? [])],
    module: text('module'),
    firmware: text('firmware'),
    append: text('append'),
    serial: text('serial'),
    debugcon: text('debugcon'),
    trace: text('trace'),
  };
}

/** `64,4`: entries and ways, powers of two; `off`: a walk at each access. */
function parseTlb(text: string): { readonly entries: number; readonly ways: number } | 'off' | undefined {
  if (text === 'off') return 'off';
  const match = /^(\d{1,5}),(\d{1,5})$/.exec(text);
  if (!match) return undefined;
  const [entries, ways] = [Number(match[1]), Number(match[2])];
  const power = (n: number): boolean => n > 0 && Number.isInteger(Math.log2(n));
  return power(entries) && power(ways) && ways <= entries ? { entries, ways } : undefined;
}

/** `NAME=VALUE`, as `nasm -D` takes it; a name alone stands for nothing. */
export function parseDefine(text: string): readonly [name: string, value: string] | undefined {
  const match = /^([A-Za-z_.?@][\w.?@$#~]*(?:\([^()=]*\))?)(?:=(.*))?$/.exec(text);
  return match?.[1] === undefined ? undefined : [match[1], match[2] ?? ''];
}

/** `GPA+SIZE`, with `,ro` behind it for a read-only slot. */
function parseSlot(text: string): SlotOption | undefined {
  const match = /^([^+]+)\+([^,]+)(,ro)?$/.exec(text);
  const at = match?.[1] === undefined ? undefined : parseSize(match[1]);
  const size = match?.[2] === undefined ? undefined : parseSize(match[2]);
  return at === undefined || size === undefined ? undefined : { gpa: at, size, readOnly: match?.[3] !== undefined };
}
