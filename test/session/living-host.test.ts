/** What a person makes the host do: commands of the Debug Console, and `; @host` at a line of the guest. */
import * as assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { prepareProgram } from '../../src/session/launch/program';
import type { Session } from '../../src/session/session';
import { fingerprint, next, open, rows, value, wait } from './scene';

const SLOT_AND_FRAME = readFileSync('examples/slot-and-frame.asm', 'utf8');

/** GPA 0xa000's HVA and HPA by software, and the HPA that the EPT entry has, if there is one. */
function chain(s: Session): readonly (bigint | string | undefined)[] {
  const { chain: c } = s.translate({ address: 0xa000n, space: 'gpa' }) as {
    chain: { ok: boolean; hva?: bigint; hpa?: bigint; failure?: { event?: string } };
  };
  return [c.hva, c.hpa, c.ok ? 'mapped' : c.failure?.event];
}
const logs = (s: Session): string =>
  s.output
    .take()
    .filter((o) => o.channel === 'log')
    .map((o) => `${o.location?.line ?? 0}: ${o.text}`)
    .join('');

describe('GPA 0xa000, HVA 0xb000, HPA 0xc000', () => {
  it('moves on the host, then gets other memory: translate shows each step and the violations between', () => {
    const s = open(SLOT_AND_FRAME);
    s.breakpoints.setFunctions(['first', 'moved', 'again', 'remapped', 'done'].map((name) => ({ name })));
    const stop = (): string => {
      s.run.continue_();
      return next(s);
    };
    assert.deepEqual(chain(s), [0xb000n, undefined, 'EPT_VIOLATION'], 'nothing is there before the first touch');
    assert.equal(stop(), 'function-breakpoint first');
    assert.deepEqual(chain(s), [0xb000n, 0xc000n, 'mapped']);
    assert.equal(stop(), 'function-breakpoint moved');
    assert.deepEqual(
      chain(s),
      [0xb000n, 0xd000n, 'EPT_VIOLATION'],
      'the host has moved the page, and KVM has dropped the entry',
    );
    assert.match(logs(s), /^\d+: @host migrate 0xa000 0xd000: HVA 0xb000 moved from HPA 0xc000 to HPA 0xd000\n$/);
    assert.equal(stop(), 'function-breakpoint again');
    assert.deepEqual(chain(s), [0xb000n, 0xd000n, 'mapped']);
    assert.equal(stop(), 'function-breakpoint remapped');
    assert.deepEqual(
      chain(s),
      [0xe000n, undefined, 'EPT_VIOLATION'],
      'the slot leads to memory that nobody has touched',
    );
    assert.match(logs(s), /@host memslot remap 0 0xe000: slot 0: GPA 0xa000 is HVA 0xe000 now; it was HVA 0xb000/);
    assert.equal(stop(), 'function-breakpoint done');
    assert.deepEqual(chain(s), [0xe000n, 0xf000n, 'mapped']);
    assert.deepEqual(
      ['eax', 'ebx', 'ecx'].map((r) => value(s, r)),
      ['0xcafe = 51966', '0xcafe = 51966', '0x0'],
    );
    assert.equal(value(s, 'xp/1xw gpa:0xa000'), '0xa000: 0x00000000');
    assert.deepEqual(
      [...s.memory.read({ space: 'hva', value: 0xb000n }, 2).bytes],
      [0xfe, 0xca],
      'the old memory is the VMM’s still',
    );
    assert.equal(stop(), 'ended halt 0');
  });

  it('goes the same way stepped as run', () => {
    const run = open(SLOT_AND_FRAME);
    run.run.continue_();
    wait(run);
    const stepped = open(SLOT_AND_FRAME);
    for (let i = 0; i < 50 && stepped.run.ended === undefined; i++) {
      stepped.run.stepOver('instruction');
      wait(stepped);
    }
    assert.deepEqual(fingerprint(stepped), fingerprint(run));
    assert.equal(logs(stepped), logs(run));
  });
});

