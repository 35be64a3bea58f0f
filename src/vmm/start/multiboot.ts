import type { Result } from '../../base/result';
import { err, ok } from '../../base/result';
import type { SegmentCache } from '../../hw/state/cpu-state';
import { UNUSABLE, type RamRange, type RamWrite, type StartPlan } from './plan';

/** A file passed along with the kernel, with its command line. */
export interface MultibootModule {
  readonly bytes: Uint8Array;
  readonly commandLine: string;
}

/** What the boot loader passes to a Multiboot kernel. */
export interface MultibootBoot {
  readonly commandLine: string;
  readonly modules: readonly MultibootModule[];
  /** First address after the kernel: modules follow from there. */
  readonly kernelEnd: bigint;
}

/** EAX at the entry: "loaded by a Multiboot loader". */
const LOADER_MAGIC = 0x2bad_b002n;
const RAX = 0;
const RBX = 3;
const PAGE = 4096n;
/** Where the information structure lies: below the kernel's usual megabyte, above the real-mode tables. */
const INFO = 0x9000;
const INFO_SIZE = 120;
const BASE_MEMORY = 0xa_0000n;
const MIB = 1n << 20n;
const LOADER_NAME = 'pagewalk';

/** Bits of the structure's flags: which fields are valid. */
const HAS = { MEMORY: 1 << 0, COMMAND_LINE: 1 << 2, MODULES: 1 << 3, MEMORY_MAP: 1 << 6, LOADER_NAME: 1 << 9 } as const;
const AVAILABLE = 1;
const MAP_ENTRY = 24;

const code: SegmentCache = { selector: 0x08, base: 0n, limit: 0xffff_ffff, rights: 0xc09b };
const data: SegmentCache = { selector: 0x10, base: 0n, limit: 0xffff_ffff, rights: 0xc093 };
const tr: SegmentCache = { selector: 0, base: 0n, limit: 0xffff, rights: 0x8b };

/** A growing buffer of consecutive items, with their guest addresses. */
class Area {
  private readonly bytes: number[] = [];
  constructor(readonly base: number) {}
  get next(): number {
    return this.base + this.bytes.length;
  }
  text(s: string): number {
    const at = this.next;
    this.bytes.push(...new TextEncoder().encode(s), 0);
    return at;
  }
  words(...values: readonly number[]): number {
    while (this.bytes.length % 4 !== 0) this.bytes.push(0);
    const at = this.next;
    for (const v of values) for (let i = 0; i < 4; i++) this.bytes.push((v >>> (8 * i)) & 0xff);
    return at;
  }
  write(): RamWrite {
    return { gpa: BigInt(this.base), bytes: Uint8Array.from(this.bytes) };
  }
}

const half = (v: bigint): [low: number, high: number] => [Number(v & 0xffff_ffffn), Number(v >> 32n)];

/**
 * A kernel as a Multiboot 1 loader starts it (Multiboot Specification 0.6.96, 3.2 and 3.3): 32-bit protected mode
 * without paging, flat segments, EAX the loader's magic, EBX the information structure. The structure:
 *
 *    0 flags  4 mem_lower  8 mem_upper  12 boot_device  16 cmdline  20 mods_count  24 mods_addr  28 syms[4]  44 mmap_length  48 mmap_addr
 *   52 drives_length  56 drives_addr  60 config_table  64 boot_loader_name
 */
export function multibootStart(
  entry: bigint,
  boot: MultibootBoot,
  ram: readonly RamRange[],
): Result<StartPlan, string> {
  const modules: { readonly start: bigint; readonly end: bigint; readonly module: MultibootModule }[] = [];
  let next = (boot.kernelEnd + PAGE - 1n) & ~(PAGE - 1n);
  for (const module of boot.modules) {
    const end = next + BigInt(module.bytes.length);
    if (end > 1n << 32n) return err('the modules do not fit below 4 GiB');
    modules.push({ start: next, end, module });
    next = (end + PAGE - 1n) & ~(PAGE - 1n);
  }

  const area = new Area(INFO + INFO_SIZE);
  const commandLine = area.text(boot.commandLine);
  const loader = area.text(LOADER_NAME);
  const texts = modules.map((m) => area.text(m.module.commandLine));
  const list = area.words(...modules.flatMap((m, i) => [Number(m.start), Number(m.end), texts[i] ?? 0, 0]));
  const usable = usableRam(ram);
  // an entry's size field counts what follows it
  const map = area.words(
    ...usable.flatMap((r) => [MAP_ENTRY - 4, ...half(r.start), ...half(r.end - r.start), AVAILABLE]),
  );
  if (area.next > Number(BASE_MEMORY)) return err('command lines and memory map do not fit into base memory');

  const fields = new Map<number, number>([
    [0, HAS.MEMORY | HAS.COMMAND_LINE | HAS.MODULES | HAS.MEMORY_MAP | HAS.LOADER_NAME],
    [4, Number(lengthFrom(usable, 0n) / 1024n)],
    [8, Number(lengthFrom(usable, MIB) / 1024n)],
    [16, commandLine],
    [20, modules.length],
    [24, list],
    [44, usable.length * MAP_ENTRY],
    [48, map],
    [64, loader],
  ]);
  const info = new Uint8Array(INFO_SIZE);
  for (const [at, value] of fields) new DataView(info.buffer).setUint32(at, value, true);

  return ok({
    writes: [
      { gpa: BigInt(INFO), bytes: info },
      area.write(),
      ...modules.map((m) => ({ gpa: m.start, bytes: m.module.bytes })),
    ],
    state: {
      gprs: { [RAX]: LOADER_MAGIC, [RBX]: BigInt(INFO) },
      rip: entry,
      rflags: 2n,
      cr0: 0x11n,
      cr3: 0n,
      cr4: 0n,
      efer: 0n,
      cs: code,
      ss: data,
      data,
      ldtr: UNUSABLE,
      tr,
      // "must be considered invalid" until the kernel loads its own
      gdtr: { base: 0n, limit: 0 },
      idtr: { base: 0n, limit: 0 },
    },
  });
}

interface Range {
  readonly start: bigint;
  readonly end: bigint;
}

/**
 * Writable RAM without the hole from 640 KiB to 1 MiB, which belongs to adapters and firmware on a PC. Sorted,
 * adjacent slots joined.
 */
function usableRam(ram: readonly RamRange[]): readonly Range[] {
  const out: { start: bigint; end: bigint }[] = [];
  const put = (start: bigint, end: bigint): void => {
    if (start >= end) return;
    const last = out[out.length - 1];
    if (last && last.end === start) last.end = end;
    else out.push({ start, end });
  };
  for (const r of [...ram].filter((x) => !x.readonly).sort((a, b) => (a.gpa < b.gpa ? -1 : 1))) {
    const end = r.gpa + r.size;
    put(r.gpa, end < BASE_MEMORY ? end : BASE_MEMORY);
    put(r.gpa > MIB ? r.gpa : MIB, end);
  }
  return out;
}

/** Bytes of contiguous RAM from `start` on, as defined for mem_lower and mem_upper. */
const lengthFrom = (ranges: readonly Range[], start: bigint): bigint => {
  const r = ranges.find((x) => x.start <= start && start < x.end);
  return r ? r.end - start : 0n;
};
