/**
 * kvm-unit-tests (x86), unmodified, built outside the project, from the folder that PAGEWALK_KVM_UNIT_TESTS names, under every method of memory virtualization. An image for
 * 32-bit mode has `i386-` before its name. Every line that an image prints must be PASS, or SKIP for a feature that is not offered. What takes minutes needs
 * PAGEWALK_LONG=1 too: `access_test` runs 1.4 G instructions (more with 5-level paging).
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { devicesWith } from '../../src/vmm/devices/table';
import type { MachineOptions } from '../../src/vmm/options';
import { skipBecause } from '../support/needs';
import { runImage } from './kvm-unit-tests-run';

const FOLDER = process.env['PAGEWALK_KVM_UNIT_TESTS'];
const LONG = process.env['PAGEWALK_LONG'] !== undefined;
const LA57 = 'pagewalk-x64-la57';

const METHODS = {
  ept: { title: 'EPT', machine: { mmu: 'ept' } },
  npt: { title: 'NPT', machine: { mmu: 'npt', cpu: 'pagewalk-svm' } },
  classic: { title: 'shadow paging, classic', machine: { mmu: 'shadow', shadow: 'classic', hostBase: 0x4000_0000n } },
  modern: { title: 'shadow paging, modern', machine: { mmu: 'shadow', shadow: 'modern', hostBase: 0x4000_0000n } },
  software: { title: 'software', machine: { mmu: 'software' } },
} as const satisfies Readonly<Record<string, { readonly title: string; readonly machine: Partial<MachineOptions> }>>;
type Method = keyof typeof METHODS;
const ALL = Object.keys(METHODS) as Method[];
const SHADOW: readonly Method[] = ['classic', 'modern'];

interface Expected {
  readonly image: string;
  /** Another processor than the method's own. */
  readonly cpu?: string;
  /** How many tests its SUMMARY counts; rmap_chain and taskswitch print none. */
  readonly tests: number | undefined;
  /** Another number under a method. */
  readonly under?: Readonly<Partial<Record<Method, number>>>;
  /** Devices that the image wants besides those of every machine. */
  readonly devices?: readonly string[];
  /** It halts for good after so many PASS, and why. */
  readonly halts?: { readonly passed: number; readonly because: string };
  /** Those among them that are skipped, and why that is right. */
  readonly skipped?: { readonly lines: readonly RegExp[]; readonly because: string };
  /** Under which methods it takes minutes. */
  readonly long?: readonly Method[];
  /** Under which methods it is not run, and why. */
  readonly not?: { readonly methods: readonly Method[]; readonly because: string };
}

const NO_FEP = /Force emulation prefix not enabled/;
const NO_LA57_SVM = {
  methods: ['npt'],
  because: 'the processor with SVM has 4-level paging and no protection keys',
} as const;

