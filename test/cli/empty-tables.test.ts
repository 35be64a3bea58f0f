/** Empty is not absent: tables without an entry, marks for MMIO, rights where nothing is mapped, and what came of `; @host`. */
import * as assert from 'node:assert/strict';
import { FIND_PTE } from '../vmm/support/find-pte';
import { pagewalk } from './support';

const METHODS = [
  ['--mmu', 'ept'],
  ['--mmu', 'npt'],
  ['--mmu', 'shadow', '--shadow', 'modern'],
  ['--mmu', 'shadow', '--shadow', 'classic'],
  ['--mmu', 'software'],
] as const;
const run = (command: string, source: string, ...args: readonly string[]) =>
  pagewalk([command, 'g.asm', ...args], { 'g.asm': source });

interface Listing {
  readonly exists: boolean;
  readonly why?: string;
  readonly entries: readonly { readonly from: string; readonly target: string; readonly marks?: readonly string[] }[];
}
const tables = async (source: string, ...args: readonly string[]): Promise<Listing> => {
  const r = await run('tables', source, ...args, '--json');
  // an access that no device answers is told on standard error
  assert.deepEqual([r.code, r.stderr.replace(/^.* no device answers there.*\n/gm, '')], [0, '']);
  return JSON.parse(r.stdout) as Listing;
};

describe('pagewalk tables', () => {
  it('says that a set of tables is empty, or that there is none', async () => {
    const source = 'bits 32\nstart: mov eax, cr0\nbtr eax, 31\nmov cr0, eax\nhlt';
    for (const of of ['ept', 'npt', 'shadow']) {
      const own = await run('tables', source, '--of', of, '--mmu', of, '--at', 'start');
      assert.match(own.stdout, /(empty: no present entry yet; KVM fills them as accesses fault\n$)| = 0x/, of);
      const listing = await tables(source, '--of', of, '--mmu', of, '--at', 'start');
      assert.equal(listing.exists, true, of);
      const other = of === 'shadow' ? 'ept' : 'shadow';
      assert.match(
        (await run('tables', source, '--of', of, '--mmu', other)).stdout,
        new RegExp(`^there are no such tables: mmu=${other} has no `),
      );
      assert.equal((await tables(source, '--of', of, '--mmu', 'software')).exists, false);
    }
    assert.match(
      (await run('tables', source, '--of', 'ept', '--at', 'start')).stdout,
      /^the EPT is empty: no present entry yet/,
    );
    assert.equal(
      (await run('tables', source, '--of', 'guest')).stdout,
      'there are no such tables: the guest has paging off\n',
    );
  });
  it('lists what marks MMIO', async () => {
    const source = `bits 64${FIND_PTE} mov eax, 0x90000003\n mov [rdi], rax\n mov eax, [rcx]\n hlt`;
    for (const of of ['ept', 'npt', 'shadow']) {
      const { entries } = await tables(source, '--of', of, '--mmu', of);
      const marked = entries.filter((e) => e.marks?.includes('mmio'));
      assert.deepEqual(
        marked.map((e) => [e.from, e.target]),
        [[of === 'shadow' ? '0x200000' : '0x90000000', '0x90000000']],
        of,
      );
      assert.match((await run('tables', source, '--of', of, '--mmu', of)).stdout, /→ 0x90000000 · mmio\n/);
    }
  });
});

describe('pagewalk translate', () => {
  it('gives no right where the entry of the second level, of the shadow or of the host is absent', async () => {
    const source = `bits 64${FIND_PTE} mov rax, [rdi]\n hlt`;
    for (const method of METHODS) {
      const r = await run('translate', source, '--address', '0x200000', '--json', ...method);
      const { ok, rights } = JSON.parse(r.stdout) as { ok: boolean; rights: unknown };
      assert.deepEqual([ok, rights], [false, { r: false, w: false, x: false, user: false }], method.join(' '));
      const touched = source.replace('mov rax, [rdi]', 'mov [rcx], al');
      const there = await run('translate', touched, '--address', '0x200000', '--json', ...method);
      const now = JSON.parse(there.stdout) as { ok: boolean; rights: { r: boolean; w: boolean } };
      assert.deepEqual([now.ok, now.rights.r, now.rights.w], [true, true, true], method.join(' '));
    }
  });
});

describe('`; @host`', () => {
  const SOURCE = `bits 64
  mov rbx, 0x400000
  mov dword [rbx], 1
; @host split 0x400000
again: mov eax, [rbx]
; @host swap-out 0x7f0000000000
  hlt`;
  it('its outcome and its refusal are printed and in the report', async () => {
    for (const method of METHODS) {
      const args = ['--host-pages', 'thp', ...method];
      const text = await run('run', SOURCE, ...args);
      assert.match(text.stderr, /^g\.asm:4: @host split 0x400000: (?!cannot be done)\S/m, method.join(' '));
      assert.match(
        text.stderr,
        /^g\.asm:6: @host swap-out 0x7f0000000000: cannot be done: GPA 0x7f0000000000 is in no mem(slot|ory region)$/m,
      );
      const report = await run('run', SOURCE, '--json', ...args);
      assert.equal(report.stderr, '');
      const { host } = JSON.parse(report.stdout) as { host: readonly Record<string, unknown>[] };
      assert.deepEqual(
        host.map((h) => [h['line'], h['text'], h['ok']]),
        [
          [4, 'split 0x400000', true],
          [6, 'swap-out 0x7f0000000000', false],
        ],
      );
      const translate = await run('translate', SOURCE, '--address', '0x400000', ...args);
      assert.match(translate.stderr, /^g\.asm:4: @host split/m);
    }
  });
});
