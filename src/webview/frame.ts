/**
 * What surrounds every panel: the displayed moment and whether it has passed, the empty state, errors, screen-reader
 * announcements; and when a panel refreshes.
 */
import { assertUnreachable } from '../base/assert';
import type { RequestName, Requests } from '../protocol/messages';
import type { Moment, PanelSettings } from '../protocol/panels';
import { Bridge } from './bridge';
import { h } from './dom';
import { NotRecorded, Superseded, type Panel, type PanelContext, type PanelDefinition } from './panel';
import { Recall, keyOf } from './recall';
import { comparedBy, sight, type Compared, type Sightings } from './since';
import './base.css';

export function mount(definition: PanelDefinition, place: PanelContext['place']): void {
  new Frame(definition, place);
}

class Frame implements PanelContext {
  moment: Moment = { standing: 'none', number: -1, session: '', stop: 0 };
  settings: PanelSettings = { updateAtStop: true, followCursor: true };

  private readonly bridge = new Bridge((message) => {
    switch (message.kind) {
      case 'moment':
        return this.moved(message.moment);
      case 'settings':
        this.settings = message.settings;
        return this.panel.settings?.(message.settings);
      case 'command':
        if (message.command.kind === 'focus') this.focus();
        return this.panel.command?.(message.command);
      case 'cursor':
        return this.panel.cursor?.(message.cursor);
      default:
        assertUnreachable(message);
    }
  });
  private readonly recall: Recall;
  private readonly panel: Panel;
  private state: unknown;
  private sightings: Sightings | undefined;
  /** The moment that the panel shows; undefined: it has shown nothing yet. */
  private shown: Moment | undefined;

  private readonly notice = h('div', { class: 'notice', role: 'status' });
  private readonly error = h('p', { class: 'frame-error', role: 'alert' });
  private readonly spoken = h('p', { class: 'spoken', 'aria-live': 'polite' });
  private readonly empty: HTMLElement;
  private readonly body = h('div', { class: 'panel' });

  constructor(
    private readonly definition: PanelDefinition,
    readonly place: PanelContext['place'],
  ) {
    const { panel, recall, sightings } = this.bridge.stored;
    this.state = panel;
    this.sightings = sightings;
    this.recall = new Recall(recall);
    this.empty = this.emptyState();
    this.panel = definition.create(this);
    this.body.append(this.panel.element);
    document.body.append(h('main', {}, this.notice, this.error, this.empty, this.body, this.spoken));
    this.mark();
    if (!this.recall.isEmpty) this.refresh();
    this.bridge.post({ kind: 'loaded' });
  }

  // ---- what a panel is given

  async request<N extends RequestName>(name: N, args: Requests[N]['arguments']): Promise<Requests[N]['reply']> {
    const key = keyOf(name, args);
    const asked = this.moment;
    if (asked.standing !== 'stopped') {
      const found = this.recall.find(key);
      if (!found) throw new NotRecorded();
      return found.reply as Requests[N]['reply'];
    }
    const settle = (): void => {
      if (this.moment.number !== asked.number) throw new Superseded();
    };
    try {
      const reply = await this.bridge.ask(name, args);
      settle();
      this.recall.add(asked.number, key, reply);
      this.store();
      return reply;
    } catch (error) {
      settle();
      throw error;
    }
  }

  act(action: Parameters<PanelContext['act']>[0]): void {
    this.bridge.post({ kind: 'act', action });
  }

  run(work: () => Promise<void>): void {
    void work().then(
      () => (this.error.textContent = ''),
      (error: unknown) => {
        if (error instanceof Superseded) return;
        this.error.textContent = error instanceof Error ? error.message : String(error);
      },
    );
  }

  kept<T>(): T | undefined {
    return this.state as T | undefined;
  }

  keep(state: unknown): void {
    this.state = state;
    this.store();
  }

  compare<T>(now: T): Compared<T> {
    if (this.moment.standing === 'stopped') {
      this.sightings = sight(this.sightings, this.moment, now);
      this.store();
    }
    return comparedBy(this.sightings);
  }

  announce(text: string): void {
    this.spoken.textContent = text;
  }

  // ---- when it updates

  private moved(moment: Moment): void {
    const before = this.moment;
    this.moment = moment;
    const isOther = moment.number !== this.shown?.number;
    const isOtherFrame = this.definition.usesFrame === true && moment.frameId !== before.frameId;
    const isFirst = this.shown === undefined || this.shown.standing !== 'stopped';
    if (moment.standing === 'stopped' && (isOther || isOtherFrame) && (this.settings.updateAtStop || isFirst))
      this.refresh();
    this.mark();
  }

  /** Makes the panel draw the current moment (or the recorded one). */
  private refresh(): void {
    this.shown = this.moment;
    this.mark();
    this.run(async () => {
      await this.panel.update().catch((error: unknown) => {
        // a panel that was never shown stays blank; the notice explains why
        if (!(error instanceof NotRecorded)) throw error;
      });
    });
  }

  /** Shows above the panel which moment it displays, if not the current one. */
  private mark(): void {
    const { moment, shown } = this;
    const nothing = shown === undefined && this.recall.isEmpty && this.state === undefined;
    document.body.dataset['standing'] = moment.standing;
    this.empty.hidden = !nothing;
    this.body.hidden = nothing;
    this.empty.classList.toggle('running', moment.standing === 'running');
    this.notice.replaceChildren(...(nothing ? [] : this.noticeParts()));
    if (moment.standing !== 'stopped') this.error.textContent = '';
  }

  private noticeParts(): (Node | string)[] {
    const { moment, shown } = this;
    switch (moment.standing) {
      case 'none':
        return ['The session has ended. This is the last recorded state.'];
      case 'running':
        return ['The guest is running. This is from the last stop.'];
      case 'stopped': {
        if (shown?.number === moment.number) return [];
        const button = h('button', { type: 'button', class: 'link' }, 'Update');
        button.addEventListener('click', () => this.refresh());
        return ['This is from an earlier stop. ', button];
      }
    }
  }

  private emptyState(): HTMLElement {
    const button = h('button', { type: 'button', class: 'primary' }, 'Debug Guest File');
    button.addEventListener('click', () => this.act({ kind: 'debug' }));
    return h(
      'div',
      { class: 'empty' },
      ...this.definition.empty.map((text) => h('p', {}, text)),
      h('p', { class: 'when-running' }, 'The guest is running; pause it to inspect it.'),
      button,
    );
  }

  private focus(): void {
    if (this.panel.focus) this.panel.focus();
    else this.body.querySelector<HTMLElement>('[tabindex="0"], button, input, select, a[href]')?.focus();
  }

  private store(): void {
    this.bridge.store(() => ({
      panel: this.state,
      recall: this.recall.save(),
      sightings: this.sightings,
    }));
  }
}
