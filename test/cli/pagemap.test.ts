/** `pagewalk pagemap`: where each page of guest RAM is, in its three formats. */
import * as assert from 'node:assert/strict';
import { pagewalk } from './support';

const GUEST = `; @guest start=flat64 memory=4M
bits 64
  mov qword [0x200000], 1
  mov qword [0x201000], 1
  mov qword [0x202000], 2
; @host swap-out 0x202000
  nop
; @host merge 0x200000 0x201000
  nop
done: hlt
`;
const run = (...args: string[]): ReturnType<typeof pagewalk> =>
  pagewalk(['pagemap', 'g.asm', ...args], { 'g.asm': GUEST });

describe('pagewalk pagemap', () => {
  it('prints a line per page: frames, merged ones, and swap slots', async () => {
    const { code, stdout } = await run();
    assert.equal(code, 0);
    const lines = stdout.split('\n');
    assert.match(lines[0] ?? '', /^# GPA +HVA +WHERE +SIZE SLOT FLAGS$/);
    const at = (gpa: string): string => lines.find((l) => l.startsWith(`0x${gpa.padStart(16, '0')} `)) ?? '';
    assert.match(at('200000'), /^0x0000000000200000 0x00007f5a00200000 0x1\w{8} +0x1000 0 r- merged:2$/);
    assert.equal(at('201000').split(' ')[2], at('200000').split(' ')[2], 'one frame');
    assert.match(at('202000'), / swap:0 +0x1000 0 --$/);
    assert.match(at('100000'), / rw$/, 'the code');
  });

  it('gives the same as JSON, at a place of the run', async () => {
    const { stdout } = await run('--json', '--at', 'done');
    const { pages } = JSON.parse(stdout) as {
      pages: { gpa: string; at: { kind: string; slot?: number }; shared: number }[];
    };
    assert.deepEqual(pages.find((p) => p.gpa === '0x202000')?.at, { kind: 'swap', slot: 0 });
    assert.equal(pages.find((p) => p.gpa === '0x201000')?.shared, 2);
  });

  it('and as the words of /proc/PID/pagemap', async () => {
    const { code, files } = await run('--binary', '-o', 'map.bin');
    assert.equal(code, 0);
    const bytes = Buffer.from(files['map.bin'] ?? '', 'latin1');
    assert.equal(bytes.length, ((4 << 20) / 4096) * 8);
    const word = (gpa: number): bigint =>
      new DataView(bytes.buffer, bytes.byteOffset).getBigUint64((gpa >> 12) * 8, true);
    assert.equal(word(0x20_2000), 1n << 62n, 'swap slot 0');
    assert.equal(word(0x20_0000) >> 56n, 0x80n, 'present and shared');
    assert.equal(word(0x10_0000) >> 56n, 0x81n, 'present and exclusive');
    assert.equal(word(0x30_0000), 0n, 'nobody touched it');
  });

  it('says what is missing', async () => {
    assert.match((await run('--binary')).stderr, /PW606/);
    assert.match((await run('--binary', '--json', '-o', 'x')).stderr, /PW605/);
  });
});
