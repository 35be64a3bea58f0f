/** The tiles that have come, and those asked for. */
import type { ExitTile } from '../../../protocol/panels/exits';

/** Tiles kept: about forty screens. */
const MOST = 160;
/** How many levels coarser a tile may be that stands in for one still on its way. */
const COARSER = 8;

export class Tiles {
  private readonly known = new Map<string, ExitTile>();
  private readonly asked = new Set<string>();

  /** @param ask answers with undefined if no tile is available */
  constructor(
    private readonly ask: (level: number, index: number) => Promise<ExitTile | undefined>,
    private readonly arrived: () => void,
  ) {}

  clear(): void {
    this.known.clear();
    this.asked.clear();
  }

  get waiting(): boolean {
    return this.asked.size > this.known.size;
  }

  /** The tile, or for now a coarser one that covers it; asks for it where it has not come. */
  get(level: number, index: number): ExitTile | undefined {
    const found = this.known.get(key(level, index));
    if (found) return found;
    this.want(level, index);
    for (let up = 1; up <= COARSER; up++) {
      const coarse = this.known.get(key(level + up, Math.floor(index / 2 ** up)));
      if (coarse) return coarse;
    }
    return undefined;
  }

  private want(level: number, index: number): void {
    const name = key(level, index);
    if (this.asked.has(name)) return;
    this.asked.add(name);
    void this.ask(level, index).then((tile) => {
      // an answer from before the tiles were cleared is of another moment
      if (!tile || !this.asked.has(name)) return;
      this.known.set(name, tile);
      for (const [oldest] of this.known) {
        if (this.known.size <= MOST) break;
        this.known.delete(oldest);
        this.asked.delete(oldest);
      }
      this.arrived();
    });
  }
}

const key = (level: number, index: number): string => `${level}/${index}`;
