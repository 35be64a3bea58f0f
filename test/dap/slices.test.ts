/** A slice of the run loop is short whatever the guest does, or pause would not be heard: its budget bounds iterations and exits, too. */
import * as assert from 'node:assert/strict';
import { prepareProgram } from '../../src/session/launch/program';
import { Session } from '../../src/session/session';

const BUDGET = 20_000;

function running(source: string): Session {
  const program = prepareProgram({ file: 'guest.asm', bytes: new TextEncoder().encode(source), options: new Map() });
  assert.ok(program.ok);
  const made = Session.create(program.value);
  assert.ok(made.ok);
  made.value.run.continue_();
  return made.value;
}

/** The value of an expression after one slice, from which the guest must not have come back by itself. */
function after(source: string, expression: string): number {
  const session = running(source);
  assert.equal(session.run.advance(BUDGET).kind, 'running');
  session.run.pause();
  assert.equal(session.run.advance(BUDGET).kind, 'stopped');
  const answer = session.console.evaluate(expression);
  assert.ok(answer.ok);
  return Number(answer.value.value);
}

describe('a slice of a run', () => {
  it('ends within one repeated instruction', () => {
    const source =
      '; @guest start=flat64 memory=16M\nbits 64\nstart:\n        mov     ecx, 0x800000\n        mov     esi, 0x100000\n        rep lodsb\n        hlt\n';
    const done = 0x800000 - after(source, 'ecx');
    // between two exits (one a page here) the CPU counts every iteration
    assert.ok(done > 1000 && done < 21 * 4096, `${done} iterations`);
  });
  it('ends after a few exits', () => {
    const count = after(
      'bits 64\nstart:\n        xor     esi, esi\nagain:  inc     esi\n        xor     eax, eax\n        cpuid\n        jmp     again\n',
      'esi',
    );
    assert.ok(count > 5 && count <= 25, `${count} exits`);
  });
  it('ends after a few accesses to a hole', () => {
    const source = `; @guest start=flat64
bits 64
start:
        mov     rax, cr3
        mov     rax, [rax]
        and     rax, ~0xfff
        mov     qword [rax + 8], 0x40000083
        mov     ebx, 0x40000000
        xor     esi, esi
again:
        inc     esi
        mov     eax, [rbx]
        jmp     again
`;
    const count = after(source, 'esi');
    assert.ok(count > 2 && count <= 25, `${count} accesses`);
  });
  it('ends while stepping out of what never returns', () => {
    const session = running('bits 64\nstart:\n        inc     esi\n        jmp     start\n');
    session.run.stepOut();
    assert.equal(session.run.advance(100).kind, 'running');
    session.run.pause();
    const result = session.run.advance(100);
    assert.ok(result.kind === 'stopped' && result.stop.kind === 'pause');
  });
});
