import type { Location } from '../types';

/** A label with the linear address that it stands for. */
export interface SymbolAddress {
  readonly name: string;
  readonly address: bigint;
}
/** A stretch of addresses that one source line gave rise to. */
export interface LineSpan {
  readonly file: string;
  readonly line: number;
  readonly address: bigint;
  readonly length: number;
  readonly code: boolean;
  /** The mode that it is assembled for, where the assembler says. */
  readonly bits?: 16 | 32 | 64;
}

/** Where the last element is whose key is at most `wanted`, of a list sorted by it; -1: none is. */
function floorIndex<T, K extends bigint | number>(list: readonly T[], wanted: K, key: (item: T) => K): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const item = list[middle];
    if (item !== undefined && key(item) <= wanted) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
const floor = <T>(list: readonly T[], wanted: bigint, key: (item: T) => bigint): T | undefined =>
  list[floorIndex(list, wanted, key)];

/** Source lines and labels by address, and addresses by them. The image never moves, so one table serves the whole session. */
export class SymbolTable {
  private readonly labels: readonly SymbolAddress[];
  private readonly lines: readonly LineSpan[];
  private readonly byName = new Map<string, bigint>();
  /** A file's stretches by address, in the order of the files' first addresses; made when it is first asked for. */
  private byFile: ReadonlyMap<string, readonly LineSpan[]> | undefined;
  /** Of a file that was asked for: the first code of each line that has some, by line. */
  private readonly codeByLine = new Map<string, readonly LineSpan[]>();

  /**
   * @param symbols labels and constants; `constants` are values that are no addresses
   * @param end the first address behind the image: nothing is named after a label from there on
   */
  constructor(
    symbols: readonly SymbolAddress[],
    readonly constants: ReadonlyMap<string, bigint>,
    lines: readonly LineSpan[],
    private readonly end: bigint,
  ) {
    const order = (a: { address: bigint }, b: { address: bigint }): number =>
      a.address < b.address ? -1 : a.address > b.address ? 1 : 0;
    this.labels = [...symbols].sort(order);
    this.lines = [...lines].sort(order);
    for (const s of symbols) this.byName.set(s.name, s.address);
  }

  /** A label's address or a constant's value. */
  valueOf(name: string): bigint | undefined {
    return this.byName.get(name) ?? this.constants.get(name);
  }
  /** The first label from `from` to `to`. */
  firstIn(from: bigint, to: bigint): string | undefined {
    const at = from === 0n ? 0 : floorIndex(this.labels, from - 1n, (label) => label.address) + 1;
    const label = this.labels[at];
    return label && label.address <= to ? label.name : undefined;
  }
  isLabel(name: string): boolean {
    return this.byName.has(name);
  }
  get names(): readonly string[] {
    return [...this.byName.keys(), ...this.constants.keys()];
  }

  /** `name`, or `name+0x8` within the image; undefined where no label lies before. Local labels give way to none. */
  symbolOf(address: bigint): string | undefined {
    if (address >= this.end) return undefined;
    const label = floor(this.labels, address, (s) => s.address);
    if (label === undefined) return undefined;
    const distance = address - label.address;
    return distance === 0n ? label.name : `${label.name}+0x${distance.toString(16)}`;
  }

  /** The addresses of the labels at or before one, nearest first, at most `most` of them. */
  labelsBefore(address: bigint, most: number): readonly bigint[] {
    const out: bigint[] = [];
    let wanted = address;
    while (out.length < most && wanted >= 0n) {
      const label = floor(this.labels, wanted, (s) => s.address);
      if (label === undefined) break;
      out.push(label.address);
      wanted = label.address - 1n;
    }
    return out;
  }

  /** The files whose lines gave rise to something, in the order of its addresses. */
  get files(): readonly string[] {
    return [...this.spansByFile().keys()];
  }
  private spansByFile(): ReadonlyMap<string, readonly LineSpan[]> {
    if (this.byFile) return this.byFile;
    const byFile = new Map<string, LineSpan[]>();
    for (const span of this.lines) {
      const list = byFile.get(span.file);
      if (list) list.push(span);
      else byFile.set(span.file, [span]);
    }
    this.byFile = byFile;
    return byFile;
  }
  private codeOf(file: string): readonly LineSpan[] {
    const known = this.codeByLine.get(file);
    if (known) return known;
    const first = new Map<number, LineSpan>();
    for (const span of this.linesOf(file)) if (span.code && !first.has(span.line)) first.set(span.line, span);
    const made = [...first.values()].sort((a, b) => a.line - b.line);
    this.codeByLine.set(file, made);
    return made;
  }
  lineAt(address: bigint): LineSpan | undefined {
    const span = floor(this.lines, address, (l) => l.address);
    return span && address < span.address + BigInt(span.length) ? span : undefined;
  }
  /** The first address of the stretch of one line's code around an address: a macro's line has a span for each instruction. */
  lineStart(address: bigint): bigint | undefined {
    const own = this.lineAt(address);
    if (own === undefined) return undefined;
    let start = own.address;
    for (;;) {
      const before = this.lineAt(start - 1n);
      if (before?.file !== own.file || before.line !== own.line) return start;
      start = before.address;
    }
  }
  locationOf(address: bigint): Location | undefined {
    const span = this.lineAt(address);
    return span && { file: span.file, line: span.line };
  }

  /** What became of a file's lines, by address. */
  linesOf(file: string): readonly LineSpan[] {
    return this.spansByFile().get(file) ?? [];
  }
  /** The first code on `line` of `file` or on the next line that has some. */
  codeAt(file: string, line: number): LineSpan | undefined {
    const code = this.codeOf(file);
    return code[floorIndex(code, line - 1, (span) => span.line) + 1];
  }
  /** The lines of `file` between `from` and `to` that hold code. */
  codeLines(file: string, from: number, to: number): readonly number[] {
    const code = this.codeOf(file);
    const [first, last] = [from - 1, to].map((line) => floorIndex(code, line, (span) => span.line) + 1);
    return code.slice(first, last).map((span) => span.line);
  }
  /** Where a label or `FILE:LINE` lies; undefined: there is no such place. `main`: the file that was launched, which its last path elements name as well. */
  addressOfPlace(place: string, main: string): bigint | undefined {
    const [, written, line] = /^(.*):(\d+)$/.exec(place) ?? [];
    if (written === undefined) return this.isLabel(place) ? this.valueOf(place) : undefined;
    const isNamed = (path: string): boolean => path === written || path.endsWith(`/${written}`);
    const named = isNamed(main) ? main : (this.files.find(isNamed) ?? written);
    return this.codeAt(named, Number(line))?.address;
  }
}
