/**
 * A scripted client of an adapter in this process, which writes down every message. Nothing is waited for by time; what comes too
 * late fails by mocha's own limit.
 */
import type { DebugProtocol as Dap } from '@vscode/debugprotocol';
import { PassThrough } from 'node:stream';
import type { AdapterHost } from '../../src/dap/index';
import { Adapter } from '../../src/dap/index';
import { Connection } from './connection';

/** A test that fails leaves its guest running; nothing else would end it, or the process of the tests. */
const running = new Set<Adapter>();
afterEach(() => {
  for (const adapter of running) adapter.close();
  running.clear();
});

export class Driver extends Connection {
  private readonly lines: string[] = [];
  /** Messages that are not written down: those that every session begins with. */
  private quiet = false;

  /** @param expected what the adapter is told that will be launched */
  constructor(host: AdapterHost, expected?: Readonly<Record<string, unknown>>) {
    const [toAdapter, fromAdapter] = [new PassThrough(), new PassThrough()];
    super(toAdapter, fromAdapter);
    const adapter = new Adapter(host, expected);
    running.add(adapter);
    adapter.setRunAsServer(true);
    adapter.start(toAdapter, fromAdapter);
  }

  override async launch(fields: object, client: object = {}): Promise<void> {
    await this.silently(() => super.launch(fields, client));
  }

  /** Does `action` without writing it down. */
  async silently<T>(action: () => Promise<T>): Promise<T> {
    const before = this.quiet;
    this.quiet = true;
    try {
      return await action();
    } finally {
      this.quiet = before;
    }
  }

  /** A heading in the transcript. */
  note(text: string): void {
    this.lines.push('', `# ${text}`);
  }

  get transcript(): string {
    return `${this.lines.join('\n').trim()}\n`;
  }

  protected override sent(command: string, args?: object): void {
    this.lines.push(...(this.quiet ? [] : ['']));
    this.write(`→ ${command}`, args);
  }

  protected override came(message: Dap.ProtocolMessage): void {
    if (message.type === 'event') {
      const { event, body } = message as Dap.Event;
      this.write(`• ${event}`, body as unknown);
    } else if (message.type === 'response') {
      const response = message as Dap.Response;
      if (response.success) this.write(`← ${response.command}`, response.body);
      else this.write(`✗ ${response.command} ${response.message}`, undefined);
    }
  }

  private write(head: string, body: unknown): void {
    if (!this.quiet) this.lines.push(body === undefined ? head : `${head} ${render(body, '', head.length + 1)}`);
  }
}

const WIDTH = 150;

/** JSON on one line where it fits, otherwise a member a line. */
function render(value: unknown, indent: string, used: number): string {
  const flat = JSON.stringify(value);
  if (used + flat.length <= WIDTH || typeof value !== 'object' || value === null) return flat;
  const inner = `${indent}  `;
  if (Array.isArray(value)) {
    return `[\n${value.map((each) => inner + render(each, inner, inner.length)).join(',\n')}\n${indent}]`;
  }
  const members = Object.entries(value).map(([key, each]) => {
    const head = `${inner}${JSON.stringify(key)}: `;
    return head + render(each, inner, head.length);
  });
  return `{\n${members.join(',\n')}\n${indent}}`;
}