const SUITE: readonly Expected[] = [
  { image: 'idt_test', tests: 4 },
  { image: 'msr', tests: 1838, long: ALL },
  {
    image: 'emulator',
    devices: ['pc-testdev'],
    tests: 151,
    skipped: { lines: [/forced emulation/], because: 'KVM here has no force_emulation_prefix' },
    long: SHADOW,
  },
  {
    image: 'lam',
    devices: ['pc-testdev'],
    tests: 19,
    under: { classic: 16 },
    skipped: { lines: [/INVPCID not supported/], because: 'there is no INVPCID in 2.6.20' },
  },
  {
    image: 'realmode',
    devices: ['pc-testdev'],
    tests: undefined,
    halts: {
      passed: 69,
      because: "its test of STI's shadow halts for IRQ 11 or the timer of a PC, and no 8259 is there to bring either",
    },
  },
  { image: 'setjmp', tests: 10 },
  { image: 'syscall', tests: 2, skipped: { lines: [/syscall TF handling/], because: 'asks for an AMD processor' } },
  { image: 'umip', tests: 21 },
  { image: 'smap', tests: 18, long: SHADOW },
  { image: 'eventinj', tests: 13, long: SHADOW },
  { image: 'debug', tests: 25 },
  {
    image: 'apic',
    tests: 47,
    under: { software: 46 },
    skipped: { lines: [/tsc deadline timer not detected/], because: "the VMM's own APIC has no TSC-deadline mode" },
    long: ALL,
  },
  { image: 'xsave', tests: 299, long: SHADOW },
  { image: 'pcid', tests: 2 },
  {
    image: 'hypercall',
    tests: 4,
    not: { methods: ['software'], because: 'no hypervisor is there to be called' },
  },
  { image: 'tsc', tests: 3 },
  { image: 'rmap_chain', tests: undefined, long: ['npt', 'classic', 'modern', 'software'] },
  { image: 'memory', tests: 7, skipped: { lines: [/[slm]fence|pcommit/], because: 'features by CPUID' } },
  {
    image: 'la57',
    tests: 56,
    skipped: {
      lines: [/SYSENTER_ESP/, /PEBS/, /Intel PT/, NO_FEP],
      because: 'as below; AMD does not check the addresses of SYSENTER',
    },
    not: { methods: ['classic', 'modern', 'software'], because: 'the row below has the wider addresses too' },
  },
  {
    image: 'la57',
    cpu: LA57,
    tests: 56,
    under: { classic: 54 },
    skipped: {
      lines: [/SYSENTER_ESP/, /PEBS/, /Intel PT/, /INVPCID - not supported/, NO_FEP],
      because:
        'a known erratum of KVM that the test leaves out itself, and features that are not offered (INVPCID: in 2.6.20)',
    },
    not: NO_LA57_SVM,
  },
  {
    image: 'pku',
    cpu: LA57,
    tests: 7,
    not: {
      methods: ['npt', 'classic', 'modern'],
      because: 'no protection keys: the processor with SVM and the shadow MMU offer none',
    },
  },
  { image: 'access_test', tests: 1, long: ALL },
  { image: 'access_test', cpu: LA57, tests: 2, long: ALL, not: NO_LA57_SVM },
  { image: 'i386-cmpxchg8b', tests: 1 },
  { image: 'i386-taskswitch', tests: undefined },
  { image: 'i386-taskswitch2', tests: 13, long: SHADOW },
  { image: 'i386-umip', tests: 21 },
  { image: 'i386-setjmp', tests: 10 },
  { image: 'i386-smap', tests: 18, long: SHADOW },
  { image: 'i386-eventinj', tests: 15, long: SHADOW },
];

const LIMIT = 400_000_000n;
const LONG_LIMIT = 24_000_000_000n;

for (const method of ALL) {
  const { title, machine } = METHODS[method];
  describe(`kvm-unit-tests under ${title}`, function () {
    this.timeout(14_400_000);
    for (const expected of SUITE.filter((e) => e.not?.methods.includes(method) !== true)) {
      const { image, cpu, skipped, devices, halts } = expected;
      it(`${image}${cpu === undefined ? '' : ` on ${cpu}`}`, function () {
        const path = join(FOLDER ?? '', `${image}.flat`);
        if (FOLDER === undefined || !existsSync(path))
          skipBecause(this, `PAGEWALK_KVM_UNIT_TESTS names no folder with ${image}.flat`);
        const long = expected.long?.includes(method) === true;
        if (long && !LONG) skipBecause(this, 'takes minutes: PAGEWALK_LONG=1 runs it');
        const outcome = runImage(image, readFileSync(path), {
          limit: long ? LONG_LIMIT : LIMIT,
          machine: {
            ...machine,
            ...(cpu === undefined ? {} : { cpu }),
            ...(devices ? { devices: devicesWith(devices) } : {}),
          },
        });
        const lines = outcome.serial.split('\n');
        const last = lines.slice(-5).join('\n');
        assert.deepEqual(
          lines.filter((l) => l.startsWith('FAIL')),
          [],
        );
        for (const line of lines.filter((l) => l.startsWith('SKIP')))
          assert.ok(
            skipped?.lines.some((known) => known.test(line)),
            `skipped without a reason: ${line}`,
          );
        if (halts) {
          assert.deepEqual(
            [outcome.end?.kind, lines.filter((l) => l.startsWith('PASS')).length],
            ['idle', halts.passed],
          );
          return;
        }
        assert.equal(outcome.end?.kind, 'exit-port', `${outcome.end?.why ?? 'it does not end'}\n${last}`);
        assert.equal(outcome.end.code, 1, last);
        const summary = /^SUMMARY: (\d+) tests/m.exec(outcome.serial)?.[1];
        assert.equal(summary === undefined ? undefined : Number(summary), expected.under?.[method] ?? expected.tests);
        // a bare CPU has nobody to exit to
        if (method === 'software') assert.equal(outcome.exits.size, 0);
      });
    }
  });
}
