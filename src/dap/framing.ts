/**
 * Extracts messages from a byte stream, as framed by the base protocol: header lines, an empty line, and the given
 * number of bytes of JSON. Any other sender, such as the browser of a web page that posts to our port, is not a debug
 * client: the stream is abandoned at its first line.
 */

/** Bytes of a header, and of a message: memory is written in base64, and a large guest's breakpoints are long lists. */
const MAX_HEADER = 1024;
const MAX_MESSAGE = 64 * 1024 * 1024;

const CRLF2 = Buffer.from('\r\n\r\n');
const LENGTH = 'content-length';
const HEADERS: readonly string[] = [LENGTH, 'content-type'];

export interface FramingEvents {
  message(value: unknown): void;
  /** A well-framed message that is not JSON; the stream continues after it. */
  notJson(why: string): void;
  /** Nothing more can be read of this stream. */
  refused(why: string): void;
}

export class MessageReader {
  private readonly chunks: Buffer[] = [];
  private held = 0;
  /** Bytes of the message whose header was read. */
  private length: number | undefined;
  private closed = false;

  constructor(private readonly events: FramingEvents) {}

  /** Nothing that arrives from now on is read. */
  close(): void {
    this.closed = true;
    this.chunks.length = 0;
    this.held = 0;
  }

  push(data: Buffer): void {
    if (this.closed) return;
    this.chunks.push(data);
    this.held += data.length;
    while (!this.closed && (this.length === undefined ? this.header() : this.body(this.length))) continue;
  }

  private refuse(why: string): false {
    this.close();
    this.events.refused(why);
    return false;
  }

  /** All that is held, as one buffer; joined only when a header or a whole message is looked for. */
  private joined(): Buffer {
    const all = this.chunks.length === 1 && this.chunks[0] ? this.chunks[0] : Buffer.concat(this.chunks);
    this.chunks.splice(0, this.chunks.length, all);
    return all;
  }
  private drop(count: number): void {
    const rest = this.joined().subarray(count);
    this.held = rest.length;
    this.chunks.splice(0, this.chunks.length, ...(rest.length > 0 ? [rest] : []));
  }

  /** Reads a header where it is complete. @returns whether there may be more to read */
  private header(): boolean {
    if (this.held === 0) return false;
    const all = this.joined();
    const end = all.subarray(0, MAX_HEADER).indexOf(CRLF2);
    const lines = all
      .subarray(0, end < 0 ? MAX_HEADER : end)
      .toString('latin1')
      .split('\r\n');
    let length: number | undefined;
    for (const [i, written] of lines.entries()) {
      const isWhole = end >= 0 || i < lines.length - 1;
      const line = isWhole ? written : written.replace(/\r$/, '');
      const [, name, value] = /^([A-Za-z-]*)(?::[ \t]*(.*))?$/.exec(line) ?? [];
      const isPart = !isWhole && value === undefined;
      const known = HEADERS.filter((each) =>
        isPart ? name !== undefined && each.startsWith(name.toLowerCase()) : each === name?.toLowerCase(),
      );
      if (known.length === 0)
        return this.refuse(
          `${quoted(line)} is not a header of the Debug Adapter Protocol; only Content-Length and Content-Type are`,
        );
      if (!isWhole || known[0] !== LENGTH) continue;
      if (length !== undefined) return this.refuse('a message has one Content-Length');
      if (value === undefined || !/^\d{1,10}$/.test(value))
        return this.refuse(`Content-Length ${quoted(value ?? '')} is not a number of bytes`);
      length = Number(value);
      if (length > MAX_MESSAGE)
        return this.refuse(`a message of ${length} bytes is too long; the maximum is ${MAX_MESSAGE}`);
    }
    if (end < 0)
      return all.length < MAX_HEADER ? false : this.refuse(`the header does not end within ${MAX_HEADER} bytes`);
    if (length === undefined) return this.refuse('a header without Content-Length');
    this.length = length;
    this.drop(end + CRLF2.length);
    return true;
  }

  private body(length: number): boolean {
    if (this.held < length) return false;
    const text = this.joined().toString('utf8', 0, length);
    this.length = undefined;
    this.drop(length);
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (error) {
      this.events.notJson(error instanceof Error ? error.message : String(error));
      return true;
    }
    this.events.message(value);
    return true;
  }
}

const quoted = (line: string): string => JSON.stringify(line.length > 60 ? `${line.slice(0, 60)}…` : line);
