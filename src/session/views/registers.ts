import { bitNames, CR0, CR4, EFER, IOPL_SHIFT, RFLAGS } from '../../isa/flags';
import { hex } from '../../base/hex';
import { GPR64 } from '../../isa/registers';
import { RIGHTS, SEG, SLOT } from '../../hw/state/layout';
import type { GuestView } from '../guest/view';
import type { Names } from '../console/names';
import { readRegister } from '../guest/registers';
import type { ViewNode, ViewPage } from '../types';
import { page, row, type ViewRequest } from './view';

const GENERAL = [...GPR64, 'rip', 'rflags'] as const;
const CONTROL = ['cr0', 'cr2', 'cr3', 'cr4', 'cr8', 'efer', 'dr6', 'dr7', 'gdtr', 'idtr'] as const;
const SEGMENT_ROWS = ['cs', 'ss', 'ds', 'es', 'fs', 'gs', 'ldtr', 'tr'] as const;
const BITS: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  cr0: CR0,
  cr4: CR4,
  efer: EFER,
  rflags: RFLAGS,
};

/** General registers: the value as the current mode is wide, the symbol that it points at, and the narrower parts as children. */
export function registersView(g: GuestView, names: Names, { path, start, count }: ViewRequest): ViewPage | undefined {
  const [parent] = path;
  if (parent !== undefined) {
    const parts = partsOf(parent);
    return parts && page(parts, start, count, (name) => register(g, names, name, `registers/${parent}/${name}`));
  }
  return page(GENERAL, start, count, (name) => register(g, names, name, `registers/${name}`));
}

function register(g: GuestView, names: Names, name: string, path: string): ViewNode {
  const value = names.register(name);
  const raw = typeof value === 'bigint' ? value : value ? 1n : 0n;
  const address = name === 'rip' ? g.linear(SEG.CS, raw) : raw;
  const symbol = name === 'rflags' ? undefined : names.symbols.symbolOf(address);
  const flags = BITS[name];
  const shown =
    name === 'rflags'
      ? `${hex(raw)} ${bitNames(raw, RFLAGS).join(' ')}`
      : g.bits === 64 || path.split('/').length > 2
        ? hex(raw)
        : hex(BigInt.asUintN(32, raw));
  const isNumber = name !== 'rflags';
  return row({
    path,
    name,
    kind: 'register',
    raw,
    editable: true,
    evaluateName: name,
    value: symbol === undefined ? shown : `${shown} <${symbol}>`,
    children: partsOf(name)?.length ?? 0,
    ...(isNumber ? { address: { space: 'gva', value: address } } : {}),
    ...(isNumber
      ? { detail: [`${raw} unsigned`, `${BigInt.asIntN(64, raw)} signed`] }
      : flags
        ? { detail: bitNames(raw, flags) }
        : {}),
  });
}

/** The narrower names of a 64-bit general register. */
function partsOf(name: string): readonly string[] | undefined {
  const legacy = /^r([abcd]x|[sb]p|[sd]i)$/.exec(name)?.[1];
  if (legacy !== undefined)
    return legacy.endsWith('x')
      ? [`e${legacy}`, legacy, `${legacy[0]}h`, `${legacy[0]}l`]
      : [`e${legacy}`, legacy, `${legacy}l`];
  return /^r\d+$/.test(name) ? [`${name}d`, `${name}w`, `${name}b`] : undefined;
}

export function flagsView(names: Names, { path, start, count }: ViewRequest): ViewPage | undefined {
  if (path.length > 0) return undefined;
  const rflags = BigInt(names.register('rflags') ?? 0n);
  const rows = [
    ...Object.entries(RFLAGS).map(([name, bit]) => ({ name, value: (rflags >> BigInt(bit)) & 1n })),
    { name: 'IOPL', value: (rflags >> BigInt(IOPL_SHIFT)) & 3n },
  ];
  return page(rows, start, count, ({ name, value }) =>
    row({
      path: `flags/${name}`,
      name,
      value: String(value),
      raw: value,
      kind: 'field',
      editable: true,
      evaluateName: name,
    }),
  );
}

const TYPES = [
  'data, read-only',
  'data',
  'data, expand down, read-only',
  'data, expand down',
  'code, execute only',
  'code',
  'conforming code, execute only',
  'conforming code',
];

/** Access rights in the VMCS format, in words. */
function rightsWords(rights: number): string {
  if ((rights & RIGHTS.UNUSABLE) !== 0) return 'unusable';
  const type =
    (rights & RIGHTS.S) !== 0
      ? (TYPES[(rights & RIGHTS.TYPE_MASK) >> 1] ?? '')
      : `system type ${rights & RIGHTS.TYPE_MASK}`;
  const size = (rights & RIGHTS.L) !== 0 ? '64-bit' : (rights & RIGHTS.DB) !== 0 ? '32-bit' : '16-bit';
  return `${type}, ${size}, DPL ${(rights >> RIGHTS.DPL_SHIFT) & 3}${(rights & RIGHTS.P) === 0 ? ', not present' : ''}`;
}

