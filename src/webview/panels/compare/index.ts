/**
 * One guest under several methods of memory virtualization, side by side. It runs on request, and shows its progress.
 */
import type { CompareReply, Comparison } from '../../../protocol/panels/compare';
import { h } from '../../dom';
import type { Panel, PanelContext } from '../../panel';
import { DEFAULT_METHODS, METHODS } from './model';
import { chart, costs, table, verdict } from './result';
import './compare.css';

interface Kept {
  readonly methods: readonly string[];
  readonly result?: Comparison;
}

export const comparePanel = {
  id: 'compare',
  empty: [
    'The same guest under EPT, NPT, shadow paging and software translation: exits, memory references, TLB misses and modelled cycles side by side.',
    'Open an assembly file and press F5; while the guest is stopped, compare here.',
  ],
  create: (context: PanelContext): Panel => new ComparePanel(context),
} as const;

class ComparePanel implements Panel {
  readonly element: HTMLElement;
  private kept: Kept;
  /** Counts the comparisons: an older one stops asking. */
  private turn = 0;
  private readonly boxes: readonly HTMLInputElement[];
  private readonly run = h('button', { type: 'submit' }, 'Compare');
  private readonly cancel = h('button', { type: 'button', class: 'secondary', hidden: true }, 'Cancel');
  private readonly bar = h('progress', { hidden: true, max: 1, value: 0, 'aria-label': 'Progress of the comparison' });
  private readonly state = h('p', { class: 'state' });
  private readonly body = h('div');

  constructor(private readonly context: PanelContext) {
    this.kept = context.kept<Kept>() ?? { methods: DEFAULT_METHODS };
    this.boxes = METHODS.map(({ name }) =>
      h('input', { type: 'checkbox', value: name, checked: this.kept.methods.includes(name) }),
    );
    const form = h(
      'form',
      {},
      h(
        'fieldset',
        {},
        h('legend', { class: 'spoken' }, 'Methods'),
        ...METHODS.map(({ title }, i) => h('label', {}, this.boxes[i], ` ${title}`)),
      ),
      h('p', { class: 'buttons' }, this.run, this.cancel),
    );
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      context.run(() => this.compare());
    });
    this.cancel.addEventListener('click', () => this.stop('Cancelled.'));
    this.element = h('section', { 'aria-label': 'Compare' }, form, this.bar, this.state, this.body);
    this.draw();
  }

  /** A comparison does not depend on where the guest stands: what was compared stays. */
  async update(): Promise<void> {
    this.run.disabled = this.context.moment.standing !== 'stopped';
    this.keep(this.kept);
    await Promise.resolve();
  }

  focus(): void {
    this.run.focus();
  }

  private async compare(): Promise<void> {
    const chosen = this.boxes.filter(({ checked }) => checked).map(({ value }) => value);
    if (chosen.length === 0) return void (this.state.textContent = 'Choose a method.');
    this.keep({ ...this.kept, methods: chosen });
    const turn = ++this.turn;
    this.busy(true);
    const methods = chosen.join(',');
    try {
      let reply = await this.context.request('pagewalk/compare', { methods, start: true });
      while (!reply.result && turn === this.turn) {
        this.show(reply.progress);
        reply = await this.context.request('pagewalk/compare', { methods, start: false });
      }
      if (turn !== this.turn || !reply.result) return;
      this.keep({ methods: chosen, result: reply.result });
      this.stop('');
      this.draw();
      this.context.announce(reply.result.equal ? 'The guest cannot tell the methods apart' : 'The results differ');
    } catch (error) {
      if (turn === this.turn) this.stop('');
      throw error;
    }
  }

  private show({ method, index, of, instructions }: CompareReply['progress']): void {
    this.bar.value = index / of;
    const title = METHODS.find(({ name }) => name === method)?.title ?? method;
    this.state.textContent = `${title}, ${index + 1} of ${of}: ${instructions.toLocaleString('en')} instructions`;
  }

  private stop(why: string): void {
    this.turn++;
    this.busy(false);
    this.state.textContent = why;
  }
  private busy(on: boolean): void {
    this.run.disabled = on;
    this.cancel.hidden = !on;
    this.bar.hidden = !on;
    this.body.classList.toggle('older', on);
  }

  private draw(): void {
    const { result } = this.kept;
    if (!result) {
      const text =
        'Each method is a machine of its own, run to the end of the guest; the guest that you debug stays where it is.';
      return this.body.replaceChildren(h('p', { class: 'hint' }, text));
    }
    const name = result.guest.slice(result.guest.lastIndexOf('/') + 1);
    this.body.replaceChildren(
      h('h1', {}, name),
      verdict(result),
      ...(result.methods.length > 0 ? [chart(result), table(result), costs(result)] : []),
    );
  }

  private keep(kept: Kept): void {
    this.kept = kept;
    this.context.keep(kept);
  }
}
