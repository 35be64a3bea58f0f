/**
 * What a person may make the host do, in words: `host …` and `memslot …` in the Debug Console, and the same words behind `; @host` in a guest file. Here the words
 * are understood; host-events.ts does it.
 */
import type { Space } from '../../base/address';
import type { Result } from '../../base/result';
import { err, ok } from '../../base/result';
import { didYouMean } from '../../base/nearest';
import { parseNumber, parseSize } from '../launch/option-values';

/** A page: by an address, or by a label of the guest. A plain number is a GPA. */
export type Place =
  | { readonly kind: 'address'; readonly space: Space; readonly value: bigint }
  | { readonly kind: 'label'; readonly name: string };

export type HostCommand =
  | { readonly kind: 'swap-out' | 'collapse' | 'split'; readonly at: Place }
  | { readonly kind: 'migrate'; readonly at: Place; readonly to: bigint | undefined }
  | { readonly kind: 'merge'; readonly at: Place; readonly other: Place }
  | { readonly kind: 'balloon' | 'deflate'; readonly at: Place; readonly size: bigint }
  | {
      readonly kind: 'slot-add';
      readonly id: number;
      readonly gpa: bigint;
      readonly size: bigint;
      readonly readonly: boolean;
    }
  | { readonly kind: 'slot-delete' | 'slot-dirty'; readonly id: number }
  | { readonly kind: 'slot-move' | 'slot-remap'; readonly id: number; readonly to: bigint }
  | { readonly kind: 'slot-readonly' | 'slot-log'; readonly id: number; readonly on: boolean };

interface Form {
  /** How the arguments are written. */
  readonly usage: string;
  readonly doc: string;
  /** Undefined: these are no such arguments. */
  read(args: readonly string[]): HostCommand | undefined;
}

const PAGE = 4096n;

const onePlace = (kind: 'swap-out' | 'collapse' | 'split', doc: string): Form => ({
  usage: 'ADDRESS',
  doc,
  read: ([a, ...more]) => {
    const at = placeOf(a);
    return at && more.length === 0 ? { kind, at } : undefined;
  },
});

const pages = (kind: 'balloon' | 'deflate', doc: string): Form => ({
  usage: 'ADDRESS [SIZE]',
  doc,
  read: ([a, b, ...more]) => {
    const at = placeOf(a);
    const size = b === undefined ? PAGE : parseSize(b);
    return at && size !== undefined && size > 0n && more.length === 0 ? { kind, at, size } : undefined;
  },
});

const HOST: Readonly<Record<string, Form>> = {
  'swap-out': onePlace('swap-out', 'writes the page to swap and frees its frame'),
  migrate: {
    usage: 'ADDRESS [HPA]',
    doc: 'moves the page to another frame',
    read: ([a, b, ...more]) => {
      const at = placeOf(a);
      const to = b === undefined ? undefined : parseNumber(b.replace(/^hpa:/i, ''));
      return at && more.length === 0 && (b === undefined || to !== undefined) ? { kind: 'migrate', at, to } : undefined;
    },
  },
  merge: {
    usage: 'ADDRESS ADDRESS',
    doc: 'same-page merging: two pages of the same content share a frame until one is written',
    read: ([a, b, ...more]) => {
      const [at, other] = [placeOf(a), placeOf(b)];
      return at && other && more.length === 0 ? { kind: 'merge', at, other } : undefined;
    },
  },
  collapse: onePlace('collapse', 'collects the 2 MiB around it into one huge page (host-pages=thp)'),
  split: onePlace('split', 'maps a huge page by 4 KiB entries again'),
  balloon: pages('balloon', 'gives pages back to the host, content and all'),
  deflate: pages('deflate', 'takes pages back from the balloon: they may be used again'),
};

const ofSlot = (kind: 'slot-delete' | 'slot-dirty', doc: string): Form => ({
  usage: 'ID',
  doc,
  read: ([i, ...more]) => {
    const id = idOf(i);
    return id !== undefined && more.length === 0 ? { kind, id } : undefined;
  },
});
const slotTo = (kind: 'slot-move' | 'slot-remap', usage: string, doc: string): Form => ({
  usage,
  doc,
  read: ([i, a, ...more]) => {
    const id = idOf(i);
    const to = a === undefined ? undefined : parseNumber(a.replace(kind === 'slot-move' ? /^gpa:/i : /^hva:/i, ''));
    return id !== undefined && to !== undefined && more.length === 0 ? { kind, id, to } : undefined;
  },
});
const slotSwitch = (kind: 'slot-readonly' | 'slot-log', doc: string): Form => ({
  usage: 'ID on|off',
  doc,
  read: ([i, s, ...more]) => {
    const id = idOf(i);
    return id !== undefined && (s === 'on' || s === 'off') && more.length === 0
      ? { kind, id, on: s === 'on' }
      : undefined;
  },
});

