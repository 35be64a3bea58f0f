/** Guest memory from three sides: GPA, HVA and HPA columns with ribbons between them, and the same as a list: slots, holes, VMAs, runs of pages. */
import type { MemoryMapArguments, MemoryMapReply, MemoryRun, SlotInfo } from '../../../protocol/memory-map';
import { h } from '../../dom';
import { VirtualList, type RowView } from '../../list';
import { sizeText } from '../../names';
import type { Panel, PanelContext } from '../../panel';
import { draw } from './drawing';
import { layout, slotEnd } from './layout';
import { marksOf, rangeText, slotFlags, slotRange, stateText, summaryText, vmaText } from './words';
import './memory-map.css';

/** A part of guest physical memory, hex. */
interface Part {
  readonly from: string;
  readonly to: string;
}
interface Kept {
  readonly part?: Part;
  /** GPA of the run that is selected. */
  readonly at?: string;
}

/** More could not be distinguished in the drawing. */
const MOST_RUNS = 160;

type Row =
  | { readonly kind: 'hole' | 'vma'; readonly name: string; readonly text: string }
  | {
      readonly kind: 'slot';
      readonly name: string;
      readonly text: string;
      readonly slot: SlotInfo;
      readonly part: Part;
    }
  | { readonly kind: 'run'; readonly run: MemoryRun; readonly index: number };

const NOTHING: MemoryMapReply = {
  generation: 0,
  slots: [],
  holes: [],
  vmas: [],
  runs: [],
  host: { frames: 0, used: 0, swapPages: 0, swapUsed: 0, base: '0x0' },
};

export const memoryMapPanel = {
  id: 'memoryMap',
  empty: [
    'Guest physical memory, where the VMM maps it, and the host frames that back it.',
    'Open an assembly file, set a breakpoint and press F5.',
  ],
  create: (context: PanelContext): Panel => new MemoryMapPanel(context),
} as const;

class MemoryMapPanel implements Panel {
  readonly element: HTMLElement;
  private reply = NOTHING;
  private rows: readonly Row[] = [];
  private kept: Kept;
  private readonly summary = h('p', { class: 'summary' });
  private readonly crumbs = h('p', { class: 'crumbs' });
  private readonly picture = h('div', { class: 'picture' });
  private readonly detail = h('div', { class: 'detail' });
  private readonly list = new VirtualList({
    role: 'listbox',
    label: 'Guest RAM, holes, VMAs and runs of pages',
    render: (index) => this.row(index),
    select: (index) => this.selected(this.rows[index]),
    activate: (index) => this.activate(this.rows[index]),
  });

  constructor(private readonly context: PanelContext) {
    this.kept = context.kept<Kept>() ?? {};
    this.element = h(
      'section',
      { 'aria-label': 'Memory map' },
      this.summary,
      this.crumbs,
      h(
        'div',
        { class: 'sides' },
        h('div', { class: 'drawn' }, this.picture, legend()),
        h('div', { class: 'told' }, this.list.element, this.detail),
      ),
    );
    this.picture.addEventListener('click', ({ target }) => {
      const found = target instanceof Element ? target.closest('[data-run]') : null;
      const run = this.reply.runs[Number(found?.getAttribute('data-run') ?? -1)];
      if (run) this.list.select(this.rows.findIndex((row) => row.kind === 'run' && row.run === run));
    });
    new ResizeObserver(() => this.redraw()).observe(this.picture);
  }

  async update(): Promise<void> {
    const { part } = this.kept;
    const args: MemoryMapArguments = { most: MOST_RUNS, ...part };
    this.reply = await this.context.request('pagewalk/memoryMap', args);
    this.summary.textContent = summaryText(this.reply);
    this.drawCrumbs();
    this.rows = this.allRows();
    this.list.changed(this.rows.length);
    const at = this.rows.findIndex((row) => row.kind === 'run' && row.run.gpa === this.kept.at);
    if (at >= 0) this.list.select(at);
    else this.selected(undefined);
    this.context.announce(
      `${this.reply.slots.length} ${this.reply.regions ? 'memory regions' : 'memslots'}, ${this.reply.runs.length} runs of pages`,
    );
  }

  focus(): void {
    this.list.focus();
  }

  private get width(): number {
    return Math.max(240, this.picture.clientWidth);
  }
  private drawnWidth = 0;
  private redraw(): void {
    if (this.width !== this.drawnWidth) this.paint();
  }
  private paint(): void {
    const { reply, kept, width } = this;
    this.drawnWidth = width;
    const chosen = reply.runs.findIndex(({ gpa }) => gpa === kept.at);
    this.picture.replaceChildren(
      draw(reply, layout(reply, kept.part === undefined), width, chosen < 0 ? undefined : chosen),
    );
  }

  // ---- the part of memory that is shown

  private drawCrumbs(): void {
    const { part } = this.kept;
    const all = h('button', { type: 'button', class: 'link' }, 'All guest memory');
    all.addEventListener('click', () => this.show(undefined));
    const cut = this.reply.next;
    const next = h('button', { type: 'button', class: 'link' }, `from ${cut ?? ''}`);
    next.addEventListener('click', () => this.show({ from: cut ?? '0x0', to: part?.to ?? '0xfffffffffffff000' }));
    this.crumbs.replaceChildren(
      ...(part ? [all, ` › ${rangeText(BigInt(part.from), BigInt(part.to))} `] : []),
      ...(cut === undefined ? [] : ['The map ends here; continue ', next]),
    );
  }
  private show(part: Part | undefined): void {
    const { at } = this.kept;
    this.kept = { ...(part ? { part } : {}), ...(at === undefined ? {} : { at }) };
    this.context.keep(this.kept);
    this.context.run(() => this.update());
  }