describe('host commands in the Debug Console', () => {
  const GUEST = 'bits 64\nmov qword [data], 7\nmark: mov rax, [data]\nhlt\nalign 4096\ndata: dq 0\n';
  const atMark = (options: Readonly<Record<string, string>> = {}): Session => {
    const s = open(GUEST, options);
    s.breakpoints.setFunctions([{ name: 'mark' }]);
    s.run.continue_();
    assert.equal(next(s), 'function-breakpoint mark');
    return s;
  };

  it('tell their steps and the outcome, and what they change is seen everywhere', () => {
    const s = atMark();
    const text = value(s, 'host swap-out data');
    assert.match(
      text,
      /kvm {2}kvm_mmu_notifier_invalidate_range_start: HVA 0x7f5a00101000-0x7f5a00102000 is GPA 0x101000-0x102000 of slot 0: takes 1 entry away/,
    );
    assert.match(text, /HVA 0x7f5a00101000 is in swap slot 0; HPA 0x\w+ is free$/);
    assert.equal(value(s, 'qword [data]'), '0x7', 'memory reads as what it holds');
    assert.equal(value(s, 'gpa2hpa 0x101000'), 'no host page yet, or no memslot');
    const { chain: c } = s.translate({ address: 0x101000n, space: 'gpa' }) as {
      chain: { failure?: { event?: string } };
    };
    assert.equal(c.failure?.event, 'EPT_VIOLATION');
    s.run.continue_();
    assert.equal(next(s), 'ended halt 0');
    assert.equal(value(s, 'rax'), '0x7');
  });

  it('log dirty pages, which the memslots view shows', () => {
    const s = atMark();
    assert.match(value(s, 'memslot log 0 on'), /dirty pages are logged$/);
    assert.ok(rows(s, 'memslots/0').includes('flags = KVM_MEM_LOG_DIRTY_PAGES'));
    s.run.continue_();
    next(s);
    assert.match(value(s, 'memslot dirty 0'), /no page was written$|written: GPA/);
    assert.match(value(s, 'memslot log 0 off'), /no longer logged$/);
  });

  it('refuse what cannot be, and say how it is written', () => {
    const s = atMark();
    const before = fingerprint(s);
    assert.match(value(s, 'host swap-uot 0x5000'), /PW321 there is no `host swap-uot`; did you mean `?swap-out/);
    assert.match(value(s, 'host swap-out'), /host swap-out ADDRESS/);
    assert.match(value(s, 'host migrate 0x5000'), /no page is mapped at HVA 0x7f5a00005000/);
    assert.match(value(s, 'host collapse data'), /host-pages=thp/);
    assert.match(value(s, 'host swap-out gpa:0xfebf0000'), /in no memslot/);
    assert.match(value(s, 'host swap-out nowhere'), /no label `nowhere`/);
    assert.match(value(s, 'memslot move 7 0x1000'), /no memory slot 7/);
    assert.match(value(s, 'memslot add 0 0x8000000 1M'), /exists already/);
    const watched = s.console.evaluate('host swap-out data', { acts: false });
    assert.ok(!watched.ok && /Debug Console alone/.test(watched.error[0]?.message ?? ''));
    assert.deepEqual(fingerprint(s), before);
    assert.match(value(s, 'memslot move 0 0x123'), /not page aligned .EINVAL/, 'KVM itself refuses this one');
  });

  it('show in the pagemap: GPA, HVA, and a frame or a place in swap', () => {
    const s = atMark();
    const row = (): string | undefined =>
      value(s, 'info pagemap')
        .split('\n')
        .find((l) => l.startsWith('GPA 0x101000 '));
    assert.match(row() ?? '', /^GPA 0x101000 HVA 0x7f5a00101000 HPA 0x1\w{8} 4 KiB slot 0$/);
    value(s, 'host swap-out data');
    assert.equal(row(), 'GPA 0x101000 HVA 0x7f5a00101000 swap slot 0 4 KiB slot 0');
  });

  it('complete, and stand in the help', () => {
    const s = open(GUEST);
    assert.deepEqual(s.console.complete('host sw'), ['swap-out']);
    assert.match(value(s, 'help'), /memslot remap ID HVA/);
  });
});

describe('`; @host` in a guest file', () => {
  const errors = (source: string): string => {
    const p = prepareProgram({ file: 'g.asm', bytes: new TextEncoder().encode(source), options: new Map() });
    return p.ok ? '' : p.error.map((d) => `${d.code} ${d.span?.start.line ?? 0} ${d.message}`).join('\n');
  };
  it('is checked when the file is read', () => {
    assert.match(errors('bits 64\n; @host swap-aut 0x5000\nhlt\n'), /PW301 2 .*swap-out/);
    assert.match(errors('bits 64\n; @host balloon 0x5000 many\nhlt\n'), /host balloon ADDRESS \[SIZE\]/);
    assert.match(errors('bits 64\nhlt\n; @host swap-out 0x5000\n'), /PW329 3 .*no instruction/);
    assert.equal(errors('bits 64\n; @host memslot log 0 on\nhlt\n'), '');
  });

  it('happens each time that the guest gets there, and says in the log what cannot be done', () => {
    const s = open(
      'bits 64\nmov ecx, 3\nagain: mov byte [0x200000], 1\n; @host swap-out 0x200000\nnop\n; @host collapse 0x200000\ndec ecx\njnz again\nhlt\n',
    );
    s.run.continue_();
    assert.equal(next(s), 'ended halt 0');
    const text = logs(s);
    assert.equal(text.match(/in swap slot 0/g)?.length, 3);
    assert.equal(text.match(/cannot be done: .*host-pages=thp/g)?.length, 3);
  });
});
