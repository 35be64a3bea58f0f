/**
 * What each panel is shown and photographed with: real runs of guests. test/webview/recorded/<name>.json holds the messages;
 * UPDATE_GOLDEN=1 records them anew.
 */
import type { Cursor, PanelCommand, PanelId } from '../../src/protocol/panels';
import { DRIFT_GUEST } from './drift-guest';
import type { Guest } from './stand-alone/live';
import type { PanelPage } from './stand-alone/page';

export interface RecordingSpec {
  /** File name, and the screenshots' prefix: `<panel>-<what is seen>`. */
  readonly name: string;
  readonly panel: PanelId;
  readonly guest: Guest;
  /** Given to the panel as it opens. */
  readonly command?: PanelCommand;
  readonly cursor?: Cursor;
  /** Goes on from the guest's place, at whose stop the panel is shown: run control of a live guest. */
  readonly then?: readonly ('next' | 'stepIn' | { readonly runTo: string })[];
  /** What a person does before the picture is taken. */
  readonly play?: (page: PanelPage) => Promise<void>;
}

const worked: Guest = { example: 'worked-example.asm', at: 'access' };

/** One page is remapped, and one taken away, without INVLPG. */
const staleSource = `bits 64
  mov r12, cr3
  mov r14, [r12]
  and r14, -4096
  mov r14, [r14]
  and r14, -4096
  mov r14, [r14+8]
  and r14, -4096
  mov qword [0x200000], 1
  mov rax, [0x201000]
  mov rax, [0x202000]
touched:
  mov qword [r14], 0x300003
  mov qword [r14+8], 0
edited:
  invlpg [0x200000]
  invlpg [0x201000]
flushed:
  hlt
`;

export const STALE: Guest = { source: staleSource, at: 'touched' };

/** The mail's page, another one in swap, a logged slot: every condition of a page once. */
export const MAPPED: Guest = {
  source: `; @guest start=flat64 memory=16M slot=0x0+8M slot=0x800000+6M slot=0x2000000+1M
bits 64
  mov rdi, 0x200000
  mov ecx, 12
touch:
  mov [rdi], rdi
  add rdi, 4096
  loop touch
  mov rax, [0x900000]
; @host swap-out 0x202000
; @host swap-out 0x203000
; @host memslot log 1 on
logged:
  mov qword [0x900000], 1
  mov qword [0x901000], 1
done:
  hlt
`,
  at: 'done',
};

/** Exits of several kinds: the first touch of pages, CPUID, a port, device memory; computing between them. */
export const EXITING: Guest = {
  source: `; @guest start=flat64 memory=16M slot=0x0+0x300000 slot=0x400000+0xc00000
bits 64
start:  mov     r12d, 24
        mov     rdi, 0x200000
again:  mov     [rdi], rdi              ; touches a page: EPT violation
        add     rdi, 0x1000
        call    ask
        mov     ecx, 3000
work:   dec     ecx
        jnz     work
        test    r12d, 3
        jnz     .quiet
        mov     dx, 0x3f8
        mov     al, '.'
        out     dx, al                  ; serial port
        mov     eax, 0x300000
        mov     [rax], r12d             ; device memory: no memslot
.quiet: dec     r12d
        jnz     again
done:   hlt
ask:    xor     eax, eax
        cpuid
        ret
`,
};

/** Very many exits of one kind, with two others strewn in. */
export const LONG: Guest = {
  source: `; @guest start=flat64 memory=16M
bits 64
start:  mov     esi, 6000
again:  xor     eax, eax
        cpuid
        test    esi, 0x3ff
        jnz     next
        mov     ecx, 200000
work:   dec     ecx
        jnz     work
next:   test    esi, 7
        jnz     more
        mov     al, 'x'
        out     0xe9, al
more:   dec     esi
        jnz     again
done:   hlt
`,
};

