/**
 * Every combination of page flags, control bits, access and privilege, for each paging format and page size, against an expectation written here from the manual's
 * prose (SDM vol. 3, 4.6.1, 4.6.2 and 4.7) as a list of what is allowed, and not from the walker's code. The walk goes through the CPU's own port: fault and
 * error code, accessed and dirty flags, and what the TLB then does with the same access are all looked at.
 */
import assert from 'node:assert/strict';
import { hpa } from '../../../src/base/address';
import { Cpu } from '../../../src/hw/cpu/cpu';
import { PAGEWALK_X64_LA57 } from '../../../src/hw/cpu/cpuid-model';
import { HostMemory } from '../../../src/hw/memory/host-memory';
import type { Access } from '../../../src/hw/paging/access';
import { SLOT } from '../../../src/hw/state/layout';
import { FORMATS, type Format } from '../support/paging-formats';

const LINEAR = 0x40_2010n;
const TABLES = 0x10_0000n;
const P = 1n;
const RW = 2n;
const US = 4n;
const A = 0x20n;
const D = 0x40n;
const PS = 0x80n;
const XD = 1n << 63n;
const KEY = 5;

/** One row of the matrix. */
interface Case {
  /** P, RW, US and XD of the leaf, and RW, US and XD of one entry above it (of no entry where there is none). */
  readonly present: boolean;
  readonly leaf: bigint;
  readonly upper: bigint;
  readonly wp: boolean;
  readonly smep: boolean;
  readonly smap: boolean;
  readonly nxe: boolean;
  /** Access disable and write disable of the page's key; undefined: CR4.PKE is off. */
  readonly key: { readonly ad: boolean; readonly wd: boolean } | undefined;
}
type Op = Access['op'];
type Who = 'user' | 'supervisor' | 'supervisor with AC' | 'implicit';

/** The error code that the manual wants, or 'ok'. */
function expected(f: Format, c: Case, op: Op, who: Who): number | 'ok' {
  const wide = f.entryBytes === 8;
  const nx = c.nxe && wide;
  const user = who === 'user';
  const base = (op === 'write' ? 2 : 0) | (user ? 4 : 0) | (op === 'fetch' && (nx || c.smep) ? 16 : 0);
  const hasUpper = f.shifts.length > 1;
  const upper = hasUpper ? c.upper : RW | US;
  // XD is reserved while NXE is off; entries are looked at root first
  if (wide && !c.nxe && hasUpper && (upper & XD) !== 0n) return base | 1 | 8;
  if (!c.present) return base;
  if (wide && !c.nxe && (c.leaf & XD) !== 0n) return base | 1 | 8;

  const every = (bit: bigint): boolean => (c.leaf & bit) !== 0n && (upper & bit) !== 0n;
  const userPage = every(US);
  const writable = every(RW);
  const executable = !(nx && ((c.leaf | upper) & XD) !== 0n);
  const lifted = who === 'supervisor with AC';
  const keyRead = !(c.key?.ad === true && userPage);
  const keyWrite = keyRead && !(c.key?.wd === true && userPage && (user || c.wp));
  const allowedBut: Record<Op, boolean> = user
    ? { read: userPage, write: userPage && writable, fetch: userPage && executable }
    : {
        read: !userPage || !c.smap || lifted,
        write: (!userPage || !c.smap || lifted) && (writable || !c.wp),
        fetch: executable && !(userPage && c.smep),
      };
  const keys: Record<Op, boolean> = { read: keyRead, write: keyWrite, fetch: true };
  if (allowedBut[op] && keys[op]) return 'ok';
  // SDM 4.7: PK is 1 if the access was to data of a user page whose key forbids it, whatever else forbids it too
  const pk = c.key !== undefined && !keys[op];
  return base | 1 | (pk ? 32 : 0);
}

const bools = [false, true];
function* cases(f: Format): Generator<Case> {
  const keys = f.long
    ? [undefined, { ad: true, wd: false }, { ad: false, wd: true }, { ad: false, wd: false }]
    : [undefined];
  const xd = f.entryBytes === 8 ? [0n, XD] : [0n];
  const uppers = f.shifts.length > 1 ? [0n, RW, US, RW | US].flatMap((u) => xd.map((x) => u | x)) : [RW | US];
  for (const present of bools)
    for (const leaf of [0n, RW, US, RW | US].flatMap((l) => xd.map((x) => l | x)))
      for (const upper of uppers)
        for (const wp of bools)
          for (const smep of bools)
            for (const smap of bools)
              for (const nxe of bools) for (const key of keys) yield { present, leaf, upper, wp, smep, smap, nxe, key };
}

