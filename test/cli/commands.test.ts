import * as assert from 'node:assert/strict';
import { assertGolden, example, pagewalk } from './support';

const run = (source: string, ...args: string[]) => pagewalk(['run', 'g.asm', ...args], { 'g.asm': source });

/** The run's exit code and all that it says on standard error. */
async function fails(source: string, expected: string, ...args: string[]): Promise<void> {
  const { code, stdout, stderr } = await run(source, ...args);
  assert.equal(stderr, expected + '\n');
  assert.equal(code, 2);
  assert.equal(stdout, '');
}

interface Stop {
  readonly stop: { readonly kind: string; readonly code: number; readonly why: string };
}
async function ends(source: string, kind: string, code: number, ...args: string[]): Promise<string> {
  const r = await run(source, '--json', ...args);
  assert.equal(r.stderr, '');
  const { stop } = JSON.parse(r.stdout) as Stop;
  assert.deepEqual([stop.kind, stop.code, r.code], [kind, code, code]);
  return stop.why;
}

describe('pagewalk run', () => {
  it('ends with the guest’s own exit code where it has one', async () => {
    await ends('bits 64\nmov al, 3\nout 0xf4, al', 'exit-port', 7);
    await ends('bits 64\nmov al, 0\nout 0xf4, al', 'exit-port', 1);
  });
  it('ends with a code of its own otherwise', async () => {
    await ends('bits 64\nhlt', 'halt', 0);
    assert.match(await ends('bits 64\nud2', 'triple-fault', 4), /triple fault/);
    assert.match(await ends('bits 64\nagain: jmp again', 'limit', 6, '--max-instructions', '5000'), /5000/);
    assert.match(
      await ends('mov ah, 0x0e\nint 0x10\ntimes 510-($-$$) db 0\ndw 0xaa55', 'internal-error', 8),
      /INT 10h/,
    );
  });
  it('a guest that runs wild is explained, not a crash', async () => {
    // into a hole, and through its own tables filled with garbage
    await ends('bits 64\nmov rax, 0x7f0000000000\njmp rax', 'triple-fault', 4);
    await ends(
      'bits 64\nmov rdi, cr3\nmov rcx, 512\nmov rax, -1\nrep stosq\ninvlpg [0]\nmov rax, cr3\nmov cr3, rax\nhlt',
      'triple-fault',
      4,
    );
    await ends('bits 64\nmov rsp, 0x100\npush rax\nmov rax, [0x123456789a]\nhlt', 'triple-fault', 4);
  });
  it('puts the guest’s output on standard output, or into files', async () => {
    const hello = await run(example('hello'));
    assert.equal(hello.stdout, 'Hello, guest\n');
    assert.match(
      hello.stderr,
      /^halt: .*\n161 instructions; exits: 5 EPT_VIOLATION, 26 IO_INSTRUCTION, 1 HLT; references: 4 guest, 20 nested, \d+ host; /,
    );
    const filed = await run(example('hello'), '--serial', 'out.txt', '--trace', 'trace.jsonl');
    assert.equal(filed.stdout, '');
    assert.equal(filed.files['out.txt'], 'Hello, guest\n');
    assert.ok((filed.files['trace.jsonl'] ?? '').split('\n').length > 100);
  });
  it('sends no two outputs to one file, whatever its name, and opens none of them then', async () => {
    const r = await run('bits 64\nhlt', '--serial', 'out.txt', '--trace', './a/../out.txt');
    const why = 'cannot be written: it is the same file as the output of `--serial`; name another';
    assert.deepEqual([r.code, r.stdout, r.stderr], [2, '', `./a/../out.txt: error PW608: ${why}\n`]);
    const a = await pagewalk(['asm', 'g.asm', '-o', 'x', '--listing', 'x'], { 'g.asm': 'hlt' });
    assert.deepEqual([a.code, a.stderr], [2, `x: error PW608: ${why.replace('serial', 'output')}\n`]);
    assert.equal((await run('bits 64\nhlt', '--serial', '-', '--debugcon', '-')).code, 0);
  });
  it('says which output could not be written', async () => {
    const hello = await run(example('hello'), '--serial', '/full/x', '--json');
    assert.deepEqual([hello.code, hello.stdout], [2, '']);
    assert.equal(hello.stderr, '/full/x: error PW608: cannot be written: no space is left\n');
    const a = await pagewalk(['asm', 'g.asm', '-o', '/full/x'], { 'g.asm': 'hlt' });
    assert.deepEqual([a.code, a.stderr], [2, '/full/x: error PW608: cannot be written: no space is left\n']);
  });
});