export function segmentsView(g: GuestView, { path, start, count }: ViewRequest): ViewPage | undefined {
  const [parent] = path;
  const index = (name: string): number => ['es', 'cs', 'ss', 'ds', 'fs', 'gs', 'ldtr', 'tr'].indexOf(name);
  if (parent !== undefined) {
    const at = index(parent);
    if (at < 0) return undefined;
    const cache = g.state.segment(at);
    const fields: readonly (readonly [string, bigint, string])[] = [
      ['selector', BigInt(cache.selector), hex(cache.selector, 4)],
      ['base', cache.base, hex(cache.base)],
      ['limit', BigInt(cache.limit), hex(cache.limit)],
      ['rights', BigInt(cache.rights), `${hex(cache.rights)} ${rightsWords(cache.rights)}`],
    ];
    return page(fields, start, count, ([name, raw, value]) =>
      row({
        path: `segments/${parent}/${name}`,
        name,
        value,
        raw,
        kind: 'field',
        ...(name === 'base' ? { address: { space: 'gva', value: raw } } : {}),
        editable: true,
        evaluateName: name === 'selector' ? parent : `${parent}_${name}`,
      }),
    );
  }
  return page(SEGMENT_ROWS, start, count, (name) => {
    const c = g.state.segment(index(name));
    return row({
      path: `segments/${name}`,
      name,
      kind: 'register',
      raw: BigInt(c.selector),
      children: 4,
      editable: true,
      evaluateName: name,
      value: `${hex(c.selector, 4)} base ${hex(c.base)} limit ${hex(c.limit)} ${rightsWords(c.rights)}`,
    });
  });
}

export function controlView(g: GuestView, { path, start, count }: ViewRequest): ViewPage | undefined {
  const [parent] = path;
  if (parent === 'gdtr' || parent === 'idtr')
    return page(['base', 'limit'], start, count, (part) => {
      const name = `${parent}_${part}`;
      const raw = BigInt(readRegister(g, name) ?? 0n);
      return row({
        path: `control/${parent}/${part}`,
        name: part,
        value: hex(raw),
        raw,
        kind: 'field',
        editable: true,
        evaluateName: name,
        ...(part === 'base' ? { address: { space: 'gva', value: raw } } : {}),
      });
    });
  if (parent !== undefined) {
    const table = BITS[parent];
    const value = readRegister(g, parent);
    if (!table || typeof value !== 'bigint') return undefined;
    return page(Object.entries(table), start, count, ([name, bit]) => {
      const raw = (value >> BigInt(bit)) & 1n;
      return row({
        path: `control/${parent}/${name}`,
        name,
        value: String(raw),
        raw,
        kind: 'field',
        detail: [`bit ${bit}`],
      });
    });
  }
  const mode = ['Mode', modeName(g)] as const;
  const cpl = ['CPL', String(g.cpl)] as const;
  const plain = [mode, cpl];
  const all = [...CONTROL.map((name) => ({ name, text: undefined })), ...plain.map(([name, text]) => ({ name, text }))];
  return page(all, start, count, ({ name, text }) => {
    if (text !== undefined) return row({ path: `control/${name}`, name, value: text, kind: 'text' });
    if (name === 'gdtr' || name === 'idtr') {
      const base = g.state.get(name === 'gdtr' ? SLOT.GDTR_BASE : SLOT.IDTR_BASE);
      const limit = g.state.get32(name === 'gdtr' ? SLOT.GDTR_LIMIT : SLOT.IDTR_LIMIT);
      return row({
        path: `control/${name}`,
        name,
        value: `base ${hex(base)} limit ${hex(limit)}`,
        kind: 'register',
        raw: base,
        address: { space: 'gva', value: base },
        children: 2,
        evaluateName: `${name}_base`,
      });
    }
    const value = readRegister(g, name);
    const raw = typeof value === 'bigint' ? value : 0n;
    const table = BITS[name];
    const isAddress = name === 'cr2' || name === 'cr3';
    return row({
      path: `control/${name}`,
      name,
      kind: 'register',
      raw,
      evaluateName: name,
      editable: true,
      value: table ? `${hex(raw)} ${bitNames(raw, table).join(' ')}` : hex(raw),
      children: table ? Object.keys(table).length : 0,
      ...(isAddress
        ? { address: { space: name === 'cr2' ? 'gva' : 'gpa', value: name === 'cr3' ? raw & ~0xfffn : raw } }
        : {}),
    });
  });
}

/** The operating mode and the paging format, as the manual names them. */
function modeName(g: GuestView): string {
  const paging = {
    none: 'paging off',
    '32bit': '32-bit paging',
    pae: 'PAE paging',
    '4level': '4-level paging',
    '5level': '5-level paging',
  }[g.controls.format];
  const cr0 = g.state.get(SLOT.CR0);
  const long = (g.state.get(SLOT.EFER) >> BigInt(EFER.LMA)) & 1n;
  const protectedMode = (cr0 & 1n) === 1n;
  const v86 = g.state.systemFlag(RFLAGS.VM);
  const mode = !protectedMode
    ? 'real mode'
    : v86
      ? 'virtual-8086 mode'
      : long === 1n
        ? g.bits === 64
          ? '64-bit mode'
          : 'compatibility mode'
        : `protected mode, ${g.bits}-bit code`;
  return `${mode}, ${paging}`;
}
