/** The question: an address or expression, its space, the kind of access. */
import { SPACES, type Space } from '../../../base/address';
import { h } from '../../dom';
import { SPACE_NAMES } from '../../names';

export interface Question {
  readonly expression: string;
  readonly space: Space;
  readonly access: 'r' | 'w' | 'x';
}

export interface QuestionForm {
  readonly element: HTMLFormElement;
  show(question: Partial<Question>): void;
  read(): Question;
  fail(message: string | undefined): void;
  enable(on: boolean): void;
  focus(): void;
  /** Shows whether the view follows the cursor. */
  follow(on: boolean): void;
  isTyping(): boolean;
}

const ACCESSES = [
  { value: 'r', text: 'read' },
  { value: 'w', text: 'write' },
  { value: 'x', text: 'execute' },
] as const;

export function questionForm(
  ask: (question: Question) => void,
  follow: (on: boolean) => void,
  initial: Question,
): QuestionForm {
  const input = h('input', {
    type: 'text',
    id: 'expression',
    'aria-label': 'Address or expression',
    'aria-describedby': 'expression-error',
    placeholder: 'Address or expression: rsp, table+8, 0x8000',
    spellcheck: 'false',
    autocomplete: 'off',
    maxlength: 500,
  });
  const space = h(
    'select',
    { 'aria-label': 'Address space', title: 'The space that the address is in' },
    ...SPACES.map((each) => h('option', { value: each, title: SPACE_NAMES[each].long }, SPACE_NAMES[each].short)),
  );
  const access = h(
    'select',
    { 'aria-label': 'Access', title: 'The access to translate for' },
    ...ACCESSES.map(({ value, text }) => h('option', { value }, text)),
  );
  const submit = h('button', { type: 'submit' }, 'Translate');
  const followBox = h('input', { type: 'checkbox', id: 'follow' });
  const error = h('p', { class: 'error', id: 'expression-error', role: 'alert' });
  const fields = h(
    'fieldset',
    {},
    input,
    h('div', { class: 'choices' }, space, access, submit),
    h('label', { class: 'follow' }, followBox, 'Follow the operand under the cursor'),
  );
  const element = h('form', { 'aria-label': 'Translate an address' }, fields, error);

  const read = (): Question => ({
    expression: input.value.trim(),
    space: SPACES.find((each) => each === space.value) ?? 'gva',
    access: ACCESSES.find(({ value }) => value === access.value)?.value ?? 'r',
  });
  const askNow = (): void => {
    if (read().expression !== '') ask(read());
  };
  element.addEventListener('submit', (event) => {
    event.preventDefault();
    askNow();
  });
  for (const select of [space, access]) select.addEventListener('change', askNow);
  followBox.addEventListener('change', () => follow(followBox.checked));

  const show = (question: Partial<Question>): void => {
    if (question.expression !== undefined) input.value = question.expression;
    if (question.space) space.value = question.space;
    if (question.access) access.value = question.access;
  };
  show(initial);
  return {
    element,
    show,
    read,
    fail: (message) => {
      error.textContent = message ?? '';
      input.toggleAttribute('aria-invalid', message !== undefined);
    },
    enable: (on) => {
      fields.disabled = !on;
    },
    follow: (on) => {
      followBox.checked = on;
    },
    isTyping: () => document.activeElement === input,
    focus: () => {
      input.focus();
      input.select();
    },
  };
}