describe('bad input', () => {
  it('is located, with what to do, on standard error, and nothing else comes out', async () => {
    await fails('bits 64\nmov rax\nhlt', 'g.asm:2:5: error PW104: mov takes 2 operands, not 1');
    await fails('', 'g.asm: error PW311: the file is empty; a guest needs at least one instruction');
    await fails(
      'hlt',
      'command line: error PW301: `--memory`: `lots` is no size; write bytes, or a number with K, M, G or T, as 64M',
      '--memory',
      'lots',
    );
    await fails(
      '; @guest strat=flat64\nhlt',
      'g.asm:1:10: error PW300: there is no option `strat`; did you mean `start`?',
    );
  });
  it('names files that are not there', async () => {
    const r = await pagewalk(['run', 'no.asm']);
    assert.deepEqual([r.code, r.stderr], [2, 'no.asm: error PW607: cannot be read: there is no such file\n']);
    const w = await run('bits 64\nhlt', '--serial', '/read-only/x');
    assert.deepEqual([w.code, w.stderr], [2, '/read-only/x: error PW608: cannot be written: permission denied\n']);
  });
  it('of the machine: images and slots that do not fit', async () => {
    const of = async (source: string, ...args: string[]): Promise<string> => {
      const r = await run(source, ...args);
      assert.deepEqual([r.code, r.stdout], [2, '']);
      return r.stderr;
    };
    assert.match(
      await of('bits 64\nhlt\ntimes 0x200000 db 0', '--memory', '1M'),
      /^g\.asm: error PW411: .*make memory larger/,
    );
    assert.match(await of('bits 64\nhlt\nsection .bss\nresb 0x200000', '--memory', '1M'), /PW411/);
    assert.match(await of('bits 64\nhlt', '--slot', '0+4M', '--slot', '2M+4Q'), /error PW301: `--slot`/);
    assert.match(await of('bits 64\nhlt', '--slot', '0+4M', '--slot', '0x200000+4M'), /PW401.*overlaps/);
    assert.match(await of('; @host place 0x7f5a00001000 0x1\nhlt'), /^g\.asm:1:3: error PW403/);
  });
  it('of commands', async () => {
    assert.deepEqual(await pagewalk(['rum']), {
      code: 2,
      stdout: '',
      stderr: 'command line: error PW600: there is no command `rum`; did you mean `run`?\n',
      files: {},
    });
    const wrong = await pagewalk(['compare', 'g.asm', '--mmu', 'ept,tcg'], { 'g.asm': 'hlt' });
    assert.deepEqual([wrong.code, wrong.stdout], [2, '']);
    assert.match(wrong.stderr, /^command line: error PW301: methods to compare: `tcg` is not one of shadow, ept, npt,/);
    assert.equal((await pagewalk([])).code, 2);
    assert.equal((await pagewalk(['--help'])).code, 0);
    assert.equal((await pagewalk(['--version'])).stdout, 'pagewalk 0.0.0\n');
  });
});

