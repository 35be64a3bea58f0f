import { connect, type Socket } from 'node:net';

/** A client of the GDB remote serial protocol: one packet out, one packet back. Acknowledgements are off after the first exchange. */
export class GdbClient {
  private buffer = '';
  private waiting: ((packet: string) => void) | undefined;
  private failed: ((why: Error) => void) | undefined;

  private constructor(private readonly socket: Socket) {
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      this.buffer += text;
      this.take();
    });
    const end = (): void => this.failed?.(new Error('the debug stub closed the connection'));
    socket.on('error', end);
    socket.on('close', end);
  }

  /** Connects to a Unix socket that a process is about to create; `alive` says whether that process still runs. */
  static async connect(path: string, alive: () => boolean): Promise<GdbClient> {
    for (;;) {
      const socket = await new Promise<Socket | undefined>((done) => {
        const s = connect(path);
        s.once('connect', () => done(s));
        s.once('error', () => done(undefined));
      });
      if (socket) {
        const client = new GdbClient(socket);
        await client.request('QStartNoAckMode');
        socket.write('+');
        // single registers can be written only by who knows the machine's description
        await client.request('qSupported:xmlRegisters=i386');
        await client.request('qXfer:features:read:target.xml:0,ffb');
        return client;
      }
      if (!alive()) throw new Error('the emulator ended before its debug stub answered');
      await new Promise((again) => setImmediate(again));
    }
  }

  request(body: string): Promise<string> {
    return new Promise((resolve, reject) => {
      this.waiting = resolve;
      this.failed = reject;
      let sum = 0;
      for (let i = 0; i < body.length; i++) sum = (sum + body.charCodeAt(i)) & 0xff;
      this.socket.write(`$${body}#${sum.toString(16).padStart(2, '0')}`);
    });
  }
  close(): void {
    this.failed = undefined;
    this.socket.destroy();
  }

  private take(): void {
    const start = this.buffer.indexOf('$');
    const end = this.buffer.indexOf('#', start);
    if (start < 0 || end < 0 || this.buffer.length < end + 3) return;
    const packet = this.buffer.slice(start + 1, end);
    this.buffer = this.buffer.slice(end + 3);
    const done = this.waiting;
    this.waiting = this.failed = undefined;
    done?.(packet);
  }
}
