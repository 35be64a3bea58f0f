/** The Translation panel: the chain of an address, stage by stage. Everything it shows comes from the debug adapter's probe. */
import { SPACES } from '../../../base/address';
import type { HoverReply, TranslateArguments, TranslateReply } from '../../../protocol/messages';
import type { ReverseTranslation, Translation } from '../../../protocol/translation';
import type { Cursor, PanelCommand, PanelSettings } from '../../../protocol/panels';
import { h, number } from '../../dom';
import { NotRecorded, Superseded, type Panel, type PanelContext } from '../../panel';
import { chain, failureBanner, outcome, staleBanner } from './chain';
import { questionForm, type Question } from './form';
import { grid } from './grid';
import { rightsTable } from './rights';
import { comparison, linesOf, type Pinned } from './pinned';
import { stageSection, type Folds, type SecondLevel, type StepElements } from './stages';
import './translation.css';

/** What survives when the panel is hidden and shown again, or the window reloads. */
interface Kept {
  readonly question: Question;
  readonly open: readonly string[];
  /** What was translated last; `spelled` is what a person would call it. */
  readonly asked?: { readonly question: Question; readonly spelled: string };
  /** An answer to lay beside the present one. */
  readonly pinned?: Pinned | undefined;
}

export const translationPanel = {
  id: 'translation',
  usesFrame: true,
  empty: [
    'See how an address of a guest becomes an address of the host: GVA → GPA → HVA → HPA.',
    'Open an assembly file, set a breakpoint and press F5. While the guest is stopped, put the cursor on an operand or type an address here.',
  ],
  create: (context: PanelContext): Panel => new TranslationPanel(context),
} as const;

class TranslationPanel implements Panel {
  readonly element: HTMLElement;
  private kept: Kept;
  private at: Cursor | undefined;
  /** A person asked for this address: it stays until the cursor moves. */
  private pinned = false;
  /** Counts the questions: an answer to an older one is dropped. */
  private turn = 0;
  private readonly drawing = h('div', { class: 'drawing' });
  private readonly form;
  private readonly folds: Folds = {
    isOpen: (key) => this.kept.open.includes(key),
    toggled: (key, open) => {
      const others = this.kept.open.filter((each) => each !== key);
      this.keep({ open: open ? [...others, key] : others });
    },
  };

  constructor(private readonly context: PanelContext) {
    this.kept = context.kept<Kept>() ?? { question: { expression: '', space: 'gva', access: 'r' }, open: [] };
    this.form = questionForm(
      (question) => this.ask(question),
      (on) => context.act({ kind: 'follow-cursor', on }),
      this.kept.question,
    );
    this.element = h('div', {}, this.form.element, this.drawing);
    this.drawing.addEventListener('click', ({ target }) => this.clicked(target));
  }

  /** The operand under the cursor, else the last question again. */
  async update(): Promise<void> {
    this.form.enable(this.context.moment.standing === 'stopped');
    if (!this.pinned && (await this.followCursor())) return;
    const { asked } = this.kept;
    if (asked) await this.translate(asked.question, asked.spelled);
    else
      this.drawing.replaceChildren(
        h('p', { class: 'hint' }, 'Put the cursor on an operand, or type an address above.'),
      );
  }

  focus(): void {
    this.form.focus();
  }

  settings(settings: PanelSettings): void {
    this.form.follow(settings.followCursor);
    this.pinned = false;
  }

  cursor(cursor: Cursor): void {
    const before = this.at;
    this.at = cursor;
    // What the user requested stays until the cursor moves.
    if (JSON.stringify(cursor) === JSON.stringify(before) || (!before && this.pinned)) return;
    if (!this.context.settings.followCursor || this.context.moment.standing !== 'stopped') return;
    this.pinned = false;
    this.context.run(() => this.update());
  }

  command(command: PanelCommand): void {
    if (command.kind !== 'translate') return;
    const { expression, space, access } = command;
    this.form.show({ expression, space, access });
    this.ask({ expression, space, access });
  }

  /** Addresses lead on: to memory, or to their own chain. */
  private clicked(target: EventTarget | null): void {
    const link = target instanceof Element ? target.closest<HTMLElement>('[data-memory], [data-ask]') : null;
    const space = SPACES.find((each) => each === link?.dataset['space']);
    if (!link || !space) return;
    const { memory, ask } = link.dataset;
    if (memory !== undefined) this.context.act({ kind: 'open-memory', space, address: memory });
    else if (ask !== undefined) this.ask({ expression: ask, space, access: this.kept.question.access });
  }

  private keep(change: Partial<Kept>): void {
    this.kept = { ...this.kept, ...change };
    this.context.keep(this.kept);
  }

  private ask(question: Question): void {
    this.pinned = true;
    this.keep({ question });
    this.context.run(() => this.translate(question, question.expression));
  }

  private async translate(question: Question, spelled: string): Promise<void> {
    const turn = ++this.turn;
    const { frameId } = this.context.moment;
    const args: TranslateArguments = { ...question, ...(frameId === undefined ? {} : { frameId }) };
    this.form.fail(undefined);
    this.keep({ asked: { question, spelled } });
    try {
      const reply = await this.context.request('pagewalk/translate', args);
      if (turn === this.turn) this.show(spelled, reply);
    } catch (error) {
      if (error instanceof Superseded || error instanceof NotRecorded) throw error;
      if (turn === this.turn) this.form.fail(error instanceof Error ? error.message : String(error));
    }
  }

