/** The timeline's picture: exits above, a lane for each who acts, the axis; from tiles, at any zoom. */
import { EXIT_LANES, TILE_BINS, type ExitSegment, type ExitTile } from '../../../protocol/panels/exits';
import type { Ink, Palette } from './ink';
import { levelFor, ticks, tickText, type Range } from './scale';

export const LANE_NAMES = ['Guest', 'CPU', 'KVM', 'Host kernel', 'VMM'] as const;

/** Where there is little room. */
export const SHORT_NAMES = ['Guest', 'CPU', 'KVM', 'Host', 'VMM'] as const;
/** A place for the short names, and for the long ones. */
export const NARROW_LEFT = 38;
export const WIDE_LEFT = 78;

const EXITS_HEIGHT = 34;
const LANE_HEIGHT = 30;
const GAP = 4;
const AXIS_HEIGHT = 18;
export const HEIGHT = EXITS_HEIGHT + EXIT_LANES.length * (LANE_HEIGHT + GAP) + AXIS_HEIGHT + 2;
const laneTop = (lane: number): number => EXITS_HEIGHT + GAP + lane * (LANE_HEIGHT + GAP);

export interface Scene {
  readonly range: Range;
  readonly width: number;
  /** Where the time begins, beside the lanes' names: NARROW_LEFT or WIDE_LEFT. */
  readonly left: number;
  readonly tile: (level: number, index: number) => ExitTile | undefined;
  /** The exits of this reason stand out. */
  readonly reason: string | undefined;
  /** From when to when the selected exit is handled. */
  readonly selected: Range | undefined;
  readonly total: number;
}

/** One tile's part of the picture: a tile may stand in for a finer one, of which only [from, to) is drawn. */
interface Part {
  readonly tile: ExitTile;
  readonly from: number;
  readonly to: number;
}

export function draw(ink: Ink, scene: Scene, palette: Palette): void {
  const { range, width, left } = scene;
  const scale = (width - left) / (range.to - range.from);
  const x = (cycle: number): number => left + (cycle - range.from) * scale;
  const parts = partsOf(scene, 1 / scale);

  drawLanes(ink, scene, palette);
  const list = ticks(range, width - left, 90);
  const axis = HEIGHT - AXIS_HEIGHT;
  for (const at of list) {
    ink.line(x(at), 0, x(at), axis, palette.faint);
    ink.text(x(at) + 3, HEIGHT - 5, tickText(at, list), palette.quiet, width - x(at) - 3);
  }
  const most = Math.max(1e-9, ...parts.flatMap(heights));
  for (const part of parts) {
    drawExits(ink, part, scene, palette, x, most);
    if (part.tile.segments) drawSegments(ink, part, scene, palette, x);
    else drawShares(ink, part, palette, x);
    if (part.tile.source === 'bins' && part.tile.resolution * scale > 6) {
      const [a, b] = [x(part.from), x(part.to)];
      ink.hatch(a, axis - 1, b - a, 3, palette.quiet);
    }
  }
  if (scene.selected) {
    const a = x(scene.selected.from);
    const b = Math.max(x(scene.selected.to), a + 1);
    if (b > left && a < width) {
      const from = Math.max(a, left);
      ink.rect(from, 0, Math.min(b, width) - from, axis, palette.band);
      ink.line(a, 0, a, axis, palette.accent);
      ink.line(b, 0, b, axis, palette.accent);
      ink.rect((a + Math.min(b, width)) / 2 - 4, 0, 8, 3, palette.accent);
    }
  }
}

function drawLanes(ink: Ink, { width, left }: Scene, palette: Palette): void {
  const names = left === WIDE_LEFT ? LANE_NAMES : SHORT_NAMES;
  for (let lane = 0; lane < EXIT_LANES.length; lane++) {
    const top = laneTop(lane);
    ink.line(left, top + LANE_HEIGHT + 0.5, width, top + LANE_HEIGHT + 0.5, palette.line);
    ink.text(0, top + LANE_HEIGHT - 9, names[lane] ?? '', palette.quiet);
  }
  ink.text(0, EXITS_HEIGHT - 10, left === WIDE_LEFT ? 'VM exits' : 'Exits', palette.quiet);
  ink.line(left, EXITS_HEIGHT + 0.5, width, EXITS_HEIGHT + 0.5, palette.line);
}

/** The tiles in sight at the level that fits. */
function partsOf({ range, tile, total }: Scene, cyclesPerPixel: number): readonly Part[] {
  const level = levelFor(cyclesPerPixel);
  const span = TILE_BINS * 2 ** level;
  const parts: Part[] = [];
  const end = Math.min(range.to, total);
  for (let index = Math.floor(range.from / span); index * span < end; index++) {
    const found = tile(level, index);
    if (found) parts.push({ tile: found, from: index * span, to: (index + 1) * span });
  }
  return parts;
}