export const RECORDINGS: readonly RecordingSpec[] = [
  {
    name: 'page-tables-drift',
    panel: 'page-tables',
    guest: { source: DRIFT_GUEST, at: 'before' },
    then: [{ runTo: 'edited' }],
    play: async ({ page, settled }) => {
      await page.getByLabel('Tables beside').selectOption('shadow');
      await settled();
      await page.getByLabel('Address or symbol').fill('rbx');
      await page.keyboard.press('Enter');
      await settled();
      await page.locator('.pane.guest .row[aria-selected="true"]').click();
    },
  },
  {
    name: 'page-tables-guest',
    panel: 'page-tables',
    guest: worked,
    command: { kind: 'reveal-entry', set: 'guest', address: '0x7f8a3b2a0100' },
  },
  {
    name: 'page-tables-guest-ept',
    panel: 'page-tables',
    guest: { ...worked, at: 'again' },
    play: async ({ page, settled }) => {
      await page.getByLabel('Tables beside').selectOption('ept');
      await page.getByLabel('Address or symbol').fill('rbx');
      await page.keyboard.press('Enter');
      await settled();
      await page.locator('.pane.guest .row[aria-selected="true"]').click();
    },
  },
  {
    name: 'translation-worked-example',
    panel: 'translation',
    guest: worked,
    command: { kind: 'translate', expression: 'rbx', space: 'gva', access: 'r' },
  },
  {
    name: 'translation-unmapped',
    panel: 'translation',
    guest: worked,
    command: { kind: 'translate', expression: '0x7f8a3b2a1000', space: 'gva', access: 'w' },
  },
  {
    name: 'translation-npt',
    panel: 'translation',
    guest: { ...worked, options: { mmu: 'npt' } },
    command: { kind: 'translate', expression: 'rbx', space: 'gva', access: 'w' },
    play: async ({ page }) => {
      if ((await page.locator('.nested[open]').count()) === 0) await page.locator('.nested > summary').first().click();
    },
  },
  {
    name: 'translation-caches',
    panel: 'translation',
    guest: { ...STALE, at: 'edited', options: { 'walk-caches': 'on' } },
    command: { kind: 'translate', expression: '0x203000', space: 'gva', access: 'r' },
    play: async ({ page }) => {
      await page.locator('h1 .tool').click();
      for (const stage of ['guest', 'ept', 'memslot', 'host'])
        await page.locator(`.section.${stage} > summary`).click();
      await page.getByRole('slider').fill('22');
      await page.locator('.detail').scrollIntoViewIfNeeded();
    },
  },
  { name: 'statistics-worked-example', panel: 'statistics', guest: { ...worked, at: 'again' } },
  {
    name: 'tlb-stale',
    panel: 'tlb',
    guest: { ...STALE, options: { 'walk-caches': 'on' } },
    then: [{ runTo: 'edited' }],
  },
  { name: 'tlb-small', panel: 'tlb', guest: { ...worked, at: 'again', options: { tlb: '32,4' } } },
  {
    name: 'vmcs-exit',
    panel: 'vmcs',
    guest: { example: 'hello.asm', at: 'exit:IO_INSTRUCTION' },
    then: ['stepIn', { runTo: 'exit:IO_INSTRUCTION' }],
    play: async ({ page }) => page.locator('.row:not(.area)', { hasText: 'EXIT_QUALIFICATION' }).click(),
  },
  {
    name: 'memoryMap-conditions',
    panel: 'memoryMap',
    guest: MAPPED,
    play: async ({ page }) => page.locator('.row.run', { hasText: 'in swap' }).first().click(),
  },
  { name: 'memoryMap-mail', panel: 'memoryMap', guest: { example: 'slot-and-frame.asm', at: 'moved' } },
  { name: 'exits-kinds', panel: 'exits', guest: { ...EXITING, at: 'done' } },
  {
    name: 'exits-steps',
    panel: 'exits',
    guest: { ...EXITING, at: 'done' },
    play: async ({ page }) => {
      await page.locator('.bars button', { hasText: 'EPT_MISCONFIG' }).click();
      await page.locator('.row', { hasText: 'EPT_MISCONFIG' }).nth(2).click();
      await page.locator('.selected h2', { hasText: 'EPT_MISCONFIG' }).waitFor();
      await page.getByRole('button', { name: 'Zoom to the selected exit' }).click();
    },
  },
  {
    name: 'exits-long',
    panel: 'exits',
    guest: { ...LONG, at: 'done' },
    play: async ({ page }) => {
      await page.locator('.bars button', { hasText: 'IO_INSTRUCTION' }).first().click();
      await page.getByRole('button', { name: 'Call graph' }).click();
    },
  },
  {
    name: 'compare-worked-example',
    panel: 'compare',
    guest: worked,
    play: async ({ page }) => {
      const again = page.getByRole('button', { name: 'Compare' });
      if (await again.isEnabled()) await again.click();
      await page.locator('.verdict').waitFor();
    },
  },
  {
    name: 'vmcs-vmcb',
    panel: 'vmcs',
    guest: { example: 'hello.asm', at: 'exit:IOIO', options: { mmu: 'npt' } },
    play: async ({ page }) => page.locator('.row', { hasText: 'EXITINFO1' }).first().click(),
  },
  { name: 'tlb-npt', panel: 'tlb', guest: { ...STALE, at: 'edited', options: { mmu: 'npt' } } },
];
