/**
 * A scripted client: it speaks the Debug Adapter Protocol to an adapter in this process over two streams, and writes down every
 * message. Nothing is waited for by time; what comes too late fails by mocha's own limit.
 */
import type { DebugProtocol as Dap } from '@vscode/debugprotocol';
import { PassThrough } from 'node:stream';
import type { AdapterHost } from '../../src/dap/index';
import { Adapter } from '../../src/dap/index';

export class Driver {
  private readonly toAdapter = new PassThrough();
  private readonly adapter: Adapter;
  private readonly lines: string[] = [];
  private readonly answers = new Map<number, (response: Dap.Response) => void>();
  private readonly events: Dap.Event[] = [];
  private readonly waiting: { readonly name: string; readonly resolve: (event: Dap.Event) => void }[] = [];
  private seq = 0;
  private received = Buffer.alloc(0);
  /** Messages that are not written down: those that every session begins with. */
  private quiet = false;

  constructor(host: AdapterHost) {
    this.adapter = new Adapter(host);
    this.adapter.setRunAsServer(true);
    const fromAdapter = new PassThrough();
    fromAdapter.on('data', (data: Buffer) => this.read(data));
    this.adapter.start(this.toAdapter, fromAdapter);
  }

  /** Sends a request and waits for its response, failed or not. */
  async send(command: string, args?: object): Promise<Dap.Response> {
    const seq = ++this.seq;
    const answer = new Promise<Dap.Response>((resolve) => this.answers.set(seq, resolve));
    this.write(`→ ${command}`, args);
    const json = JSON.stringify({ seq, type: 'request', command, ...(args ? { arguments: args } : {}) });
    this.toAdapter.write(`Content-Length: ${Buffer.byteLength(json)}\r\n\r\n${json}`);
    return answer;
  }

  /** The body of a response that must be a success. */
  async ask<Body = Record<string, unknown>>(command: string, args?: object): Promise<Body> {
    const response = await this.send(command, args);
    if (!response.success) throw new Error(`${command}: ${response.message}`);
    return response.body as Body;
  }

  /** The message of a response that must be a failure. */
  async refused(command: string, args?: object): Promise<string> {
    const response = await this.send(command, args);
    if (response.success) throw new Error(`${command} succeeded: ${JSON.stringify(response.body)}`);
    return response.message ?? '';
  }

  /** The next event of that name which nobody has waited for yet. */
  async event<E extends Dap.Event = Dap.Event>(name: string): Promise<E['body']> {
    const at = this.events.findIndex((each) => each.event === name);
    const [found] = at < 0 ? [] : this.events.splice(at, 1);
    const event = found ?? (await new Promise<Dap.Event>((resolve) => this.waiting.push({ name, resolve })));
    return event.body as E['body'];
  }

  /** initialize and launch, unrecorded; then the adapter waits for breakpoints and configurationDone. */
  async launch(fields: object, client: object = {}): Promise<void> {
    this.quiet = true;
    await this.ask('initialize', {
      adapterID: 'pagewalk',
      pathFormat: 'path',
      supportsInvalidatedEvent: true,
      supportsMemoryEvent: true,
      ...client,
    });
    await this.ask('launch', fields);
    await this.event('initialized');
    this.quiet = false;
  }

  /** Sends a request of run control and waits for the stop that it leads to. */
  async toStop(command: string, args: object = { threadId: 1 }): Promise<Dap.StoppedEvent['body']> {
    await this.ask(command, args);
    return this.event<Dap.StoppedEvent>('stopped');
  }

  note(text: string): void {
    this.lines.push('', `# ${text}`);
  }

  get transcript(): string {
    return `${this.lines.join('\n').trim()}\n`;
  }

  private read(data: Buffer): void {
    this.received = Buffer.concat([this.received, data]);
    for (;;) {
      const header = /^Content-Length: (\d+)\r\n\r\n/.exec(this.received.toString('latin1', 0, 64));
      if (!header) return;
      const start = header[0].length;
      const end = start + Number(header[1]);
      if (this.received.length < end) return;
      const message = JSON.parse(this.received.toString('utf8', start, end)) as Dap.ProtocolMessage;
      this.received = this.received.subarray(end);
      this.receive(message);
    }
  }

  private receive(message: Dap.ProtocolMessage): void {
    if (message.type === 'event') {
      const event = message as Dap.Event;
      this.write(`• ${event.event}`, event.body as unknown);
      const at = this.waiting.findIndex(({ name }) => name === event.event);
      if (at < 0) this.events.push(event);
      else this.waiting.splice(at, 1)[0]?.resolve(event);
    } else if (message.type === 'response') {
      const response = message as Dap.Response;
      if (response.success) this.write(`← ${response.command}`, response.body);
      else this.write(`✗ ${response.command} ${response.message}`, undefined);
      this.answers.get(response.request_seq)?.(response);
      this.answers.delete(response.request_seq);
    }
  }

  private write(head: string, body: unknown): void {
    if (this.quiet) return;
    if (head.startsWith('→')) this.lines.push('');
    this.lines.push(body === undefined ? head : `${head} ${render(body, '', head.length + 1)}`);
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
