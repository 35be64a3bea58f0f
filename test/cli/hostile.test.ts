/**
 * Files and requests that nobody means well by, each with what is said to it. A child process does the work, within limits of its own on memory and processor time: what
 * grows or does not end is killed by the system, and its row fails.
 */
import * as assert from 'node:assert/strict';
import type { DebugProtocol as Dap } from '@vscode/debugprotocol';
import { spawn, spawnSync } from 'node:child_process';
import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Connection } from '../dap/connection';
import { bundle } from '../support/bundle';
import { needs } from '../support/needs';

/** Of processor time, in seconds, and of JavaScript's heap, in MiB. */
const [SECONDS, HEAP] = [60, 1536];

const lines = (n: number, line: (i: number) => string): string =>
  Array.from({ length: n }, (_, i) => line(i)).join('\n');
/** `n` macros, each of which is the one before twice. */
const doubling = (n: number): string => `%define x0 1\n${lines(n, (i) => `%define x${i + 1} x${i} + x${i}`)}\n`;
const HALT = 'bits 64\nhlt\n';

describe('hostile input', () => {
  let folder = '';
  let [cli, dap, shell] = ['', '', ''];
  const at = (name: string): string => join(folder, name);
  const put = (name: string, text: string): string => {
    writeFileSync(at(name), text);
    return at(name);
  };
  const limited = (program: string, args: readonly string[]): [string, string[]] => [
    shell,
    ['-c', `ulimit -t ${SECONDS}; exec "$@"`, 'sh', process.execPath, `--max-old-space-size=${HEAP}`, program, ...args],
  ];
  before(async function () {
    shell = needs(this, 'sh');
    [cli, dap] = await Promise.all([bundle('cli'), bundle('dap')]);
    folder = mkdtempSync(join(tmpdir(), 'pagewalk-hostile-'));
    spawnSync(needs(this, 'mkfifo'), [at('fifo')]);
    put('guest.asm', HALT);
    put('huge.bin', '');
    truncateSync(at('huge.bin'), 2 ** 41);
    put('long.asm', '');
    truncateSync(at('long.asm'), 2 ** 25);
    put('full.asm', '');
    truncateSync(at('full.asm'), 2 ** 23);
    mkdirSync(at('dir'));
    symlinkSync(at('loop'), at('loop'));
    symlinkSync(at('out'), at('soft'));
    put('out', '');
    linkSync(at('out'), at('hard'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  /** What the command line says. Rows: what, arguments (`@name`: the file of that name), exit code, message. */
  const FILES: readonly (readonly [what: string, args: string, code: number, message: RegExp])[] = [
    ['a file that is missing', 'run @none', 2, /PW607: cannot be read: there is no such file/],
    ['a folder', 'run @dir', 2, /PW607: cannot be read: it is a folder/],
    ['a FIFO', 'run @fifo', 2, /PW607: cannot be read: it is a FIFO/],
    ['a device without end', 'run /dev/zero', 2, /PW607: cannot be read: it is a device/],
    ['a file of /proc', 'run /proc/self/maps', 2, /PW607: cannot be read: its size is not known/],
    ['links in a circle', 'run @loop', 2, /PW607: cannot be read: its symbolic links go in a circle/],
    [
      'an image of 2 TiB',
      'run @huge.bin',
      2,
      /PW607: cannot be read: it is 2199023255552 bytes long; the maximum is 1073741824/,
    ],
    [
      'a source of 32 MiB',
      'run @long.asm',
      2,
      /PW315: the file is 33554432 bytes long; the maximum for a source is 8388608/,
    ],
    ['the same, assembled', 'asm @long.asm', 2, /PW315: the file is 33554432 bytes long/],
    ['a source of zeros', 'asm @full.asm', 2, /full\.asm:1:1: error PW/],
    ['firmware that is a FIFO', 'run @guest.asm --start reset --firmware @fifo', 2, /PW\d{3}: .*cannot be read/],
    ['a module without end', 'run @guest.asm --module /dev/zero', 2, /PW3\d\d: /],
    ['a secret without end', 'dap --port 0 --secret /dev/zero', 2, /PW607: the secret cannot be read: it is a device/],
    ['output to a FIFO', 'run @guest.asm --serial @fifo', 2, /PW608: cannot be written: it is not an ordinary file/],
    ['output to a folder', 'run @guest.asm --serial @dir', 2, /PW608: cannot be written: it is a folder/],
    ['output to a device', 'run @guest.asm --trace /dev/full', 2, /PW608: cannot be written: it is a device/],
    ['output over the guest', 'run @guest.asm --serial @guest.asm', 2, /PW608: .* the same file as the input/],
    [
      'two outputs by a soft link',
      'run @guest.asm --serial @out --debugcon @soft',
      2,
      /the same file as the output of `--serial`/,
    ],
    [
      'two outputs by a hard link',
      'run @guest.asm --debugcon @hard --trace @out',
      2,
      /the same file as the output of `--debugcon`/,
    ],
    [
      'an image over its listing',
      'asm @guest.asm -o @out --listing @hard',
      2,
      /the same file as the output of `--output`/,
    ],
    ['an image over its source', 'asm @guest.asm -o @guest.asm', 2, /the same file as the input/],
  ];
  it('files on the command line', () => {
    for (const [what, args, code, message] of FILES) {
      const needed = /\/(?:dev|proc)\S+/.exec(args)?.[0];
      if (needed !== undefined && !existsSync(needed)) continue;
      const words = args.split(' ').map((word) => (word.startsWith('@') ? at(word.slice(1)) : word));
      const ran = spawnSync(...limited(cli, words), { encoding: 'utf8' });
      assert.deepEqual([ran.status, ran.signal, ran.stdout], [code, null, ''], `${what}: ${ran.stderr}`);
      assert.match(ran.stderr, message, what);
      assert.doesNotMatch(ran.stderr, /internal error|\n {4}at /, what);
    }
  });

  const SOURCES: readonly (readonly [what: string, source: () => string, code: number, message: RegExp])[] = [
    ['39 macros, each twice the last', () => `${doubling(39)}dq x39\n`, 2, /PW1\d\d: /],
    [
      'lines that grow a thousandfold',
      () => `${doubling(14)}${lines(2000, () => 'dq x14')}\n`,
      2,
      /PW114: the macros of this file expand to more than 4000000 tokens/,
    ],
    [
      'lines that a macro fills with its argument',
      () => `%macro m 1\n${lines(2000, () => ' db %1')}\n%endmacro\nm {${'1,'.repeat(5000)}1}\n`,
      2,
      /PW114: the source expands to more than 4000000 tokens/,
    ],
    ['a macro that calls itself', () => '%define f(x) f(f(x))\ndq f(1)\n%macro m 0\nm\n%endmacro\nm\n', 2, /PW1\d\d: /],
    ['repetition in repetition', () => `${'%rep 1000\n'.repeat(4)}nop\n${'%endrep\n'.repeat(4)}`, 2, /PW114: /],
    ['an include of itself', () => '%include "source.asm"\n', 2, /PW113: .*included inside itself/],
    ['an include of a FIFO', () => '%include "fifo"\n', 2, /PW112: /],
    ['data without end', () => 'incbin "/dev/zero"\n', 2, /PW112: /],
    ['20,000 jumps over one byte', () => `bits 64\n${lines(20_000, (i) => `jmp l${i}\nnop\nl${i}:`)}\nhlt\n`, 0, /^$/],
    [
      '20,000 jumps over each other',
      () => `bits 64\n${lines(20_000, (i) => `l${i}: jmp l${Math.min(i + 40, 20_000)}`)}\nl20000: hlt\n`,
      0,
      /^$/,
    ],
    [
      '20,000 labels, each a use',
      () => `bits 64\n${lines(20_000, (i) => `l${i}: mov rax, [l${(i * 7) % 20_000}]`)}\nhlt\n`,
      0,
      /^$/,
    ],
  ];
  it('sources', () => {
    for (const [what, source, code, message] of SOURCES) {
      const file = put('source.asm', source());
      const ran = spawnSync(...limited(cli, ['asm', file, '-o', at('image.bin')]), { encoding: 'utf8' });
      assert.deepEqual([ran.status, ran.signal], [code, null], `${what}: ${ran.stderr}`);
      assert.match(ran.stderr, message, what);
      assert.doesNotMatch(ran.stderr, /internal error|\n {4}at /, what);
    }
  });

  /** Requests at a stop, in this order, to one adapter; without a message they succeed. */
  const REQUESTS: readonly (readonly [what: string, command: string, args: () => unknown, message?: RegExp])[] = [
    ['a request that is not there', 'frobnicate', () => ({}), /: PW513: /],
    ['the name of an object’s own', 'toString', () => ({}), /: PW513: /],
    ['no arguments', 'setBreakpoints', () => undefined, /: PW516: .*`source`/],
    ['arguments of another type', 'evaluate', () => ({ expression: { a: 1 } }), /: PW516: /],
    [
      '2,000 breakpoints on a line',
      'setBreakpoints',
      () => ({ source: { path: at('guest.asm') }, breakpoints: Array.from({ length: 2000 }, () => ({ line: 2 })) }),
    ],
    [
      '20,001 breakpoints',
      'setBreakpoints',
      () => ({ source: { path: at('guest.asm') }, breakpoints: Array.from({ length: 20_001 }, () => ({ line: 2 })) }),
      /: PW515: /,
    ],
    [
      '20,000 instruction breakpoints',
      'setInstructionBreakpoints',
      () => ({
        breakpoints: Array.from({ length: 20_000 }, (_, i) => ({ instructionReference: `0x${i.toString(16)}` })),
      }),
    ],
    [
      '100,000 of them',
      'setInstructionBreakpoints',
      () => ({ breakpoints: Array.from({ length: 100_000 }, () => ({ instructionReference: '0x0' })) }),
      /: PW515: /,
    ],
    [
      'an address that is none',
      'setInstructionBreakpoints',
      () => ({ breakpoints: [{ instructionReference: '; rm' }] }),
      /: PW\d{3}: /,
    ],
    ['a thread that is not there', 'stackTrace', () => ({ threadId: 9 }), /: PW514: there is no thread 9/],
    ['a frame that is not there', 'scopes', () => ({ frameId: 2 ** 40 }), /: PW514: there is no frame/],
    ['rows of an earlier stop', 'variables', () => ({ variablesReference: 77 }), /: PW514: /],
    ['a document that is not there', 'source', () => ({ sourceReference: 99 }), /: PW514: /],
    ['a place that is not there', 'goto', () => ({ threadId: 1, targetId: 5 }), /: PW514: /],
    ['a TiB of memory', 'readMemory', () => ({ memoryReference: '0x0', count: 2 ** 40 }), /: PW51\d: /],
    ['memory of a negative size', 'readMemory', () => ({ memoryReference: '0x0', count: -1 }), /: PW51\d: /],
    [
      'a million rows of code',
      'disassemble',
      () => ({ memoryReference: '0x0', instructionCount: 1_000_000 }),
      /: PW51\d: /,
    ],
    ['data that is not base64', 'writeMemory', () => ({ memoryReference: '0x100000', data: '***' }), /: PW51\d: /],
    ['an expression that nests', 'evaluate', () => ({ expression: '('.repeat(100_000) }), /: PW\d{3}: /],
    [
      'a register that is too small',
      'setExpression',
      () => ({ expression: 'al', value: '256' }),
      /: PW\d{3}: .*256|0x100/,
    ],
    ['a second beginning', 'configurationDone', () => ({}), /: PW519: /],
    ['a guest that is a FIFO', 'launch', () => ({ program: at('fifo') }), /PW501: .*FIFO/],
    ['a guest without end', 'launch', () => ({ program: '/dev/zero' }), /PW501: .*(?:device|no such file)/],
    ['a guest that is too long', 'launch', () => ({ program: at('long.asm') }), /PW315: /],
    [
      'two outputs to one file',
      'launch',
      () => ({ program: at('guest.asm'), serial: at('out'), debugcon: at('soft') }),
      /PW503: .*the same file as the output of field `serial`/,
    ],
    [
      'an output over the guest',
      'launch',
      () => ({ program: at('guest.asm'), serial: at('guest.asm') }),
      /PW503: .*the same file as the input/,
    ],
    [
      'an output to a FIFO',
      'launch',
      () => ({ program: at('guest.asm'), debugcon: at('fifo') }),
      /PW503: .*not an ordinary file/,
    ],
    ['a field of another type', 'launch', () => ({ program: 7 }), /PW502: /],
    ['no guest', 'launch', () => ({}), /PW500: /],
  ];
  it('requests', async () => {
    const adapter = spawn(...limited(dap, []));
    try {
      let told = '';
      adapter.stderr.on('data', (data: Buffer) => (told += data.toString()));
      const client = new Connection(adapter.stdin, adapter.stdout);
      await client.launch({ program: put('guest.asm', HALT), stopOnEntry: true });
      await client.toStop('configurationDone');
      for (const [what, command, args, message] of REQUESTS) {
        const answer: Dap.Response = await client.send(command, args() as object);
        if (!message) assert.equal(answer.success, true, `${what}: ${answer.message}`);
        else assert.match(`${what}: ${answer.success ? 'it succeeded' : answer.message}`, message);
        assert.doesNotMatch(answer.message ?? '', /PW590/, what);
      }
      await client.ask('threads');
      await client.ask('disconnect');
      assert.equal(told, '');
    } finally {
      adapter.kill('SIGKILL');
    }
  });
});
