/** The timeline as a control: a canvas that is zoomed and moved by wheel, drag and keys, and on which exits are chosen. */
import { EXIT_LANES, type ExitTile } from '../../../protocol/panels/exits';
import { h } from '../../dom';
import { draw, HEIGHT, NARROW_LEFT, WIDE_LEFT, type Scene } from './drawing';
import { CanvasInk, SvgInk, type Palette } from './ink';
import { clamp, cyclesText, zoom, type Range } from './scale';

/** From here on the lanes have their full names. */
const ROOM_FOR_NAMES = 420;
const STEP = 0.2;
const CLOSER = 0.7;
/** A press that moves less is a click. */
const STILL = 4;

export interface TimelineOptions {
  readonly tile: (level: number, index: number) => ExitTile | undefined;
  /** A click at this cycle. */
  choose(cycle: number): void;
  /** Selects the exit `by` places after the selected one. */
  next(by: number): void;
  moved(range: Range | undefined): void;
}

export class Timeline {
  readonly element: HTMLElement;
  private readonly canvas = h('canvas', {
    class: 'timeline',
    tabindex: 0,
    role: 'application',
    'aria-roledescription': 'timeline',
    'aria-label': 'Time of the run by who acts',
    'aria-describedby': 'timeline-keys',
  });
  private readonly probe = h('span', { class: 'probe', 'aria-hidden': 'true' });
  private palette: Palette | undefined;
  private frame = 0;
  private total = 0;
  /** undefined: the whole run, also when it grows. */
  private chosen: Range | undefined;
  private reason: string | undefined;
  private selected: Range | undefined;

  constructor(private readonly options: TimelineOptions) {
    this.element = h(
      'div',
      { class: 'timeline-box' },
      this.canvas,
      this.probe,
      h(
        'p',
        { class: 'spoken', id: 'timeline-keys' },
        'Arrow keys left and right move, plus and minus zoom, 0 shows the whole run, up and down go to the previous and next exit. The list of exits below shows the same.',
      ),
    );
    new ResizeObserver(() => this.redraw()).observe(this.element);
    new MutationObserver(() => this.themed()).observe(document.body, { attributes: true, attributeFilter: ['class'] });
    new MutationObserver(() => this.themed()).observe(document.documentElement, { attributes: true });
    this.canvas.addEventListener('wheel', (event) => this.wheel(event), { passive: false });
    this.canvas.addEventListener('pointerdown', (event) => this.press(event));
    this.canvas.addEventListener('keydown', (event) => {
      if (!event.altKey && !event.ctrlKey && !event.metaKey && this.key(event.key)) event.preventDefault();
    });
  }

  get range(): Range {
    return clamp(this.chosen ?? { from: 0, to: this.total }, this.total);
  }
  /** undefined: the whole run. */
  get kept(): Range | undefined {
    return this.chosen;
  }

  show(total: number, range: Range | undefined): void {
    this.total = total;
    this.chosen = range && clamp(range, total);
    this.redraw();
  }
  mark(reason: string | undefined, selected: Range | undefined): void {
    this.reason = reason;
    this.selected = selected;
    this.redraw();
  }
  /** Moves so far that the stretch can be seen, with some room around; comes closer where it would be a line. */
  reveal({ from, to }: Range): void {
    const { range } = this;
    const length = range.to - range.from;
    if (from >= range.from && to <= range.to) return;
    const half = Math.max(length / 2, to - from);
    this.go({ from: (from + to) / 2 - half, to: (from + to) / 2 + half });
  }
  /** Brings a stretch close: it takes half of the width. */
  approach({ from, to }: Range): void {
    const around = (to - from) / 2;
    this.go({ from: from - around, to: to + around });
  }
  zoomBy(factor: number): void {
    const { from, to } = this.range;
    const { selected } = this;
    const inSight = selected && selected.from >= from && selected.to <= to;
    const at = inSight ? (selected.from + selected.to) / 2 : (from + to) / 2;
    this.go(zoom({ from, to }, at, factor));
  }
  fit(): void {
    this.go(undefined);
  }

