/** A client's end of the Debug Adapter Protocol over two streams: requests with their responses, and events in order. */
import type { DebugProtocol as Dap } from '@vscode/debugprotocol';
import type { Readable, Writable } from 'node:stream';

interface Waiting {
  readonly name: string;
  readonly resolve: (event: Dap.Event) => void;
  readonly reject: (why: Error) => void;
}

export class Connection {
  private readonly answers = new Map<number, (response: Dap.Response) => void>();
  private readonly events: Dap.Event[] = [];
  private readonly waiting: Waiting[] = [];
  private seq = 0;
  private received = Buffer.alloc(0);

  constructor(
    private readonly toAdapter: Writable,
    fromAdapter: Readable,
  ) {
    fromAdapter.on('data', (data: Buffer) => this.read(data));
  }

  /** Sends a request and waits for its response, failed or not. */
  async send(command: string, args?: object): Promise<Dap.Response> {
    const seq = ++this.seq;
    const answer = new Promise<Dap.Response>((resolve) => this.answers.set(seq, resolve));
    this.sent(command, args);
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
    const event =
      found ?? (await new Promise<Dap.Event>((resolve, reject) => this.waiting.push({ name, resolve, reject })));
    return event.body as E['body'];
  }

  /** initialize and launch; then the adapter waits for breakpoints and configurationDone. */
  async launch(fields: object, client: object = {}): Promise<void> {
    const knows = { supportsInvalidatedEvent: true, supportsMemoryEvent: true, supportsVariableType: true };
    await this.ask('initialize', { adapterID: 'pagewalk', pathFormat: 'path', ...knows, ...client });
    await this.ask('launch', fields);
    await this.event('initialized');
  }

  /** Sends a request of run control and waits for the stop that it leads to. */
  async toStop(command: string, args: object = { threadId: 1 }): Promise<Dap.StoppedEvent['body']> {
    await this.ask(command, args);
    return this.event<Dap.StoppedEvent>('stopped');
  }

  /** Called for each request before it goes out. */
  protected sent(_command: string, _args?: object): void {
    // a plain connection keeps no record
  }
  /** Called for each message that comes in, before anybody who waits for it. */
  protected came(_message: Dap.ProtocolMessage): void {
    // a plain connection keeps no record
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
    this.came(message);
    if (message.type === 'event') {
      const event = message as Dap.Event;
      const at = this.waiting.findIndex(({ name }) => name === event.event);
      if (at < 0) this.events.push(event);
      else this.waiting.splice(at, 1)[0]?.resolve(event);
      if (event.event === 'terminated') {
        // Nothing else will come: who waits for a stop would wait for ever.
        for (const { name, reject } of this.waiting.splice(0)) reject(new Error(`the guest ended before: ${name}`));
      }
    } else if (message.type === 'response') {
      const response = message as Dap.Response;
      this.answers.get(response.request_seq)?.(response);
      this.answers.delete(response.request_seq);
    }
  }
}
