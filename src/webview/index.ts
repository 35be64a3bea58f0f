/** The Translation view: state in, drawing out. Everything it shows comes from the debug adapter's probe. */
import { assertUnreachable } from '../base/assert';
import type { TranslateReply } from '../protocol/messages';
import type { FromView, ToView, ViewState } from '../protocol/view';
import { chain, failureBanner, outcome, staleBanner } from './chain';
import { h, number } from './dom';
import { questionForm, type Question } from './form';
import { grid } from './grid';
import { rightsTable } from './rights';
import { stageSection, type Folds, type StepElements } from './stages';
import './translation.css';

declare function acquireVsCodeApi(): {
  postMessage(message: FromView): void;
  getState(): Kept | undefined;
  setState(state: Kept): void;
};

/** What survives when the view is hidden and shown again, or the window reloads. */
interface Kept {
  readonly question: Question;
  readonly open: readonly string[];
  readonly last?: { readonly asked: string; readonly reply: TranslateReply };
}

const api = acquireVsCodeApi();
let kept: Kept = api.getState() ?? {
  question: { expression: '', space: 'gva', access: 'r' },
  open: [],
};
function keep(change: Partial<Kept>): void {
  kept = { ...kept, ...change };
  api.setState(kept);
}

const folds: Folds = {
  isOpen: (key) => kept.open.includes(key),
  toggled: (key, open) =>
    keep({ open: open ? [...new Set([...kept.open, key])] : kept.open.filter((each) => each !== key) }),
};

const form = questionForm(
  (question) => {
    keep({ question });
    api.postMessage({ kind: 'translate', ...question });
  },
  (on) => api.postMessage({ kind: 'follow', on }),
  kept.question,
);
const status = h('p', { class: 'status', role: 'status' });
const drawing = h('div', { class: 'drawing' });
document.body.append(h('main', {}, form.element, status, drawing));

function draw(asked: string, reply: TranslateReply): void {
  const drawn: StepElements = new WeakMap();
  const { translation, reverse, address, space, symbol } = reply;
  const title = h(
    'h1',
    {},
    h('span', { class: 'asked' }, asked),
    asked !== address && h('span', { class: 'equals' }, ' = ', number(address, space)),
    symbol !== undefined && symbol !== asked && h('span', { class: 'symbol' }, symbol),
  );
  const parts: (HTMLElement | undefined)[] = [title];
  if (translation) {
    // The entries come before the grid in `drawn`, after it on the page.
    const stages = translation.stages.map((stage) => stageSection(stage, folds, drawn));
    parts.push(chain(space, translation), outcome(translation), failureBanner(translation), staleBanner(translation));
    parts.push(...stages, grid(translation, folds, drawn), rightsTable(translation, folds));
  } else if (reverse) {
    parts.push(chain(space, reverse), failureBanner(reverse));
    parts.push(...reverse.stages.map((stage) => stageSection(stage, folds, drawn)));
  }
  drawing.replaceChildren(...parts.filter((part) => part !== undefined));
}

/** What a screen reader hears when the drawing changes. */
function spoken({ translation, address }: TranslateReply): string {
  if (!translation) return `Translation of ${address}`;
  if (translation.ok)
    return `${address} translates to host physical ${translation.hpa ?? ''}, ${translation.references} references`;
  return `${address} does not translate: ${translation.failure?.reason ?? 'failure'}`;
}

function empty(): HTMLElement {
  const button = h('button', { type: 'button' }, 'Debug Guest File');
  button.addEventListener('click', () => api.postMessage({ kind: 'debug' }));
  return h(
    'div',
    { class: 'empty' },
    h('p', {}, 'See how an address of a guest becomes an address of the host: GVA → GPA → HVA → HPA.'),
    h(
      'p',
      {},
      'Open an assembly file, set a breakpoint and press F5. While the guest is stopped, put the cursor on an operand or type an address here.',
    ),
    button,
  );
}

function show(state: ViewState): void {
  form.enable(state.kind !== 'idle' && state.kind !== 'running');
  document.body.dataset['state'] = state.kind;
  form.fail(undefined);
  status.textContent = '';
  switch (state.kind) {
    case 'idle':
      drawing.replaceChildren(empty());
      return;
    case 'running':
      status.textContent = 'The guest runs. Pause it to translate.';
      return;
    case 'ready':
      if (drawing.querySelector('.empty') || drawing.childElementCount === 0)
        drawing.replaceChildren(h('p', { class: 'hint' }, 'Put the cursor on an operand, or type an address above.'));
      return;
    case 'translation':
      keep({ last: { asked: state.asked, reply: state.reply } });
      // Not while a person types: an operand or a tree node must not take the box away under their hands.
      if (!form.isTyping()) {
        form.show({ expression: state.asked, space: state.reply.space });
        keep({ question: form.read() });
      }
      draw(state.asked, state.reply);
      status.textContent = spoken(state.reply);
      return;
    case 'error':
      form.fail(state.message);
      return;
    default:
      assertUnreachable(state);
  }
}

window.addEventListener('message', (event: MessageEvent<ToView>) => {
  switch (event.data.kind) {
    case 'state':
      return show(event.data.state);
    case 'follow':
      return form.follow(event.data.on);
    case 'focus':
      return form.focus();
    default:
      assertUnreachable(event.data);
  }
});

if (kept.last) draw(kept.last.asked, kept.last.reply);
api.postMessage({ kind: 'loaded' });
