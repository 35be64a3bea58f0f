import * as assert from 'node:assert/strict';
import { pagewalk } from './support';

const FAILS = '; @guest start=flat64\nbits 64\n mov rax, 1\n; @assert rax == 2\n nop\n; @log "rax {rax}"\n hlt\n';
const HOLDS = FAILS.replace('== 2', '== 1');

interface Report {
  readonly asserts?: readonly Readonly<Record<string, unknown>>[];
}

describe('pagewalk run and trace: checks of the guest file', () => {
  it('a failed one is in the report, on standard error, and in the exit code', async () => {
    const run = await pagewalk(['run', 'g.asm', '--json'], { 'g.asm': FAILS });
    assert.equal(run.code, 10);
    assert.deepEqual((JSON.parse(run.stdout) as Report).asserts, [
      { file: 'g.asm', line: 4, text: 'rax == 2', ok: false, left: '0x1', right: '0x2', reached: true },
    ]);
    const plain = await pagewalk(['run', 'g.asm'], { 'g.asm': FAILS });
    assert.equal(plain.code, 10);
    assert.equal(
      plain.stderr.split('\n').slice(0, 2).join('\n') + '\n',
      'g.asm:4: @assert rax == 2 does not hold: the left side is 0x1, the right 0x2\ng.asm:6: rax 0x1\n',
    );
    const trace = await pagewalk(['trace', 'g.asm'], { 'g.asm': FAILS });
    assert.equal(trace.code, 10);
    assert.match(trace.stderr, /does not hold/);
  });
  it('one that holds changes nothing', async () => {
    const run = await pagewalk(['run', 'g.asm', '--json'], { 'g.asm': HOLDS });
    assert.equal(run.code, 0);
    assert.equal((JSON.parse(run.stdout) as Report).asserts?.[0]?.['ok'], true);
    const none = await pagewalk(['run', 'g.asm', '--json'], { 'g.asm': 'bits 64\n hlt\n' });
    assert.equal((JSON.parse(none.stdout) as Report).asserts, undefined);
  });
});
