/** One drawing for the screen and for a file: what the timeline draws goes to a canvas or becomes SVG. */

export interface Palette {
  readonly ground: string;
  readonly ink: string;
  readonly quiet: string;
  readonly faint: string;
  readonly line: string;
  readonly accent: string;
  readonly band: string;
  /** By lane: the colour of who acts. */
  readonly lanes: readonly string[];
  readonly font: string;
}

export interface Ink {
  rect(x: number, y: number, width: number, height: number, colour: string): void;
  frame(x: number, y: number, width: number, height: number, colour: string, thick?: number): void;
  line(x1: number, y1: number, x2: number, y2: number, colour: string): void;
  /** Text whose baseline lies at `y`, cut where it would be longer than `most` pixels; nothing where not even a few letters fit. */
  text(x: number, y: number, text: string, colour: string, most?: number): void;
  /** Slanted lines: exits are not recorded individually here. */
  hatch(x: number, y: number, width: number, height: number, colour: string): void;
}

const LETTER = 6.1;
const FEWEST = 3;

function cut(text: string, most: number | undefined): string {
  if (most === undefined) return text;
  const fits = Math.floor(most / LETTER);
  if (fits >= text.length) return text;
  return fits <= FEWEST ? '' : `${text.slice(0, fits - 1)}…`;
}

export class CanvasInk implements Ink {
  constructor(
    private readonly context: CanvasRenderingContext2D,
    font: string,
  ) {
    context.font = font;
  }

  rect(x: number, y: number, width: number, height: number, colour: string): void {
    this.context.fillStyle = colour;
    this.context.fillRect(x, y, width, height);
  }
  frame(x: number, y: number, width: number, height: number, colour: string, thick = 1): void {
    this.context.strokeStyle = colour;
    this.context.lineWidth = thick;
    this.context.strokeRect(x, y, width, height);
  }
  line(x1: number, y1: number, x2: number, y2: number, colour: string): void {
    const { context } = this;
    context.strokeStyle = colour;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(x1, y1);
    context.lineTo(x2, y2);
    context.stroke();
  }
  text(x: number, y: number, text: string, colour: string, most?: number): void {
    const shown = cut(text, most);
    if (shown === '') return;
    this.context.fillStyle = colour;
    this.context.fillText(shown, x, y);
  }
  hatch(x: number, y: number, width: number, height: number, colour: string): void {
    const { context } = this;
    context.save();
    context.beginPath();
    context.rect(x, y, width, height);
    context.clip();
    for (let at = x - height; at < x + width; at += 6) this.line(at, y + height, at + height, y, colour);
    context.restore();
  }
}

const escape = (text: string): string =>
  text.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c] ?? c);
const round = (n: number): number => Math.round(n * 100) / 100;

export class SvgInk implements Ink {
  private readonly parts: string[] = [];

  constructor(
    private readonly width: number,
    private readonly height: number,
    private readonly palette: Palette,
    private readonly title: string,
  ) {}

  rect(x: number, y: number, width: number, height: number, colour: string): void {
    this.parts.push(
      `<rect x="${round(x)}" y="${round(y)}" width="${round(width)}" height="${round(height)}" fill="${escape(colour)}"/>`,
    );
  }
  frame(x: number, y: number, width: number, height: number, colour: string, thick = 1): void {
    this.parts.push(
      `<rect x="${round(x)}" y="${round(y)}" width="${round(width)}" height="${round(height)}" fill="none" stroke="${escape(colour)}" stroke-width="${thick}"/>`,
    );
  }
  line(x1: number, y1: number, x2: number, y2: number, colour: string): void {
    this.parts.push(
      `<line x1="${round(x1)}" y1="${round(y1)}" x2="${round(x2)}" y2="${round(y2)}" stroke="${escape(colour)}"/>`,
    );
  }
  text(x: number, y: number, text: string, colour: string, most?: number): void {
    const shown = cut(text, most);
    if (shown === '') return;
    this.parts.push(`<text x="${round(x)}" y="${round(y)}" fill="${escape(colour)}">${escape(shown)}</text>`);
  }
  hatch(x: number, y: number, width: number, height: number, colour: string): void {
    for (let at = x; at < x + width; at += 6) this.line(at, y + height, Math.min(at + height, x + width), y, colour);
  }

  result(): string {
    const { width, height, palette } = this;
    return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" style="font:${escape(palette.font)}" role="img"><title>${escape(this.title)}</title><rect width="100%" height="100%" fill="${escape(palette.ground)}"/>${this.parts.join('')}</svg>\n`;
  }
}
