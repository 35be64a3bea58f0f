/** The current VMCS (on SVM the VMCB) by area: every field with its bits, what changed from one VM exit to the next, and the checks that VM entry would fail. */
import type { ControlArea, ControlField, ControlStructureReply } from '../../../protocol/panels/vmcs';
import { h } from '../../dom';
import { VirtualList, type RowView } from '../../list';
import type { Panel, PanelContext } from '../../panel';
import { details } from './details';
import './vmcs.css';

interface Kept {
  /** Areas that a person opened or closed. */
  readonly open: Readonly<Record<string, boolean>>;
  readonly path?: string;
  readonly search: string;
  readonly changedOnly: boolean;
}

type Row =
  | { readonly kind: 'area'; readonly area: ControlArea; readonly index: number; readonly open: boolean }
  | { readonly kind: 'field'; readonly field: ControlField; readonly index: number; readonly siblings: number };

const NOTHING: ControlStructureReply = { kind: 'none', areas: [], unmet: [] };
/** Open by default: this is where the results of an exit are. */
const OPEN_AT_FIRST: Readonly<Record<ControlStructureReply['kind'], string>> = {
  vmcs: 'exit',
  vmcb: 'control',
  none: '',
};

export const vmcsPanel = {
  id: 'vmcs',
  empty: [
    'The VMCS by area, or the VMCB on SVM: every field decoded, what changed from one VM exit to the next, and which VM-entry checks would fail.',
    'Open an assembly file, set a breakpoint and press F5.',
  ],
  create: (context: PanelContext): Panel => new VmcsPanel(context),
} as const;

/** Where there is little room, what is said of the only part is said without its name. */
function meaningParts(meaning: string): (Node | string)[] {
  const [, of = '', what = meaning] = /^([^=,]+=)([^=]+)$/.exec(meaning) ?? [];
  return of === '' ? [meaning] : [h('span', { class: 'of' }, of), what];
}

const isChanged = ({ before }: ControlField): boolean => before !== undefined;

class VmcsPanel implements Panel {
  readonly element: HTMLElement;
  private reply = NOTHING;
  private rows: readonly Row[] = [];
  private kept: Kept;
  private readonly checks = h('div', { class: 'checks' });
  private readonly search = h('input', {
    type: 'search',
    'aria-label': 'Find a field',
    placeholder: 'Find a field',
    spellcheck: 'false',
  });
  private readonly changedOnly = h('input', { type: 'checkbox' });
  private readonly changedText = h('span');
  private readonly changedLabel = h('label', {}, this.changedOnly, ' ', this.changedText);
  private readonly none = h('p', { class: 'none' });
  private readonly detail = h('div');
  private readonly list = new VirtualList({
    role: 'tree',
    label: 'Fields',
    render: (index) => this.row(index),
    select: (index) => {
      const row = this.rows[index];
      if (row?.kind === 'field') this.keep({ path: row.field.path });
      this.selected(row);
    },
    toggle: (index, open) => this.toggle(index, open),
    parent: (index) => this.parent(index),
    activate: (index) => this.activate(index),
  });

  constructor(private readonly context: PanelContext) {
    this.kept = context.kept<Kept>() ?? { open: {}, search: '', changedOnly: false };
    this.search.value = this.kept.search;
    this.changedOnly.checked = this.kept.changedOnly;
    this.search.addEventListener('input', () => {
      this.keep({ search: this.search.value });
      this.refill();
    });
    this.changedOnly.addEventListener('change', () => {
      this.keep({ changedOnly: this.changedOnly.checked });
      this.refill();
    });
    this.element = h(
      'section',
      { 'aria-label': 'VMCS' },
      this.checks,
      h(
        'div',
        { class: 'sides' },
        h(
          'div',
          { class: 'fields' },
          h('div', { class: 'filters' }, this.search, this.changedLabel),
          this.none,
          this.list.element,
        ),
        this.detail,
      ),
    );
  }

  async update(): Promise<void> {
    this.reply = await this.context.request('pagewalk/controlStructure', {});
    this.drawSince();
    this.drawChecks();
    this.refill();
    const changed = this.reply.areas.flatMap(({ fields }) => fields.filter(isChanged)).length;
    this.context.announce(`${changed} fields changed, ${this.reply.unmet.length} checks not met`);
  }

  focus(): void {
    this.list.focus();
  }

  // ---- what changed

  /** `exit 41 (CPUID)`: what the fields are compared with. */
  private get sinceName(): string {
    const { since } = this.reply;
    return since ? `exit ${since.exit.toLocaleString('en')} (${since.name})` : '';
  }
  private drawSince(): void {
    const { since, kind } = this.reply;
    this.changedText.textContent = since ? `Changed since ${this.sinceName}` : 'Changed: there was no exit before';
    this.changedOnly.disabled = !since;
    this.changedLabel.hidden = kind === 'none';
  }

  // ---- the checks

