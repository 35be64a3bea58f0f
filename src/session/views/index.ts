import { err, ok } from '../../base/result';
import type { ControlStructure } from '../../model/control-structure';
import type { Machine } from '../../vmm/machine';
import type { Answer } from '../answer';
import { sessionError } from '../diagnostics';
import type { GuestView } from '../guest/view';
import type { Names } from '../console/names';
import { didYouMean } from '../../base/nearest';
import type { ViewNode, ViewPage } from '../types';
import { VIEW_ROOTS, frameOfRoot } from '../types';
import { FORMATS } from '../../hw/paging/controls';
import { sseView, x87View } from './fp';
import { hostView } from './host';
import { msrsView } from './msrs';
import { memslotsView } from './memory';
import { devicesView, exitsView, statisticsOf, statsView } from './machine';
import { controlView, flagsView, registersView, segmentsView } from './registers';
import { guestRoot, guestTablesView, hostTablesView, readGuestTable } from './tables';
import { shadowTablesView } from './shadow';
import { tlbView } from './tlb';
import { inFrame, page, row, type ViewRequest } from './view';
import { vmcbStructure, vmcbView } from './vmcb';
import { vmcsStructure, vmcsView } from './vmcs';

/** Most rows that one request gets. */
const MAX_ROWS = 4096;

/** Everything that can be looked at, by path. */
export class Views {
  constructor(
    private readonly machine: Machine,
    private readonly guest: GuestView,
    private readonly names: Names,
    /** The names with the registers of the guest frame of a level; undefined if there is no frame at that level. */
    private readonly namesAt: (level: number) => Names | undefined,
  ) {}

  page(path: string, start = 0, count = Number.MAX_SAFE_INTEGER): Answer<ViewPage> {
    const [root = '', ...below] = path.split('/');
    const request: ViewRequest = {
      path: below,
      start: Math.max(0, start),
      count: Math.min(Math.max(0, count), MAX_ROWS),
    };
    const found = this.find(root, request);
    if (found) return ok(found);
    const known = VIEW_ROOTS.map((r) => r.path);
    const hint = known.some((k) => k === root)
      ? '; it was there at an earlier stop'
      : didYouMean(root, known) || `; there are ${known.join(', ')}`;
    return err([sessionError('unknownView', `there is nothing called \`${path}\` now${hint}`, path)]);
  }

  /** The row of a path, as its parent shows it. */
  node(path: string): ViewNode | undefined {
    const parent = path.slice(0, path.lastIndexOf('/'));
    const [root = '', ...below] = parent.split('/');
    return this.find(root, { path: below, start: 0, count: Number.MAX_SAFE_INTEGER })?.nodes.find(
      (n) => n.path === path,
    );
  }

  /** Where the guest table entry of a row lies. */
  guestEntryAddress(path: string): { readonly gpa: bigint; readonly bytes: number } | undefined {
    const [root, ...indices] = path.split('/');
    const { format } = this.guest.controls;
    let table = root === 'guest' && format !== 'none' ? guestRoot(this.guest) : undefined;
    for (const [depth, index] of indices.entries()) {
      const entry =
        table && readGuestTable(this.guest, this.guest.physical, table).find((e) => String(e.index) === index);
      if (!entry || format === 'none') return undefined;
      if (depth === indices.length - 1) return { gpa: entry.entryAddress, bytes: FORMATS[format].entryBytes };
      table = { level: entry.level - 1, table: entry.target, start: entry.start };
    }
    return undefined;
  }

  /** KVM's counters by the names of its debugfs files, then our own. */
  statistics(): readonly (readonly [string, number])[] {
    return statisticsOf(this.machine);
  }

  /** The VMCS or VMCB that the machine has. */
  controls(): ControlStructure<bigint> {
    const { guest, machine } = this;
    const found = guest.cpu.svm.vmcb
      ? vmcbStructure(guest, machine.controlImages)
      : vmcsStructure(guest, machine.controlImages);
    return found ?? { kind: 'none', areas: [], unmet: [] };
  }

  /** A page of a view, as the frame that the root names has it. */
  private find(path: string, request: ViewRequest): ViewPage | undefined {
    const { view, level } = frameOfRoot(path);
    if (level === 0) return this.rows(view, this.names, request);
    const names = this.namesAt(level);
    const found = names && this.rows(view, names, request);
    const frame = names?.frame;
    return found && frame && { ...found, nodes: found.nodes.map((node) => inFrame(node, frame)) };
  }

  private rows(root: string, names: Names, request: ViewRequest): ViewPage | undefined {
    const { guest, machine } = this;
    switch (root) {
      case 'registers':
        return registersView(guest, names, request);
      case 'flags':
        return flagsView(names, request);
      case 'segments':
        return segmentsView(guest, request);
      case 'control':
        return controlView(guest, request);
      case 'sse':
        return sseView(guest, request);
      case 'x87':
        return x87View(guest, request);
      case 'msrs':
        return msrsView(guest, request);
      case 'guest':
        return guestTablesView(guest, request);
      case 'shadow':
        return guest.shadow ? shadowTablesView(guest, guest.shadow, request) : nothing(request);
      case 'ept':
      case 'npt':
        return this.nestedView(root, request);
      case 'vmcb':
        return vmcbView(guest, request, machine.controlImages);
      case 'host':
        return hostView(machine, guest, request);
      case 'vmcs':
        // the VMCS panel shows whichever the extension has
        return guest.cpu.svm.vmcb
          ? vmcbView(guest, request, machine.controlImages)
          : vmcsView(guest, request, machine.controlImages);
      case 'memslots':
        return memslotsView(machine.ram, request);
      case 'tlb':
        return tlbView(guest, request);
      case 'devices':
        return devicesView(machine, request);
      case 'stats':
        return statsView(machine, request);
      case 'exits':
        return exitsView(machine, request);
      default:
        return undefined;
    }
  }

  private nestedView(kind: 'ept' | 'npt', request: ViewRequest): ViewPage | undefined {
    const { second } = this.machine.accelerator;
    return second.kind === 'nested' && second.tables.kind === kind
      ? hostTablesView(kind, second.mmu.rootTable(), (t) => second.mmu.readTable(t), request)
      : nothing(request);
  }
}

/** Of a method that has no such tables. */
const nothing = ({ path, start, count }: ViewRequest): ViewPage | undefined =>
  path.length > 0 ? undefined : page([], start, count, row);
