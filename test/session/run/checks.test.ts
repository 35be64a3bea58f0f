import * as assert from 'node:assert/strict';
import { formatDiagnostic } from '../../../src/base/diagnostic';
import { prepareProgram } from '../../../src/session/launch/program';
import { checkOptions } from '../../../src/session/launch/options';
import { Session } from '../../../src/session/session';
import { open, wait } from '../scene';

/** Runs to the end; each assertion as `text: left right` with ok, failed or unreached before it, then the log's lines. */
function check(source: string, expected: readonly string[], options: Readonly<Record<string, string>> = {}): void {
  const s = open(source, options);
  s.run.continue_();
  assert.equal(wait(s).kind, 'ended');
  const asserts = s.checks.results.map((a) =>
    [a.ok ? 'ok' : a.reached ? 'failed' : 'unreached', `${a.text}:`, a.left, a.right].filter((t) => t !== '').join(' '),
  );
  const log = s.output
    .take()
    .flatMap((o) => (o.channel === 'log' ? [`${o.location?.line ?? 0} ${o.text.trim()}`] : []));
  assert.deepEqual([...asserts, ...log.filter((line) => !line.includes('@assert'))], expected);
}

const METHODS = ['ept', 'npt', 'shadow', 'software'];

describe('checks of a guest file', () => {
  const sides = 'bits 64\n mov rax, 1\n; @assert rax == 2\n nop\n; @assert rax == 1 && rcx == 0\n; @assert rax\n hlt\n';
  it('are asked before the next instruction, and show both sides', () => {
    for (const mmu of METHODS)
      check(sides, ['failed rax == 2: 0x1 0x2', 'ok rax == 1 && rcx == 0: 0x0 0x0', 'ok rax: 0x1'], { mmu });
  });

  it('keep the first failure of a loop, and tell of lines that are never reached', () => {
    const loop =
      'bits 64\n mov ecx, 3\nagain:\n; @assert rcx != 2\n dec ecx\n jnz again\n hlt\n; @assert rcx == 0\n nop\n';
    check(loop, ['failed rcx != 2: 0x2 0x2', 'unreached rcx == 0:']);
  });

  it('ask of the run, the tables and the TLB', () => {
    const source = `bits 64
 nop
; @assert references == 24
; @assert exits == exits.EPT_VIOLATION
; @assert tlb(0x5000)
; @assert walk(0x5000).gpa == 0x5000 && !walk(0x5000).w
; @assert walk(0x804c000).gpa == 0xc0000
 mov eax, [0x5000]
; @assert tlb(0x5000) && !tlb(0x5000).stale && walk(0x5000).references == 24
 and dword [TABLES], ~1
 hlt
TABLES equ 0x6000
; @assert exits.HLT == 1 at end
; @assert instructions == 4 at end
`;
    check(source, [
      'ok references == 24: 0x18 0x18',
      'ok exits == exits.EPT_VIOLATION: 0x5 0x5',
      'failed tlb(0x5000): false',
      'ok walk(0x5000).gpa == 0x5000 && !walk(0x5000).w: true',
      'failed walk(0x804c000).gpa == 0xc0000: 0x804c000 has no gpa now: not present',
      'ok tlb(0x5000) && !tlb(0x5000).stale && walk(0x5000).references == 24: 0x18 0x18',
      'ok exits.HLT == 1 at end: 0x1 0x1',
      'ok instructions == 4 at end: 0x4 0x4',
    ]);
  });

  it('log, and break where nobody stands by', () => {
    const source =
      'bits 64\n mov eax, 7\n; @log "eax {eax}, {eax, d}"\n; @break if rax == 7\n; @break if rax == 8\n; @break exit HLT\n hlt\n; @log done at end\n';
    check(source, [
      '3 eax 0x7, 7',
      '4 @break if rax == 7: Before the instruction at 0x100005.',
      '6 @break exit HLT: reason 0xc, qualification 0x0, count 0x6, instructions 0x1, length 0x1',
      '8 done',
    ]);
  });

  it('stop a debugger: at the failed check with both sides, at @break, and at the end', () => {
    const s = open(
      'bits 64\n mov eax, 1\n; @assert rax == 2\n nop\n; @break\n nop\n; @break exit HLT\n hlt\n; @assert rax == 3 at end\n',
    );
    s.run.stopAtDirectives(true);
    const stops: string[] = [];
    for (;;) {
      s.run.continue_();
      const r = wait(s);
      if (r.kind === 'ended') break;
      if (r.kind === 'stopped') stops.push(`${r.stop.kind} ${r.stop.final ? 'final ' : ''}${r.stop.why}`);
    }
    assert.match(stops[0] ?? '', /^assert @assert rax == 2 does not hold: the left side is 0x1, the right 0x2/);
    assert.match(stops[1] ?? '', /^breakpoint Before the instruction at 0x100006/);
    assert.match(stops[2] ?? '', /^function-breakpoint /);
    assert.match(
      stops[3] ?? '',
      /^assert final @assert rax == 3 at end does not hold: the left side is 0x1, the right 0x3/,
    );
    assert.equal(stops.length, 4);
  });

  it('are wrong where they say nothing that can be asked, and the file says where', () => {
    const wrong = (source: string): string[] => {
      const program = prepareProgram({
        file: 'g.asm',
        bytes: new TextEncoder().encode(`bits 64\n${source}\n hlt\n`),
        options: checkOptions([], 'command-line', 'x').options,
      });
      const made = program.ok ? Session.create(program.value) : program;
      return made.ok ? [] : made.error.map(formatDiagnostic);
    };
    const [known, functions] = ['known here are registers, flags, labels', 'there are walk and tlb'];
    assert.deepEqual(wrong('; @assert raxx == 2'), [
      'g.asm:2:11: error PW320: `raxx` is not known; did you mean `rax`?',
    ]);
    assert.deepEqual(wrong('; @assert exits.NONE == 2'), [
      `g.asm:2:11: error PW320: \`exits.NONE\` is not known; ${known}`,
    ]);
    assert.deepEqual(wrong('; @assert wlak(5)'), [
      `g.asm:2:11: error PW320: there is no function \`wlak\`; ${functions}`,
    ]);
    assert.match(wrong('; @assert walk(5).gap')[0] ?? '', /walk\(…\) has no `gap`; there are ok, gpa, hva, hpa/);
    assert.match(wrong('; @log "{nope}"')[0] ?? '', /`nope` is not known/);
    assert.match(wrong('; @break exit NOPE')[0] ?? '', /there is no VM exit `NOPE`/);
    assert.match(wrong('; @break never')[0] ?? '', /`@break` has no kind `never`/);
    assert.match(wrong('; @break if gpa == 5')[0] ?? '', /`gpa` is not known/);
    assert.match(wrong(' hlt\n section .x\n; @assert 1\n%if 0')[0] ?? '', /no %endif/);
    const after = prepareProgram({
      file: 'g.asm',
      bytes: new TextEncoder().encode('bits 64\n hlt\n; @assert rax == 1\n'),
      options: new Map(),
    });
    assert.match(
      after.ok ? '' : (after.error[0]?.message ?? ''),
      /no instruction on or after this line; write `at end`/,
    );
  });

  it('change nothing of the guest', () => {
    const plain = [
      ...['bits 64', ' mov ecx, 20', ' mov rbx, 0x200000', 'again:', ' mov [rbx], rcx', ' add rbx, 4096', ' dec ecx'],
      ...[' jnz again', ' mov rax, cr3', ' mov cr3, rax', ' mov eax, [0x201000]', ' out 0xf4, al', ' hlt', ''],
    ];
    const checks =
      '; @assert walk(rbx).ok\n; @assert tlb(rbx).stale\n; @log "{rbx} {qword [rbx]} {walk(rbx).hpa}"\n; @break if rcx == 5\n';
    for (const mmu of METHODS) {
      const [bare, checked] = [plain, plain.map((line) => (line.startsWith(' ') ? checks + line : line))].map(
        (lines) => {
          const s = open(`${lines.join('\n')}; @break exit *\n; @break guest-pf\n`, { mmu });
          s.run.continue_();
          assert.equal(wait(s).kind, 'ended');
          const { asserts: _, ...report } = s.report({ serial: '', debugcon: '' });
          return { report, tlb: s.tables.tlb(), pages: s.tables.pagemap(), statistics: s.views.statistics() };
        },
      );
      assert.deepEqual(checked, bare);
    }
  });
});
