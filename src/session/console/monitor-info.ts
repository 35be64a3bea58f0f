/** The `info` commands of the Debug Console. */
import { hex } from '../../base/hex';
import { bitNames, CR0, CR4, EFER, RFLAGS } from '../../isa/flags';
import { GPR64, SEGMENTS } from '../../isa/registers';
import { SLOT } from '../../hw/state/layout';
import { sizeName } from '../translate/entry-names';
import type { GuestView } from '../guest/view';
import { pagemap } from '../tables/pagemap';
import { text, type MonitorAnswer, type MonitorContext } from './monitor-context';
import { TlbComparison } from '../tables/tlb-compare';
import { staleText } from '../tables/tlb-state';
import { memslotRanges } from '../views/memory';
import { guestRoot, readGuestTable, type GuestTable } from '../views/tables';

/** More lines than this help nobody in a console. */
const MAX_LINES = 256;

export const INFO: Readonly<Record<string, (c: MonitorContext) => MonitorAnswer>> = {
  registers: infoRegisters,
  mem: infoMem,
  tlb: infoTlb,
  mtree: infoMtree,
  memslots: infoMtree,
  pagemap: infoPagemap,
  kvm: infoKvm,
  stats: (c) => text(c.statistics().map(([name, n]) => `${name.padEnd(24)} ${n}`)),
};

function infoKvm({ machine, guest }: MonitorContext): MonitorAnswer {
  const { second } = machine.accelerator;
  const vpid = `VPID ${guest.vpid === 0 ? 'off' : guest.vpid}`;
  const vmcs = `VMCS at HPA ${hex(guest.cpu.vmx.vmptrst())}`;
  switch (second.kind) {
    case 'software':
      return text(['kvm support: disabled (mmu=software: the VMM emulates the processor)']);
    case 'nested':
      return text(
        second.tables.kind === 'ept'
          ? [
              `kvm support: modelled, EPT ${second.mmu.ad ? 'with' : 'without'} A/D bits, ${vpid}`,
              `EPTP ${hex(second.tables.value)}, ${vmcs}`,
            ]
          : [
              `kvm support: modelled, SVM with nested paging, ASID ${guest.vpid}`,
              `nCR3 ${hex(second.tables.value)}, VMCB at HPA ${hex(guest.cpu.svm.vmcb?.address ?? 0n)}, host save area at HPA ${hex(guest.cpu.svm.hostSaveArea)}`,
            ],
      );
    case 'shadow': {
      const { generation, pages, rootHpa } = second.shadow;
      return text([
        `kvm support: modelled, shadow paging (${generation}), ${pages.count} shadow pages, ${vpid}`,
        `shadow root ${rootHpa === undefined ? 'none' : hex(rootHpa)}, ${vmcs}`,
      ]);
    }
  }
}

/** GPA, HVA and HPA of each page of guest RAM that there is. */
function infoPagemap({ machine }: MonitorContext): MonitorAnswer {
  const all = pagemap(machine);
  if (all.length === 0) return text(['no page of guest RAM has been touched']);
  const lines = all.slice(0, MAX_LINES).map((r) => {
    const where = r.at.kind === 'frame' ? `HPA ${hex(r.at.hpa)}` : `swap slot ${r.at.slot}`;
    const more = [
      r.writable || r.at.kind === 'swap' ? '' : 'read-only',
      r.shared > 0 ? `shared by ${r.shared}` : '',
    ].filter((t) => t !== '');
    return `GPA ${hex(r.gpa)} HVA ${hex(r.hva)} ${where} ${sizeName(r.size)} ${machine.ram.calls.range} ${r.slot}${more.length > 0 ? ` (${more.join(', ')})` : ''}`;
  });
  if (all.length > lines.length) lines.push(`and ${all.length - lines.length} more`);
  return text(lines);
}

function infoRegisters({ guest: g }: MonitorContext): MonitorAnswer {
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
function infoMem({ guest: g }: MonitorContext): MonitorAnswer {
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
function infoTlb({ guest: g }: MonitorContext): MonitorAnswer {
  const entries = g.cpu.tlb.entries();
  const compare = new TlbComparison(g);
  const stale = (e: (typeof entries)[number]): string => {
    const found = compare.entry(e).stale;
    return found ? `  ${staleText(found)}` : '';
  };
  if (entries.length === 0) return text(['the TLB is empty']);
  return text(
    entries
      .slice(0, MAX_LINES)
      .map(
        (e) =>
          `${hex(e.linear, 16)}: GPA ${hex(e.gpa)} HPA ${hex(e.hpa)} ${e.writable ? 'W' : '-'}${e.user ? 'U' : '-'}${e.executable ? 'X' : '-'}${e.dirty ? 'D' : '-'}${e.global ? 'G' : '-'} VPID ${e.vpid} PCID ${e.pcid < 0 ? 'global' : e.pcid} set ${e.set} way ${e.way}${stale(e)}`,
      ),
  );
}

function infoMtree({ machine }: MonitorContext): MonitorAnswer {
  return text(
    memslotRanges(machine.ram.memslots.all).map((r) =>
      r.kind === 'hole'
        ? `${hex(r.start, 16)}-${hex(r.end - 1n, 16)} hole (MMIO)`
        : `${hex(r.slot.start, 16)}-${hex(r.slot.end - 1n, 16)} ${machine.ram.calls.range} ${r.slot.id}${r.slot.readonly ? ' (rom)' : ' (ram)'} HVA ${hex(r.slot.hva)}`,
    ),
  );
}
