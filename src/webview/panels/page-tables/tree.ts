/**
 * The rows of a set of tables that are open, in order. A table's rows are asked for a page at a time when they come into sight; the
 * rest are blanks of known number.
 */
import type { TableRow } from '../../../protocol/panels/page-tables';

/** Rows that one request asks for: requests begin at multiples of it. */
const PAGE = 64;

/** Tables that are asked for at a new moment: those opened last. */
const MAX_OPEN = 64;

export type Path = readonly string[];
const keyOf = (path: Path): string => path.join('/');

interface Node {
  readonly path: Path;
  rows: (TableRow | undefined)[];
  total: number;
}

export interface Item {
  readonly parent: Path;
  readonly index: number;
  readonly row: TableRow | undefined;
  readonly siblings: number;
}

export type Load = (
  path: Path,
  start: number,
) => Promise<{ readonly rows: readonly TableRow[]; readonly total: number }>;

export class TableTree {
  private readonly nodes = new Map<string, Node>();
  private flat: Item[] = [];
  private readonly loading = new Set<string>();
  /** Counts the moments: what comes for an older one is dropped. */
  private turn = 0;

  constructor(
    private readonly load: Load,
    /** Paths of the rows that are open. */
    readonly open: Set<string>,
    private readonly changed: () => void,
  ) {}

  get length(): number {
    return this.flat.length;
  }
  at(index: number): Item | undefined {
    return this.flat[index];
  }
  pathAt(index: number): Path | undefined {
    const item = this.flat[index];
    return item?.row && [...item.parent, item.row.id];
  }
  indexOf(path: Path): number {
    const parent = keyOf(path.slice(0, -1));
    return this.flat.findIndex((item) => item.row?.id === path.at(-1) && keyOf(item.parent) === parent);
  }
  /** The row of the table that a row lies in. */
  parentOf(index: number): number | undefined {
    const item = this.flat[index];
    return item && item.parent.length > 0 ? this.indexOf(item.parent) : undefined;
  }
  isOpen(path: Path): boolean {
    return this.open.has(keyOf(path));
  }

  /**
   * Refreshes everything: the root and what is open below it. `inSight`: the first visible row of each open table;
   * the old rows stay until all of that has arrived, so nothing flickers.
   */
  async reload(inSight: readonly { readonly path: Path; readonly start: number }[]): Promise<void> {
    const turn = ++this.turn;
    const wanted = new Map<string, { path: Path; start: number }>();
    const add = (path: Path, start: number): void => {
      wanted.set(`${keyOf(path)} ${start}`, { path, start });
    };
    add([], 0);
    for (const path of this.shown()) add(path, 0);
    for (const { path, start } of inSight) add(path, start - (start % PAGE));
    const pages = await Promise.all(
      [...wanted.values()].map(async ({ path, start }) => ({
        path,
        start,
        page: await this.load(path, start).catch((error: unknown) => {
          // A table that was open and is gone; what the root cannot give is an error.
          if (path.length === 0) throw error;
          return undefined;
        }),
      })),
    );
    if (turn !== this.turn) return;
    this.nodes.clear();
    for (const { path, start, page } of pages) if (page) this.put(path, start, page);
    await this.openLonely([]);
    this.flatten();
  }

  /** Opens or closes a row. */
  async toggle(path: Path, open: boolean): Promise<void> {
    if (!open) this.open.delete(keyOf(path));
    else {
      if (!this.nodes.has(keyOf(path))) this.put(path, 0, await this.load(path, 0));
      this.open.add(keyOf(path));
      await this.openLonely(path);
    }
    this.flatten();
  }

  /** Opens the way to a row and gives its place; −1 where it is not there. */
  async reveal(path: Path): Promise<number> {
    for (let depth = 0; depth < path.length; depth++) {
      const parent = path.slice(0, depth);
      const node = this.nodes.get(keyOf(parent)) ?? this.put(parent, 0, await this.load(parent, 0));
      for (let start = 0; start < node.total && !node.rows.some((row) => row?.id === path[depth]); start += PAGE)
        if (!node.rows[start]) this.put(parent, start, await this.load(parent, start));
      if (depth > 0) this.open.add(keyOf(parent));
    }
    this.flatten();
    return this.indexOf(path);
  }

  /** Asks for the blanks among the rows. */
  fetch(first: number, last: number): void {
    const wanted = new Map<string, { path: Path; start: number }>();
    for (let i = first; i <= last; i++) {
      const item = this.flat[i];
      if (!item || item.row) continue;
      const start = item.index - (item.index % PAGE);
      wanted.set(`${keyOf(item.parent)} ${start}`, { path: item.parent, start });
    }
    const { turn } = this;
    for (const [key, { path, start }] of wanted) {
      if (this.loading.has(key)) continue;
      this.loading.add(key);
      void this.load(path, start)
        .then((page) => {
          if (turn !== this.turn) return;
          this.put(path, start, page);
          this.flatten();
        })
        .catch(() => undefined) // the next moment asks again
        .finally(() => this.loading.delete(key));
    }
  }

  /** The open rows whose parents are open too. */
  private shown(): Path[] {
    const paths = [...this.open].map((key) => key.split('/'));
    const isShown = (path: Path): boolean => path.every((_, i) => i === 0 || this.isOpen(path.slice(0, i)));
    return paths.filter(isShown).slice(-MAX_OPEN);
  }

  /** A table with one entry only says little: it is opened as well. */
  private async openLonely(path: Path): Promise<void> {
    const node = this.nodes.get(keyOf(path));
    const [row] = node?.rows ?? [];
    if (node?.total !== 1 || !row || row.rows === 0 || row.first !== row.last) return;
    const below = [...path, row.id];
    if (!this.nodes.has(keyOf(below))) this.put(below, 0, await this.load(below, 0));
    this.open.add(keyOf(below));
    await this.openLonely(below);
  }

  private put(
    path: Path,
    start: number,
    { rows, total }: { readonly rows: readonly TableRow[]; readonly total: number },
  ): Node {
    const key = keyOf(path);
    let node = this.nodes.get(key);
    if (!node || node.total !== total) {
      node = { path, rows: new Array<TableRow | undefined>(total).fill(undefined), total };
      this.nodes.set(key, node);
    }
    for (const [i, row] of rows.entries()) node.rows[start + i] = row;
    return node;
  }

  private flatten(): void {
    const out: Item[] = [];
    const visit = (path: Path): void => {
      const node = this.nodes.get(keyOf(path));
      for (const [index, row] of node?.rows.entries() ?? []) {
        out.push({ parent: path, index, row, siblings: node?.total ?? 0 });
        if (row && row.rows > 0 && path.length < 12 && this.isOpen([...path, row.id])) visit([...path, row.id]);
      }
    };
    visit([]);
    this.flat = out;
    this.changed();
  }
}
