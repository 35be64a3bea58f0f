/** Guests of random bytes, looked at from every side while they run: nothing throws, and every run ends. */
import * as assert from 'node:assert/strict';
import { prepareProgram } from '../../src/session/launch/program';
import { checkOptions } from '../../src/session/launch/options';
import { Session } from '../../src/session/session';
import { VIEW_ROOTS } from '../../src/session/types';

const GUESTS = Number(process.env['PAGEWALK_HOSTILE'] ?? '40');

/** A linear congruential generator (Numerical Recipes' constants), so that a failure can be repeated. */
function* bytesFrom(seed: number): Generator<number> {
  for (let x = seed >>> 0; ; x = (Math.imul(x, 1664525) + 1013904223) >>> 0) yield x >>> 24;
}

function look(s: Session, at: bigint): void {
  for (const { path } of VIEW_ROOTS) {
    const page = s.views.page(path, 0, 50);
    assert.ok(page.ok, path);
    for (const node of page.value.nodes.slice(0, 5)) if (node.children > 0) s.views.page(node.path, 0, 5);
  }
  for (const space of ['gva', 'gpa', 'hva', 'hpa'] as const) s.translate({ address: at, space, access: 'w' });
  for (const text of ['info registers', 'info mem', 'info tlb', 'x/4xg rsp', 'x/4i rip', '[rbx+rcx*4]'])
    s.console.evaluate(text);
  s.stack.frames();
  s.disassembly.around(at, -4, 8);
  s.console.hover('mov rax, [rsp+8]', 12);
}

describe('hostile guests', () => {
  for (const start of ['flat16', 'flat32', 'flat64']) {
    it(start, () => {
      const options = checkOptions(
        Object.entries({ start, memory: '2M', 'max-instructions': '3000' }).map(([key, value]) => ({ key, value })),
        'command-line',
        'test',
      ).options;
      for (let seed = 1; seed <= GUESTS; seed++) {
        const source = bytesFrom(seed * 7919);
        const bytes = Uint8Array.from({ length: 512 }, () => source.next().value as number);
        const program = prepareProgram({ file: 'noise.bin', bytes, options });
        assert.ok(program.ok);
        const made = Session.create(program.value);
        assert.ok(made.ok);
        const s = made.value;
        s.breakpoints.setFilters([{ filter: 'vm-exit', condition: 'count % 5 == 0' }, { filter: 'guest-pf' }]);
        let ended = false;
        for (let turn = 0; turn < 500 && !ended; turn++) {
          if (turn % 3 === 0) s.run.continue_();
          else if (turn % 3 === 1) s.run.stepIn('instruction');
          else s.run.stepOver('line');
          const r = s.run.advance(500);
          if (r.kind === 'running') {
            s.run.pause();
            s.run.advance(500);
          }
          if (turn % 50 === 0) look(s, s.guest.linearRip);
          ended = r.kind === 'ended';
        }
        s.breakpoints.setFilters([]);
        for (let turn = 0; turn < 100 && !ended; turn++) {
          s.run.continue_();
          ended = s.run.advance(5000).kind === 'ended';
        }
        assert.ok(ended, `seed ${seed}`);
        look(s, 0x7c00n);
        s.report({ serial: '', debugcon: '' });
      }
    }).timeout(300_000);
  }
});
