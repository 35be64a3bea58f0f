/** A small builder for DOM trees. Text is always a text node: nothing from a guest is ever parsed as HTML. */

export type Child = Node | string | null | undefined | false;

export interface Attributes {
  readonly [name: string]: string | number | boolean | undefined;
}

export function fill<E extends Element>(element: E, attributes: Attributes, children: readonly Child[]): E {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    element.setAttribute(name, value === true ? '' : String(value));
  }
  for (const child of children) if (child) element.append(child);
  return element;
}

export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  return fill(document.createElement(tag), attributes, children);
}

/** A long number that may break after every fourth digit from the right, so that it fits a narrow view and copies whole. */
export function breakable(text: string): DocumentFragment {
  const fragment = document.createDocumentFragment();
  const match = /^0x([0-9a-f]+)$/i.exec(text);
  if (!match?.[1]) {
    fragment.append(text);
    return fragment;
  }
  const digits = match[1];
  const head = digits.length % 4;
  fragment.append(`0x${digits.slice(0, head)}`);
  for (let at = head; at < digits.length; at += 4) {
    if (at > 0) fragment.append(document.createElement('wbr'));
    fragment.append(digits.slice(at, at + 4));
  }
  return fragment;
}

export const number = (text: string, className = ''): HTMLElement => h('code', { class: className }, breakable(text));