/** A CPU over tables for LINEAR in this format; `set` writes the flags of a case, `flags` reads what became of them. */
function machine(f: Format) {
  const memory = new HostMemory(0n, 16 << 20);
  const cpu = new Cpu(memory, 0, PAGEWALK_X64_LA57, { tlbEntries: 64, tlbWays: 4 });
  const s = cpu.state;
  const put = (at: bigint, v: bigint): void =>
    f.entryBytes === 8 ? memory.write64(hpa(at), v) : memory.write32(hpa(at), Number(v));
  const get = (at: bigint): bigint => (f.entryBytes === 8 ? memory.read64(hpa(at)) : BigInt(memory.read32(hpa(at))));
  const entries = f.shifts.map(
    (shift, i) => TABLES + BigInt(i) * 4096n + ((LINEAR >> BigInt(shift)) & f.indexMask) * BigInt(f.entryBytes),
  );
  const large = f.shifts[f.shifts.length - 1] !== 12;
  s.set(SLOT.CR3, TABLES);
  // PAE's third level lives in registers
  for (let i = 0; i < 4; i++) s.set(SLOT.PDPTE0 + i, TABLES | P);
  const middle = Math.floor((entries.length - 2) / 2);
  return {
    cpu,
    apply(c: Case): void {
      const last = entries.length - 1;
      const keyBits = f.long ? BigInt(KEY) << 59n : 0n;
      entries.forEach((at, i) => {
        if (i < last) put(at, (TABLES + BigInt(i + 1) * 4096n) | P | (i === middle ? c.upper : RW | US));
        else put(at, (large ? PS : 0x5000n) | c.leaf | keyBits | (c.present ? P : 0n));
      });
      s.set(SLOT.CR0, 0x8000_0031n | (c.wp ? 0x1_0000n : 0n));
      s.set(SLOT.CR4, f.cr4 | (c.smep ? 1n << 20n : 0n) | (c.smap ? 1n << 21n : 0n) | (c.key ? 1n << 22n : 0n));
      s.set(SLOT.EFER, (f.long ? 0x500n : 0n) | (c.nxe ? 0x800n : 0n));
      s.set32(SLOT.PKRU, c.key ? ((c.key.ad ? 1 : 0) | (c.key.wd ? 2 : 0)) << (KEY * 2) : 0);
      cpu.mmu.controlsChanged();
      cpu.tlb.flushAll();
    },
    flags: (): { readonly accessed: boolean[]; readonly dirty: boolean } => ({
      accessed: entries.map((at) => (get(at) & A) !== 0n),
      dirty: (get(entries[entries.length - 1] as bigint) & D) !== 0n,
    }),
  };
}

const WHO: readonly Who[] = ['user', 'supervisor', 'supervisor with AC', 'implicit'];

describe('page permissions', () => {
  for (const f of FORMATS) {
    it(f.name, function () {
      const { cpu, apply, flags } = machine(f);
      let n = 0;
      const access = (op: Op, who: Who): number | 'ok' => {
        cpu.state.rflags = who === 'supervisor with AC' || who === 'implicit' ? 0x4_0002n : 2n;
        cpu.event = undefined;
        const ok = cpu.mmu.probe(cpu, LINEAR, 1, { op, user: who === 'user', implicit: who === 'implicit' });
        if (ok) return 'ok';
        const event = cpu.event as unknown as {
          readonly kind: string;
          readonly vector: number;
          readonly errorCode: number;
          readonly cr2: bigint;
        };
        assert.deepEqual([event.kind, event.vector, event.cr2], ['fault', 14, LINEAR]);
        return event.errorCode;
      };
      for (const c of cases(f)) {
        for (const who of WHO) {
          for (const op of ['read', 'write', 'fetch'] as const) {
            if (op === 'fetch' && who === 'implicit') continue;
            apply(c);
            const want = expected(f, c, op, who);
            const got = access(op, who);
            const what = (): string =>
              `${op} by ${who}: ${JSON.stringify(c, (_, v: unknown) => (typeof v === 'bigint' ? v.toString(16) : v))}`;
            if (got !== want) assert.equal(got, want, what());
            const { accessed, dirty } = flags();
            const done = want === 'ok';
            if (dirty !== (done && op === 'write') || accessed.some((a) => a !== done))
              assert.fail(`accessed ${accessed.join()}, dirty ${dirty} after ${what()}`);
            // the second time the TLB answers, or does not: the verdict is the same
            if (access(op, who) !== want) assert.fail(`another verdict from the TLB: ${what()}`);
            n++;
          }
        }
      }
      assert.ok(n >= 1408, `${n} cases`);
    });
  }
});