const MEMSLOT: Readonly<Record<string, Form>> = {
  add: {
    usage: 'ID GPA SIZE [ro]',
    doc: 'new guest RAM',
    read: ([i, a, s, ro, ...more]) => {
      const id = idOf(i);
      const gpa = a === undefined ? undefined : parseNumber(a.replace(/^gpa:/i, ''));
      const size = s === undefined ? undefined : parseSize(s);
      if (
        id === undefined ||
        gpa === undefined ||
        size === undefined ||
        more.length > 0 ||
        (ro !== undefined && ro !== 'ro')
      )
        return undefined;
      return { kind: 'slot-add', id, gpa, size, readonly: ro !== undefined };
    },
  },
  delete: ofSlot('slot-delete', 'leaves a hole'),
  move: slotTo('slot-move', 'ID GPA', 'to another guest physical address'),
  remap: slotTo('slot-remap', 'ID HVA', 'to other memory of the VMM, as the VMM does it: deleted, and made anew'),
  readonly: slotSwitch('slot-readonly', 'whether the guest may only read it'),
  log: slotSwitch('slot-log', 'dirty logging'),
  dirty: ofSlot('slot-dirty', 'the pages written since this was last asked (KVM_GET_DIRTY_LOG)'),
};

const FAMILIES: Readonly<Record<string, Readonly<Record<string, Form>>>> = { host: HOST, memslot: MEMSLOT };

/** All commands with their arguments and what they do. */
export const HOST_COMMANDS: readonly { readonly words: string; readonly usage: string; readonly doc: string }[] =
  Object.entries(FAMILIES).flatMap(([family, forms]) =>
    Object.entries(forms).map(([verb, f]) => ({ words: `${family} ${verb}`, usage: f.usage, doc: f.doc })),
  );

/** Whether a console line begins like one of these commands. */
export const isHostCommand = (words: readonly string[]): boolean =>
  Object.hasOwn(FAMILIES, words[0] ?? '') && words.length > 1;

/** `host swap-out 0x5000`, `memslot move 0 0x8000`: the command, or what is wrong with it. */
export function parseHostCommand(words: readonly string[]): Result<HostCommand, string> {
  const [family = '', verb = '', ...args] = words;
  const forms = Object.hasOwn(FAMILIES, family) ? FAMILIES[family] : undefined;
  if (!forms) return err(`\`${family}\` is neither host nor memslot`);
  const form = Object.hasOwn(forms, verb) ? forms[verb] : undefined;
  if (!form)
    return err(
      `there is no \`${family} ${verb}\`${didYouMean(verb, Object.keys(forms)) || `; there are ${Object.keys(forms).join(', ')}`}`,
    );
  const command = form.read(args);
  return command
    ? ok(command)
    : err(
        `\`${family} ${verb}\` is written ${family} ${verb} ${form.usage}; a plain number is a GPA, gva: and hva: name others`,
      );
}

/** The same behind `@host`, where the word host is not said twice. */
export const parseHostDirective = (words: readonly string[]): Result<HostCommand, string> =>
  parseHostCommand(words[0] === 'memslot' ? words : ['host', ...words]);

function placeOf(text: string | undefined): Place | undefined {
  const match = /^(?:(gva|gpa|hva|hpa):)?(.+)$/i.exec(text ?? '');
  const value = parseNumber(match?.[2] ?? '');
  if (value !== undefined) return { kind: 'address', space: (match?.[1]?.toLowerCase() ?? 'gpa') as Space, value };
  const name = match?.[1] === undefined ? match?.[2] : undefined;
  return name !== undefined && /^[\p{L}_.?@$][\w.?@$#~]*$/u.test(name) ? { kind: 'label', name } : undefined;
}

function idOf(text: string | undefined): number | undefined {
  const n = parseNumber(text ?? '');
  return n === undefined || n > 0xffffn ? undefined : Number(n);
}