describe('pagewalk translate', () => {
  const translate = async (name: string, ...args: string[]) =>
    pagewalk(['translate', `${name}.asm`, ...args], { [`${name}.asm`]: example(name) });

  it('the worked example to the digit', async () => {
    const r = await translate('worked-example', '--address', '0x7f8a3b2a0100', '--at', 'again', '--json');
    assert.deepEqual([r.code, r.stderr], [0, '']);
    assertGolden('translate/worked-example.json', r.stdout);
    const chain = JSON.parse(r.stdout) as {
      readonly gva: string;
      readonly gpa: string;
      readonly hva: string;
      readonly hpa: string;
      readonly references: number;
      readonly stages: readonly { readonly stage: string; readonly steps?: readonly { readonly index: number }[] }[];
    };
    assert.deepEqual(
      [chain.gva, chain.gpa, chain.hva, chain.hpa],
      ['0x7f8a3b2a0100', '0x12345100', '0x7f5a12345100', '0x1a2b3100'],
    );
    assert.equal(chain.references, 24);
    assert.deepEqual(
      chain.stages.map((s) => s.stage),
      ['guest', 'ept', 'memslot', 'host'],
    );
    assert.deepEqual(
      chain.stages[0]?.steps?.map((s) => s.index),
      [255, 40, 473, 160],
    );
    assert.deepEqual(
      chain.stages[1]?.steps?.map((s) => s.index),
      [0, 0, 145, 325],
    );
  });
  it('a failure, with stage, level, reason and event', async () => {
    const r = await translate('first-touch', '--address', '0x180000', '--at', 'first', '--json');
    const { ok, gpa, hpa, references, failure } = JSON.parse(r.stdout) as Record<string, unknown>;
    assert.deepEqual([ok, gpa, hpa, references], [false, '0x180000', undefined, 24]);
    const { explanation: _explanation, ...rest } = failure as Record<string, unknown>;
    assert.deepEqual(rest, { stage: 'ept', level: 1, reason: 'not present', event: 'EPT_VIOLATION' });
  });
  it('a write to a read-only slot, for rights are the AND of all stages', async () => {
    const r = await translate('read-only-slot', '--address', '0x40000000', '--access', 'w', '--json');
    const { ok, rights, failure } = JSON.parse(r.stdout) as {
      ok: boolean;
      rights: unknown;
      failure: { stage: string; reason: string; event: string };
    };
    assert.deepEqual([ok, rights], [false, { r: true, w: false, x: true, user: false }]);
    assert.deepEqual(
      [failure.stage, failure.reason, failure.event],
      ['ept', 'write to a read-only page', 'EPT_VIOLATION'],
    );
  });
  it('back from a host address to every guest address', async () => {
    const r = await translate('worked-example', '--address', '0x1a2b3100', '--space', 'hpa', '--json');
    const { gva, gpa, hva } = JSON.parse(r.stdout) as Record<string, unknown>;
    assert.deepEqual([gva, gpa, hva], [['0x12345100', '0x7f8a3b2a0100'], ['0x12345100'], '0x7f5a12345100']);
  });
  it('a guest’s own fault, and an address that is not canonical', async () => {
    const fault = JSON.parse(
      (await translate('first-touch', '--address', '0x8000000000', '--access', 'w', '--json')).stdout,
    ) as { failure: Record<string, unknown> };
    assert.deepEqual([fault.failure['stage'], fault.failure['level'], fault.failure['event']], ['guest', 4, '#PF']);
    const canonical = JSON.parse((await translate('first-touch', '--address', '0x800000000000', '--json')).stdout) as {
      failure: Record<string, unknown>;
    };
    assert.equal(canonical.failure['event'], '#GP');
  });
  it('refuses what has no answer', async () => {
    const stderr = async (...args: string[]): Promise<string> => {
      const r = await translate('first-touch', ...args);
      assert.deepEqual([r.code, r.stdout], [2, '']);
      return r.stderr;
    };
    assert.match(await stderr(), /PW606.*--address/);
    assert.match(await stderr('--address', '12q'), /PW605/);
    assert.match(await stderr('--address', '1', '--at', 'nowhere'), /PW611: `--at`: `nowhere` is neither a label/);
    const never = await pagewalk(['translate', 'g.asm', '--address', '1', '--at', 'dead'], {
      'g.asm': 'bits 64\nhlt\ndead: nop',
    });
    assert.deepEqual([never.code, never.stdout], [2, '']);
    assert.match(never.stderr, /PW611: `--at`: `dead` is never reached/);
  });
});