/** Exits to a cycle, of the fullest bins. */
function heights({ tile }: Part): number[] {
  const width = 2 ** tile.level;
  const sums = new Float64Array(TILE_BINS);
  for (const { counts } of tile.reasons) counts.forEach((n, i) => (sums[i] = (sums[i] ?? 0) + n));
  return [Math.max(...sums) / width];
}

/** For each bin of the part its place on the screen, joined to the pixel so that no seam shows. */
function eachBin(
  { tile, from, to }: Part,
  x: (cycle: number) => number,
  use: (bin: number, x: number, width: number) => void,
): void {
  const width = 2 ** tile.level;
  const start = tile.index * TILE_BINS * width;
  const first = Math.max(0, Math.floor((from - start) / width));
  const last = Math.min(TILE_BINS, Math.ceil((to - start) / width));
  let at = Math.round(x(start + first * width));
  for (let bin = first; bin < last; bin++) {
    const next = Math.round(x(start + (bin + 1) * width));
    if (next > at) use(bin, at, next - at);
    at = next;
  }
}

function drawExits(
  ink: Ink,
  part: Part,
  scene: Scene,
  palette: Palette,
  x: (cycle: number) => number,
  most: number,
): void {
  const { tile } = part;
  const { segments } = tile;
  const base = EXITS_HEIGHT;
  if (segments) {
    // few exits: each as a bracket with its number
    for (const [number, { from, to }] of exitsIn(segments)) {
      const a = Math.max(x(from), scene.left);
      const b = x(to);
      if (b <= scene.left || from >= part.to || to <= part.from) continue;
      ink.rect(a, base - 5, Math.max(b - a - 1, 2), 4, palette.ink);
      // named once, in the first tile that shows it
      if (from >= part.from || part.from <= scene.range.from)
        ink.text(a + 1, base - 10, `exit ${number}`, palette.quiet, b - a);
    }
    return;
  }
  const width = 2 ** tile.level;
  eachBin(part, x, (bin, at, wide) => {
    let all = 0;
    let marked = 0;
    for (const { name, counts } of tile.reasons) {
      const n = counts[bin] ?? 0;
      all += n;
      if (name === scene.reason) marked += n;
    }
    const height = (n: number): number => (n === 0 ? 0 : Math.max(1, (n / width / most) * (EXITS_HEIGHT - 6)));
    if (all > 0)
      ink.rect(at, base - height(all), wide, height(all), scene.reason === undefined ? palette.ink : palette.line);
    if (marked > 0) ink.rect(at, base - height(marked), wide, height(marked), palette.accent);
  });
}

function exitsIn(segments: readonly ExitSegment[]): ReadonlyMap<number, Range> {
  const exits = new Map<number, Range>();
  for (const { exit, from, to } of segments) {
    if (exit === undefined) continue;
    const known = exits.get(exit);
    exits.set(exit, { from: Math.min(from, known?.from ?? from), to: Math.max(to, known?.to ?? to) });
  }
  return exits;
}

function drawShares(ink: Ink, part: Part, palette: Palette, x: (cycle: number) => number): void {
  const width = 2 ** part.tile.level;
  part.tile.cycles.forEach((cycles, lane) => {
    const base = laneTop(lane) + LANE_HEIGHT;
    eachBin(part, x, (bin, at, wide) => {
      const share = Math.min(1, (cycles[bin] ?? 0) / width);
      if (share <= 0) return;
      const height = Math.max(1, share * LANE_HEIGHT);
      ink.rect(at, base - height, wide, height, palette.lanes[lane] ?? palette.ink);
    });
  });
}

/** Everything done, one by one, with its function's name where that fits; a thin line leads to the next lane. */
function drawSegments(ink: Ink, part: Part, scene: Scene, palette: Palette, x: (cycle: number) => number): void {
  let last: ExitSegment | undefined;
  for (const segment of part.tile.segments ?? []) {
    const { lane, from, to, share, label } = segment;
    if (to <= part.from || from >= part.to) continue;
    const a = Math.max(x(Math.max(from, part.from)), scene.left);
    const b = Math.min(x(Math.min(to, part.to)), scene.width);
    if (b < scene.left || a > scene.width) continue;
    const base = laneTop(lane) + LANE_HEIGHT;
    const height = Math.max(2, share * (LANE_HEIGHT - 4));
    if (last && last.lane !== lane && share === 1 && last.to === from && from >= part.from) {
      const [up, down] = [Math.min(lane, last.lane), Math.max(lane, last.lane)];
      ink.line(x(from), laneTop(up) + LANE_HEIGHT, x(from), laneTop(down) + 4, palette.quiet);
    }
    const wide = Math.max(1, b - a - (b - a > 4 ? 1 : 0));
    ink.rect(a, base - height, wide, height, share < 1 ? palette.line : palette.faint);
    ink.rect(a, base - height, wide, 2, palette.lanes[lane] ?? palette.ink);
    ink.text(a + 3, base - 8, label, palette.quiet, wide - 4);
    if (share === 1) last = segment;
  }
}
