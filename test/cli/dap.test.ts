/** `pagewalk dap`: what it makes of its arguments. That it serves is tested with a process, in test/dap/process.test.ts. */
import * as assert from 'node:assert/strict';
import { pagewalk } from './support';

/** Where the adapter is to listen, or what is wrong. */
async function check(args: string, expected: object | string): Promise<void> {
  const files = { 'good.txt': 'correct horse\r\nnotes\n', 'short.txt': '1234567\n', 'long.txt': 'x'.repeat(1025) };
  const { code, stdout, stderr } = await pagewalk(['dap', ...args.split(' ').filter((a) => a !== '')], files);
  if (typeof expected === 'string') assert.deepEqual([code, stdout, stderr.trim()], [2, '', expected]);
  else assert.deepEqual([code, JSON.parse(stdout), stderr], [0, expected, '']);
}

describe('pagewalk dap', () => {
  it('serves standard streams, a port or a socket', async () => {
    await check('', { kind: 'stdio' });
    await check('--port 0', { kind: 'port', port: 0 });
    await check('--port=4711', { kind: 'port', port: 4711 });
    await check('--socket /run/pw.sock', { kind: 'socket', path: '/run/pw.sock' });
  });
  it('refuses what is not a place', async () => {
    const port = (p: string): string =>
      `command line: error PW605: \`--port\`: \`${p}\` is not a port; write 1 to 65535, or 0 for any free one`;
    for (const p of ['65536', '-1', '0x10', 'any', '1e3', '']) await check(`--port=${p}`, port(p));
    const both = 'command line: error PW605: `--port` and `--socket` exclude each other; keep one';
    await check('--port 1 --socket x', both);
    await check('--socket=', 'command line: error PW605: `--socket` needs a path');
  });
  it('takes a secret from the first line of a file', async () => {
    const secret = { path: 'good.txt', text: 'correct horse' };
    await check('--port 0 --secret good.txt', { kind: 'port', port: 0, secret });
    await check('--secret good.txt', { kind: 'stdio', secret });
    const why = (n: number): string => `error PW605: the first line is the secret, 8 to 1024 characters; it has ${n}`;
    await check('--port 0 --secret short.txt', `short.txt: ${why(7)}`);
    await check('--port 0 --secret long.txt', `long.txt: ${why(1025)}`);
    await check('--secret none', 'none: error PW607: the secret cannot be read: there is no such file');
  });
  it('has help and a version', async () => {
    const help = (await pagewalk(['dap', '--help'])).stdout;
    assert.match(help, /Usage: pagewalk dap \[OPTIONS\]/);
    for (const option of ['--port N', '--socket PATH', '--secret FILE']) assert.ok(help.includes(option), option);
    assert.equal((await pagewalk(['dap', '--version'])).stdout, 'pagewalk 0.0.0\n');
  });
});