  private drawChecks(): void {
    const { kind, unmet } = this.reply;
    if (kind === 'none')
      return this.checks.replaceChildren(
        h('p', { class: 'none' }, 'There is no VMCS or VMCB: no hypervisor runs this guest.'),
      );
    const entry = kind === 'vmcs' ? 'VM entry' : 'VMRUN';
    if (unmet.length === 0)
      return this.checks.replaceChildren(h('p', { class: 'met' }, `✓ All checks of ${entry} are met.`));
    this.checks.replaceChildren(
      h('p', { class: 'unmet' }, `✗ The next ${entry} would fail:`),
      h(
        'ul',
        {},
        ...unmet.map(({ fields, what, source }) =>
          h(
            'li',
            {},
            ...fields.flatMap((name) => [this.fieldLink(name), ' ']),
            what,
            h('span', { class: 'source' }, ` ${source}`),
          ),
        ),
      ),
    );
  }
  private fieldLink(name: string): HTMLElement {
    const button = h('button', { type: 'button', class: 'link' }, h('code', {}, name));
    button.addEventListener('click', () => this.reveal(name));
    return button;
  }
  private reveal(name: string): void {
    const area = this.reply.areas.find(({ fields }) => fields.some((f) => f.name === name));
    const field = area?.fields.find((f) => f.name === name);
    if (!area || !field) return;
    this.search.value = '';
    this.changedOnly.checked = false;
    this.keep({ search: '', changedOnly: false, open: { ...this.kept.open, [area.id]: true }, path: field.path });
    this.refill();
    this.list.focus();
  }

  // ---- the tree

  private refill(): void {
    const words = this.kept.search.trim().toLowerCase();
    const { changedOnly } = this.kept;
    const narrowed = words !== '' || changedOnly;
    const matches = (f: ControlField): boolean =>
      (!changedOnly || isChanged(f)) &&
      (words === '' || [f.name, f.meaning, ...f.about].some((text) => text.toLowerCase().includes(words)));
    const areas = this.reply.areas
      .map((area) => ({ ...area, fields: narrowed ? area.fields.filter(matches) : area.fields }))
      .filter(({ fields }) => !narrowed || fields.length > 0);
    this.rows = areas.flatMap((area, index): Row[] => {
      const open = narrowed || (this.kept.open[area.id] ?? area.id === OPEN_AT_FIRST[this.reply.kind]);
      const fields = open ? area.fields : [];
      return [
        { kind: 'area', area, index, open },
        ...fields.map((field, at): Row => ({ kind: 'field', field, index: at, siblings: area.fields.length })),
      ];
    });
    this.none.textContent =
      this.rows.length > 0 || this.reply.kind === 'none' ? '' : changedOnly ? 'No field changed.' : 'No such field.';
    this.list.element.hidden = this.rows.length === 0;
    this.list.changed(this.rows.length);
    const chosen = this.rows.findIndex((row) => row.kind === 'field' && row.field.path === this.kept.path);
    if (this.rows.length === 0) return this.selected(undefined);
    this.list.select(Math.max(chosen, 0), { tell: false });
    this.selected(this.rows[this.list.selection]);
  }

  private row(index: number): RowView | undefined {
    const row = this.rows[index];
    if (!row) return undefined;
    if (row.kind === 'area') {
      const changed = row.area.fields.filter(isChanged).map(({ name }) => name);
      return {
        level: 1,
        expanded: row.open,
        position: row.index + 1,
        siblings: this.reply.areas.length,
        className: 'area',
        content: [
          h('span', { class: 'name' }, row.area.name),
          // By name: of a long area most rows are out of sight.
          h(
            'span',
            { class: 'note' },
            changed.length > 0 ? `${changed.length} changed: ${changed.join(', ')}` : row.area.note,
          ),
        ],
      };
    }
    const { field } = row;
    const changed = isChanged(field);
    return {
      level: 2,
      position: row.index + 1,
      siblings: row.siblings,
      className: changed ? 'changed' : field.value === '0x0' ? 'zero' : '',
      content: [
        h('span', { class: 'name' }, field.name, changed && h('span', { class: 'spoken' }, ' changed')),
        h('code', { class: `value ${field.address?.space ?? ''}` }, field.value),
        h('span', { class: 'meaning' }, ...meaningParts(field.meaning)),
      ],
    };
  }

  private toggle(index: number, open: boolean): void {
    const row = this.rows[index];
    if (row?.kind !== 'area') return;
    this.keep({ open: { ...this.kept.open, [row.area.id]: open } });
    this.refill();
    this.list.select(this.rows.findIndex((each) => each.kind === 'area' && each.area.id === row.area.id));
  }
  private parent(index: number): number | undefined {
    for (let at = index - 1; at >= 0; at--) if (this.rows[at]?.kind === 'area') return at;
    return undefined;
  }
  private activate(index: number): void {
    const row = this.rows[index];
    if (row?.kind === 'area') this.toggle(index, !row.open);
    else this.detail.querySelector('input')?.focus();
  }

  private selected(row: Row | undefined): void {
    if (row?.kind !== 'field') return this.detail.replaceChildren();
    const { field } = row;
    this.detail.replaceChildren(
      details(field, this.sinceName, {
        set: async ({ path }, value) => {
          await this.context.request('pagewalk/setControlField', { path, value });
        },
        translate: ({ address }) => {
          if (!address) return;
          const command = { kind: 'translate', expression: address.value, space: address.space, access: 'r' } as const;
          this.context.act({ kind: 'open-panel', panel: 'translation', command });
        },
      }),
    );
  }

  private keep(change: Partial<Kept>): void {
    this.kept = { ...this.kept, ...change };
    this.context.keep(this.kept);
  }
}