describe('pagewalk tables, trace and asm', () => {
  it('lists present entries', async () => {
    const r = await pagewalk(['tables', 'g.asm', '--of', 'ept'], { 'g.asm': example('large-page') });
    assert.equal(r.code, 0);
    assert.match(r.stdout, /EPT PDE \[2\] 0x400000–0x5fffff = 0x[0-9a-f]+ R W X IPAT PS A D WB → 0x[0-9a-f]+\n/);
    const json = JSON.parse(
      (await pagewalk(['tables', 'g.asm', '--of', 'guest', '--json'], { 'g.asm': example('large-page') })).stdout,
    ) as {
      entries: { level: number; from: string; to: string; leaf: boolean; target: string }[];
    };
    const large = json.entries.find((e) => e.level === 2 && e.leaf);
    assert.deepEqual([large?.from, large?.to, large?.target], ['0x40000000', '0x401fffff', '0x400000']);
    assert.match(
      (await pagewalk(['tables', 'g.asm', '--of', 'npt'], { 'g.asm': 'hlt' })).stdout,
      /^there are no such tables: mmu=ept has no NPT$/m,
    );
    const npt = (await pagewalk(['tables', 'g.asm', '--of', 'npt', '--mmu', 'npt'], { 'g.asm': 'hlt' })).stdout;
    assert.match(npt, /^NPT PML4E \[0\] 0x0–0x7fffffffff = 0x[0-9a-f]+827 P RW US A →/m);
  });
  it('marks where shadow and guest tables have drifted apart', async () => {
    // the guest redirects 0x200000 and tells nobody; the entry for 0x201000 nobody has used yet
    const guest = `
; @guest start=flat64 memory=16M mmu=shadow shadow=modern
bits 64
  mov rdi, cr3
%rep 2
  mov rdi, [rdi]
  and rdi, -4096
%endrep
  mov rdi, [rdi + 8]
  and rdi, -4096
  mov al, [0x200000]
  mov qword [rdi], 0x300003
edited:
  invlpg [0x200000]
flushed:
  mov al, [0x200000]
  hlt`;
    const lines = async (of: 'guest' | 'shadow', ...more: string[]): Promise<readonly string[]> => {
      const r = await pagewalk(['tables', 'g.asm', '--of', of, ...more], { 'g.asm': guest });
      assert.deepEqual([r.code, r.stderr], [0, '']);
      return r.stdout.split('\n').filter((l) => /PTE \[[01]\] 0x20[01]000–/.test(l));
    };
    const [stale, untouched] = await lines('guest', '--at', 'edited');
    assert.match(stale ?? '', /= 0x300003 P RW → 0x300000 · unsync, stale$/);
    assert.match(untouched ?? '', /→ 0x201000 · missing, unsync$/);
    assert.match((await lines('shadow', '--at', 'edited')).join(), /PTE \[0\].* · unsync, stale$/);
    assert.match((await lines('guest', '--at', 'flushed'))[0] ?? '', /· missing, unsync$/);
    assert.deepEqual(await lines('shadow', '--at', 'flushed'), []);
    assert.match((await lines('shadow')).join(), /PTE \[0\].* · unsync$/);
    assert.match((await lines('shadow', '--shadow', 'classic')).join(), /PTE \[0\] [^·]*$/);
    const json = await pagewalk(['tables', 'g.asm', '--of', 'guest', '--at', 'edited', '--json'], { 'g.asm': guest });
    const { entries } = JSON.parse(json.stdout) as { entries: { level: number; from: string; marks?: string[] }[] };
    assert.deepEqual(entries.find((e) => e.level === 1 && e.from === '0x200000')?.marks, ['unsync', 'stale']);
  });
  it('traces each Step as a line of JSON', async () => {
    const trace = async (mmu: string, golden: string): Promise<readonly string[]> => {
      const r = await pagewalk(['trace', 'g.asm', '--mmu', mmu], { 'g.asm': example('first-touch') });
      assert.equal(r.code, 0);
      assertGolden(`trace/${golden}.jsonl`, r.stdout);
      return r.stdout.trimEnd().split('\n');
    };
    for (const line of [...(await trace('ept', 'first-touch')), ...(await trace('npt', 'first-touch.npt'))]) {
      const step = JSON.parse(line) as Record<string, unknown>;
      assert.deepEqual(Object.keys(step), [
        'instructions',
        'who',
        'mode',
        'function',
        'what',
        'addresses',
        'reads',
        'writes',
        'vmcs',
        'references',
        'cycles',
      ]);
    }
  });
  it('assembles as nasm does', async () => {
    const r = await pagewalk(['asm', 'd/g.asm', '--listing', 'g.lst'], {
      'd/g.asm': '%include "i.inc"\nbits 64\nmov eax, N',
      'd/i.inc': 'N equ 5',
    });
    assert.deepEqual([r.code, r.stderr, r.files['d/g.bin']], [0, '', '\xb8\x05\0\0\0']);
    assert.match(r.files['g.lst'] ?? '', /B805000000/);
    const json = await pagewalk(['asm', 'g.asm', '--json'], { 'g.asm': 'org 0x7c00\nx: hlt' });
    assert.deepEqual(json.files, {});
    const { origin, symbols } = JSON.parse(json.stdout) as Record<string, unknown>;
    assert.deepEqual([origin, symbols], ['0x7c00', { x: '0x7c00' }]);
    const given = await pagewalk(['asm', 'd/g.asm', '-DN=7', '-I', 'lib', '-o', 'o'], {
      'd/g.asm': '; @guest define=M=8 include=../inc\n%include "a.inc"\n%include "b.inc"\ndb N, M',
      'lib/a.inc': 'db 1\n',
      'inc/b.inc': 'db 2\n',
    });
    assert.deepEqual([given.stderr, given.files['o']], ['', '\x01\x02\x07\x08']);
    const wrong = await pagewalk(['asm', 'g.asm', '-D', '7'], { 'g.asm': 'hlt' });
    assert.match(wrong.stderr, /^command line: error PW301: `--define`: `7` is no NAME/);
  });
});