  redraw(): void {
    if (this.frame !== 0) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.paint();
    });
  }

  /** What is on the screen as a file. */
  svg(title: string): string {
    const palette = this.colours();
    const scene = this.scene();
    const ink = new SvgInk(scene.width, HEIGHT, palette, title);
    draw(ink, scene, palette);
    return ink.result();
  }

  /** Draws now; for measurements. */
  paint(): void {
    const { canvas } = this;
    const scene = this.scene();
    if (scene.width <= 0 || this.total <= 0) return;
    const ratio = devicePixelRatio;
    const [wide, high] = [Math.round(scene.width * ratio), Math.round(HEIGHT * ratio)];
    if (canvas.width !== wide || canvas.height !== high) {
      canvas.width = wide;
      canvas.height = high;
      canvas.style.height = `${HEIGHT}px`;
    }
    const context = canvas.getContext('2d');
    if (!context) return;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, scene.width, HEIGHT);
    const palette = this.colours();
    draw(new CanvasInk(context, palette.font), scene, palette);
  }

  private scene(): Scene {
    const width = Math.floor(this.element.clientWidth);
    const { range, reason, selected, total } = this;
    return { range, width, left: this.left(width), tile: this.options.tile, reason, selected, total };
  }
  private left(width: number): number {
    return width >= ROOM_FOR_NAMES ? WIDE_LEFT : NARROW_LEFT;
  }

  private themed(): void {
    this.palette = undefined;
    this.redraw();
  }
  /** The theme's colours as the canvas takes them. */
  private colours(): Palette {
    if (this.palette) return this.palette;
    const { probe } = this;
    const of = (name: string): string => {
      probe.style.color = `var(--x-${name})`;
      return getComputedStyle(probe).color;
    };
    const { fontFamily } = getComputedStyle(probe);
    return (this.palette = {
      ground: of('ground'),
      ink: of('ink'),
      quiet: of('quiet'),
      faint: of('faint'),
      line: of('line'),
      accent: of('accent'),
      band: of('band'),
      lanes: EXIT_LANES.map(of),
      font: `11px ${fontFamily}`,
    });
  }

  private go(range: Range | undefined): void {
    const whole = range && range.to - range.from >= this.total;
    this.chosen = range && !whole ? clamp(range, this.total) : undefined;
    this.options.moved(this.chosen);
    this.redraw();
  }

  private cycleAt(clientX: number): number {
    const box = this.canvas.getBoundingClientRect();
    const left = this.left(Math.floor(box.width));
    const { from, to } = this.range;
    return from + ((clientX - box.left - left) / Math.max(1, box.width - left)) * (to - from);
  }

  private wheel(event: WheelEvent): void {
    event.preventDefault();
    const { from, to } = this.range;
    const across = event.shiftKey ? event.deltaY : event.deltaX;
    if (Math.abs(across) > Math.abs(event.shiftKey ? 0 : event.deltaY)) {
      const by = (across / Math.max(1, this.canvas.clientWidth)) * (to - from);
      return this.go({ from: from + by, to: to + by });
    }
    this.go(zoom({ from, to }, this.cycleAt(event.clientX), 2 ** (event.deltaY / 240)));
  }

  private press(event: PointerEvent): void {
    if (event.button !== 0) return;
    const { canvas } = this;
    const start = this.range;
    const perPixel = (start.to - start.from) / Math.max(1, canvas.clientWidth - this.left(canvas.clientWidth));
    canvas.setPointerCapture(event.pointerId);
    let isDrag = false;
    const move = ({ clientX }: PointerEvent): void => {
      const by = event.clientX - clientX;
      isDrag ||= Math.abs(by) >= STILL;
      if (isDrag) this.go({ from: start.from + by * perPixel, to: start.to + by * perPixel });
    };
    const done = ({ clientX, type }: PointerEvent): void => {
      canvas.removeEventListener('pointermove', move);
      canvas.removeEventListener('pointerup', done);
      canvas.removeEventListener('pointercancel', done);
      if (!isDrag && type === 'pointerup') this.options.choose(Math.max(0, this.cycleAt(clientX)));
    };
    canvas.addEventListener('pointermove', move);
    canvas.addEventListener('pointerup', done);
    canvas.addEventListener('pointercancel', done);
  }

  private key(key: string): boolean {
    const { from, to } = this.range;
    const by = (to - from) * STEP;
    switch (key) {
      case 'ArrowLeft':
        this.go({ from: from - by, to: to - by });
        return true;
      case 'ArrowRight':
        this.go({ from: from + by, to: to + by });
        return true;
      case '+':
      case '=':
        this.zoomBy(CLOSER);
        return true;
      case '-':
        this.zoomBy(1 / CLOSER);
        return true;
      case '0':
        this.fit();
        return true;
      case 'Home':
        this.go({ from: 0, to: to - from });
        return true;
      case 'End':
        this.go({ from: this.total - (to - from), to: this.total });
        return true;
      case 'ArrowUp':
        this.options.next(-1);
        return true;
      case 'ArrowDown':
        this.options.next(1);
        return true;
      default:
        return false;
    }
  }
}

/** In as many digits as it takes to tell the two ends apart. */
export function rangeText({ from, to }: Range): string {
  const digits = Math.max(3, Math.ceil(Math.log10(to / (to - from))) + 2);
  return `${cyclesText(from, digits)} to ${cyclesText(to, digits)} cycles`;
}