  // ---- the list

  private allRows(): Row[] {
    const { slots, holes, vmas, runs } = this.reply;
    const whole = this.kept.part === undefined;
    const runsOf = (id: number): Row[] =>
      runs.flatMap((run, index): Row[] => (run.slot === id ? [{ kind: 'run', run, index }] : []));
    return [
      ...slots.flatMap((slot): Row[] => {
        const part = { from: slot.gpa, to: `0x${slotEnd(slot).toString(16)}` };
        const inside = runsOf(slot.id);
        if (!whole && inside.length === 0) return [];
        const name = `${this.reply.regions ? 'Region' : 'Slot'} ${slot.id}`;
        return [{ kind: 'slot', name, text: slotRange(slot), slot, part }, ...inside];
      }),
      ...(whole
        ? [
            ...holes.map(({ from, to }): Row => ({
              kind: 'hole',
              name: 'Hole',
              text: rangeText(BigInt(from), BigInt(to)),
            })),
            ...vmas.map((vma): Row => ({ kind: 'vma', name: `VMA ${vma.name}`, text: vmaText(vma) })),
          ]
        : []),
    ];
  }

  private row(index: number): RowView | undefined {
    const row = this.rows[index];
    if (!row) return undefined;
    if (row.kind !== 'run') {
      const words = [h('span', { class: 'name' }, row.name), h('span', { class: 'text' }, row.text)];
      return { className: row.kind, content: row.kind === 'slot' ? [...words, ...leadsOf(row.slot)] : words };
    }
    const { run } = row;
    return {
      className: `run ${run.state}`,
      content: [
        h('code', { class: 'gpa' }, run.gpa),
        h('span', { class: 'size' }, sizeText(BigInt(run.size))),
        h('span', { class: 'text' }, [stateText(run), ...marksOf(run)].join(' · ')),
      ],
    };
  }

  private activate(row: Row | undefined): void {
    if (row?.kind === 'slot' && row.part) this.show(row.part);
    else if (row?.kind === 'run' && row.run.frames > 1) this.show(partOf(row.run));
  }

  private selected(row: Row | undefined): void {
    const run = row?.kind === 'run' ? row.run : undefined;
    const { part } = this.kept;
    this.kept = { ...(part ? { part } : {}), ...(run ? { at: run.gpa } : {}) };
    this.context.keep(this.kept);
    this.paint();
    this.detail.replaceChildren(...(run ? [this.details(run)] : []));
  }

  private details(run: MemoryRun): HTMLElement {
    const line = (name: string, space: string, from: string | undefined): HTMLElement | undefined =>
      from === undefined
        ? undefined
        : h(
            'div',
            {},
            h('dt', {}, name),
            h('dd', {}, h('code', { class: space }, rangeText(BigInt(from), BigInt(from) + BigInt(run.size)))),
          );
    const translate = h('button', { type: 'button', class: 'link' }, 'Translate');
    translate.addEventListener('click', () =>
      this.context.act({
        kind: 'open-panel',
        panel: 'translation',
        command: { kind: 'translate', expression: run.gpa, space: 'gpa', access: 'r' },
      }),
    );
    const memory = h('button', { type: 'button', class: 'link' }, 'Memory');
    memory.addEventListener('click', () => this.context.act({ kind: 'open-memory', space: 'gpa', address: run.gpa }));
    const zoom = h('button', { type: 'button', class: 'link' }, 'Show its pages');
    zoom.addEventListener('click', () => this.show(partOf(run)));
    return h(
      'section',
      { 'aria-label': `Run ${run.gpa}` },
      h('h2', {}, `${sizeText(BigInt(run.size))} of ${this.reply.regions ? 'region' : 'slot'} ${run.slot}`),
      h('dl', {}, line('GPA', 'gpa', run.gpa), line('HVA', 'hva', run.hva), line('HPA', 'hpa', run.hpa)),
      h('p', {}, [stateText(run), ...marksOf(run)].join(' · ')),
      h('p', { class: 'actions' }, translate, memory, run.frames > 1 && zoom),
    );
  }
}

const partOf = ({ gpa, size }: MemoryRun): Part => ({ from: gpa, to: `0x${slotEnd({ gpa, size }).toString(16)}` });

/** Where a memslot leads, its flags and its size: in a narrow view the size gives way, then the range before it. */
const leadsOf = (slot: SlotInfo): HTMLElement[] => [
  h('span', { class: 'leads' }, '→ HVA ', h('code', { class: 'hva' }, slot.hva)),
  ...slotFlags(slot).map(([short, words]) => h('abbr', { class: 'slot-flag', title: words }, short)),
  h('span', { class: 'rest' }, sizeText(BigInt(slot.size))),
];

function legend(): HTMLElement {
  const key = (name: string, text: string): HTMLElement =>
    h('span', { class: 'key' }, h('span', { class: `swatch ${name}`, 'aria-hidden': true }), text);
  return h(
    'p',
    { class: 'legend' },
    key('resident', 'in memory'),
    key('absent', 'no page yet'),
    key('swapped', 'in swap'),
    key('mapped', 'mapped for the guest'),
    key('dirty', 'dirty'),
    key('hole', 'hole (MMIO)'),
    h('span', { class: 'scale' }, 'Heights are logarithmic in size.'),
  );
}
