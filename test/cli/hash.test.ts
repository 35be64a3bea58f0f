/** `run --json` and `run --hash-every N`: the hash of the whole machine. */
import * as assert from 'node:assert/strict';
import { pagewalk } from './support';

const LOOP = 'bits 64\n mov ecx, 1000\nagain: add rax, rcx\n loop again\n hlt\n';
const run = (...args: string[]): ReturnType<typeof pagewalk> => pagewalk(['run', 'a.asm', ...args], { 'a.asm': LOOP });
const hashOf = (stdout: string): string => (JSON.parse(stdout) as { readonly hash: string }).hash;

describe('hash on the command line', () => {
  it('stands in the report, and is the same for the same run', async () => {
    const [one, two, other] = await Promise.all([
      run('--json'),
      run('--json', '--hash-every', '7'),
      run('--json', '--mmu', 'npt'),
    ]);
    assert.match(hashOf(one.stdout), /^[0-9a-f]{64}$/);
    assert.equal(hashOf(two.stdout), hashOf(one.stdout));
    assert.notEqual(hashOf(other.stdout), hashOf(one.stdout));
  });

  it('is printed at each multiple of N instructions', async () => {
    const lines = (await run('--json', '--hash-every', '700')).stderr.split('\n').filter(Boolean);
    assert.deepEqual(
      lines.map((line) => line.replace(/ [0-9a-f]{64}$/, ' H')),
      ['700 H', '1400 H'],
    );
    const finer = (await run('--json', '--hash-every', '100')).stderr.split('\n');
    for (const line of lines) assert.ok(finer.includes(line), line);
  });

  it('wants a number of instructions', async () => {
    for (const wrong of ['0', '-1', '0x10', 'x']) {
      const { code, stderr } = await run(`--hash-every=${wrong}`);
      assert.equal(code, 2);
      assert.match(stderr, /error PW6\d\d: `--hash-every`: `.+` is not a number of instructions; write 1 or more/);
    }
  });
});
