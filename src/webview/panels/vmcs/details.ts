/** One field in full: what the manual calls it, its bits, and a box to set it in. */
import type { ControlBits, ControlField } from '../../../protocol/panels/vmcs';
import { h, number } from '../../dom';

export interface FieldActions {
  /** Resolves once the machine has taken the value; rejects with what is wrong with it. */
  set(field: ControlField, value: string): Promise<void>;
  translate(field: ControlField): void;
}

/** @param since what the field is compared with: `exit 41 (CPUID)` */
export function details(field: ControlField, since: string, actions: FieldActions): HTMLElement {
  const { before } = field;
  return h(
    'section',
    { class: 'details', 'aria-label': field.name },
    h('h2', {}, h('code', {}, field.name)),
    h('p', { class: 'about' }, field.about.join(' · ')),
    h(
      'p',
      { class: 'value' },
      number(field.value),
      before !== undefined && h('span', { class: 'before' }, ' was ', number(before), ` at ${since}`),
    ),
    field.editable ? form(field, actions) : undefined,
    field.address && link(`Translate this ${field.address.space.toUpperCase()}`, () => actions.translate(field)),
    field.bits.length > 0 && bitsTable(field.bits),
  );
}

function link(text: string, work: () => void): HTMLElement {
  const button = h('button', { type: 'button', class: 'link' }, text);
  button.addEventListener('click', work);
  return h('p', {}, button);
}

function form(field: ControlField, actions: FieldActions): HTMLElement {
  const input = h('input', {
    type: 'text',
    'aria-label': `New value of ${field.name}`,
    placeholder: 'A number or an expression',
    spellcheck: 'false',
  });
  const error = h('p', { class: 'error', role: 'alert' });
  const made = h('form', {}, input, h('button', { type: 'submit' }, 'Set'), error);
  made.addEventListener('submit', (event) => {
    event.preventDefault();
    if (input.value.trim() === '') return;
    void actions.set(field, input.value).then(
      () => (error.textContent = ''),
      (why: unknown) => {
        error.textContent = why instanceof Error ? why.message : String(why);
        input.setAttribute('aria-invalid', 'true');
      },
    );
  });
  return made;
}

function bitsTable(bits: readonly ControlBits[]): HTMLElement {
  const rows = bits.map((part) => {
    const { before } = part;
    return h(
      'tr',
      { class: `${BigInt(part.value) === 0n ? 'zero' : ''}${before === undefined ? '' : ' changed'}` },
      h('td', { class: 'where' }, part.where.replace(/^bits? /, '')),
      h('th', { scope: 'row' }, part.name),
      h(
        'td',
        { class: 'number' },
        part.text || part.value,
        before !== undefined && h('span', { class: 'before' }, ` was ${before}`),
      ),
    );
  });
  return h(
    'table',
    {},
    h('caption', { class: 'spoken' }, 'Bits'),
    h(
      'thead',
      { class: 'spoken' },
      h('tr', {}, ...['Bits', 'Name', 'Value'].map((text) => h('th', { scope: 'col' }, text))),
    ),
    h('tbody', {}, ...rows),
  );
}
