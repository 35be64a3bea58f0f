/** A small builder for drawings; see dom.ts. */
import { fill, type Attributes, type Child } from './dom';

export function svg<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: readonly Child[]
): SVGElementTagNameMap[K] {
  return fill(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, children);
}

/** A drawing of `width` × `height` units with a name; scales with its box unless CSS says otherwise. */
export const drawing = (width: number, height: number, label: string, ...children: readonly Child[]): SVGSVGElement =>
  svg('svg', { viewBox: `0 0 ${width} ${height}`, width, height, role: 'img', 'aria-label': label }, ...children);