  /** Shows the operand under the cursor, or the memory operand of the cursor's line; false where there is none. */
  private async followCursor(): Promise<boolean> {
    const { at } = this;
    const { moment, settings } = this.context;
    if (!at || !settings.followCursor || moment.standing !== 'stopped') return false;
    const turn = ++this.turn;
    const { lineText, path, line } = at;
    for (const column of at.columns) {
      const frame = moment.frameId === undefined ? {} : { frameId: moment.frameId };
      const reply = await this.context
        .request('pagewalk/hover', { lineText, column, path, line, ...frame })
        .catch((error: unknown) => {
          if (error instanceof Superseded) throw error;
          return null;
        });
      if (turn !== this.turn) return true;
      if (reply && this.showOperand(reply)) return true;
    }
    return false;
  }

  private showOperand({ operands }: HoverReply): boolean {
    const { expression, address, space, symbol, translation } = operands.find((each) => each.translation) ?? {};
    if (expression === undefined || !translation || address === undefined || space === undefined) return false;
    this.keep({ asked: { question: { expression: address, space, access: 'r' }, spelled: expression } });
    this.show(expression, { address, space, translation, ...(symbol === undefined ? {} : { symbol }) });
    return true;
  }

  private show(asked: string, reply: TranslateReply): void {
    this.form.fail(undefined);
    // Not while the user types: an operand or a tree node must not replace the input.
    if (!this.form.isTyping()) {
      this.form.show({ ...this.kept.asked?.question, expression: asked, space: reply.space });
      this.keep({ question: this.form.read() });
    }
    this.draw(asked, reply);
    this.context.announce(spoken(reply));
  }

  private draw(asked: string, reply: TranslateReply): void {
    const drawn: StepElements = new WeakMap();
    const { translation, reverse, address, space, symbol } = reply;
    const title = h(
      'h1',
      {},
      h('span', { class: 'asked' }, asked),
      asked !== address && h('span', { class: 'equals' }, ' = ', number(address, space)),
      symbol !== undefined && symbol !== asked && h('span', { class: 'symbol' }, symbol),
      this.sourceLink(reply),
      this.keepButton(asked, reply),
    );
    const parts: (HTMLElement | undefined)[] = [title, this.sideBySide(asked, reply)];
    if (translation) {
      // The entries come before the grid in `drawn`, after it on the page.
      const second = secondLevel(translation);
      const stages = translation.stages.map((stage) => stageSection(stage, second, this.folds, drawn));
      parts.push(chain(space, translation), outcome(translation), failureBanner(translation), staleBanner(translation));
      parts.push(...stages, grid(translation, this.folds, drawn), rightsTable(translation, this.folds));
    } else if (reverse) {
      parts.push(chain(space, reverse), failureBanner(reverse));
      parts.push(...reverse.stages.map((stage) => stageSection(stage, secondLevel(reverse), this.folds, drawn)));
    }
    this.drawing.replaceChildren(...parts.filter((part) => part !== undefined));
  }

  private sourceLink({ source }: TranslateReply): HTMLElement | undefined {
    if (!source) return undefined;
    const name = source.path.slice(source.path.lastIndexOf('/') + 1);
    const link = h('button', { type: 'button', class: 'link' }, `${name}:${source.line}`);
    link.addEventListener('click', () => this.context.act({ kind: 'open-source', ...source }));
    return link;
  }

  // ---- an answer kept beside the present one

  private keepButton(asked: string, reply: TranslateReply): HTMLElement {
    const button = h(
      'button',
      {
        type: 'button',
        class: 'tool',
        title: 'Keep this answer, to see it beside later ones or those of another method',
      },
      'Keep to compare',
    );
    button.addEventListener('click', () => {
      this.keep({ pinned: { label: this.label(asked, reply), lines: linesOf(reply) } });
      this.draw(asked, reply);
      this.context.announce('Kept');
    });
    return button;
  }
  /** `rbx, stop 3, EPT`. */
  private label(asked: string, { translation }: TranslateReply): string {
    const method = translation?.stages.find(({ stage }) => stage === 'ept' || stage === 'npt' || stage === 'shadow');
    return `${asked}, stop ${this.context.moment.number}${method ? `, ${method.stage.toUpperCase()}` : ''}`;
  }
  private sideBySide(asked: string, reply: TranslateReply): HTMLElement | undefined {
    const { pinned } = this.kept;
    if (!pinned) return undefined;
    return comparison(pinned, linesOf(reply), this.label(asked, reply), () => {
      this.keep({ pinned: undefined });
      this.draw(asked, reply);
    });
  }
}

const secondLevel = ({ stages }: Translation | ReverseTranslation): SecondLevel =>
  stages.some(({ stage }) => stage === 'npt') ? 'npt' : 'ept';

/** What a screen reader hears when the drawing changes. */
function spoken({ translation, address }: TranslateReply): string {
  if (!translation) return `Translation of ${address}`;
  if (translation.ok)
    return `${address} translates to host physical ${translation.hpa ?? ''}, ${translation.references} references`;
  return `${address} does not translate: ${translation.failure?.reason ?? 'failure'}`;
}
