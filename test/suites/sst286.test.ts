/**
 * SingleStepTests/80286: hardware-captured real-mode instructions, run one by one on flat memory. The data lie outside the project
 * (PAGEWALK_SST286, or ../shared/data/sst286 beside it); without them the suite is skipped by name.
 */
import * as assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { ARITHMETIC_FLAGS } from '../../src/isa/flags';
import { deliver } from '../../src/hw/cpu/system/deliver';
import { SEG, SLOT } from '../../src/hw/state/layout';
import { FlatCore } from '../hw/support/flat-core';
import { skipBecause } from '../support/needs';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const DATA = process.env['PAGEWALK_SST286'] ?? join(ROOT, '..', 'shared', 'data', 'sst286');

interface Side {
  readonly regs: Readonly<Record<string, number>>;
  readonly ram: readonly (readonly [number, number])[];
}
interface Case {
  readonly idx: number;
  readonly name: string;
  readonly bytes: readonly number[];
  readonly initial: Side;
  readonly final: Side;
  readonly exception?: { readonly number: number };
}
interface OpcodeInfo {
  readonly status?: string;
  readonly 'flags-mask'?: number;
  readonly reg?: Readonly<Record<string, OpcodeInfo>>;
}

const GPRS = ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di'] as const;
const SEGMENTS = { es: SEG.ES, cs: SEG.CS, ss: SEG.SS, ds: SEG.DS } as const;
/** Bits 15:12 of FLAGS (IOPL, NT) cannot be set in a 286's real mode. */
const FLAGS = 0x0fff;
const MEMORY = 1 << 24;

/** Where later CPUs, whose instruction set this is, differ from the 80286: the test is left out, counted under its reason. */
const DIFFERENCES: readonly { readonly why: string; readonly applies: (form: string, c: Case) => boolean }[] = [
  {
    why: 'LOCK before an instruction or operand that does not take it is ignored by the 286, #UD since the 386',
    applies: (_form, c) => /\block /.test(c.name),
  },
  { why: 'FS and GS came with the 386', applies: (form, c) => form === '8C' && /\b[fg]s$/.test(c.name) },
  {
    why: 'a 286 instruction is at most 10 bytes long, later ones 15',
    applies: (_form, c) => c.exception?.number === 13 && c.bytes.length - 1 > 10,
  },
  {
    why: 'a word string element across the segment end leaves SI, DI and CX stepped on the 286; later CPUs restart the element',
    applies: (form, c) => c.exception?.number === 13 && ['6D', '6F', 'A5', 'A7', 'AD', 'AF'].includes(form),
  },
  {
    why: 'a stack word across the segment end is #GP on the 286, #SS later',
    applies: (form, c) => c.exception?.number === 13 && ['17', 'C9'].includes(form),
  },
  { why: 'no x87 in this CPU model', applies: (form) => form === 'D8' },
];

function load(file: string): Case[] {
  return JSON.parse(gunzipSync(readFileSync(join(DATA, file))).toString('utf8')) as Case[];
}

function flagsMask(opcodes: Readonly<Record<string, OpcodeInfo>>, form: string): number {
  const [opcode = '', extension] = form.split('.');
  const info = opcodes[opcode];
  const entry = extension === undefined ? info : (info?.reg?.[extension] ?? info);
  return (entry?.['flags-mask'] ?? 0xffff) & FLAGS;
}

function setUp(m: FlatCore, c: Case): void {
  const r = c.initial.regs;
  GPRS.forEach((name, i) => m.state.set(i, BigInt(r[name] ?? 0)));
  for (const [name, index] of Object.entries(SEGMENTS)) {
    const selector = r[name] ?? 0;
    m.state.setSegment(index, {
      selector,
      base: BigInt(selector) << 4n,
      limit: 0xffff,
      rights: index === SEG.CS ? 0x9b : 0x93,
    });
  }
  m.state.rip = BigInt(r['ip'] ?? 0);
  m.state.rflags = BigInt((r['flags'] ?? 0) & FLAGS);
  m.state.set32(SLOT.ACTIVITY, 0);
  m.state.set32(SLOT.INTERRUPTIBILITY, 0);
  for (const [at, byte] of c.initial.ram) m.port.bytes[at] = byte;
}

/** Runs to the HLT that ends each test, exceptions delivered on the way. Repeated instructions take a step for each element. */
function runToHalt(m: FlatCore, c: Case): string | undefined {
  const steps = c.bytes.some((b) => b === 0xf2 || b === 0xf3) ? 0x1_0010 : 16;
  for (let i = 0; i < steps; i++) {
    if (!m.step()) {
      const e = m.core.event;
      if (e?.kind !== 'fault') return `stopped: ${e?.kind ?? 'no event'}`;
      const d = deliver(m.core, e);
      if (!d.ok) return `delivery of vector ${e.vector} failed`;
    }
    if (m.state.get32(SLOT.ACTIVITY) !== 0) return undefined;
  }
  return 'did not reach its HLT';
}

/** What differs from the hardware, or undefined. */
function difference(m: FlatCore, c: Case, mask: number): string | undefined {
  const failure = runToHalt(m, c);
  if (failure !== undefined) return failure;
  const want = { ...c.initial.regs, ...c.final.regs };
  const got: Record<string, number> = { ip: Number(m.state.rip & 0xffffn) };
  GPRS.forEach((name, i) => (got[name] = Number(m.state.get(i) & 0xffffn)));
  for (const [name, index] of Object.entries(SEGMENTS)) got[name] = m.state.get32(SLOT.SELECTOR + index);
  for (const [name, value] of Object.entries(got)) {
    if (value !== want[name]) return `${name} ${value.toString(16)}, hardware ${(want[name] ?? 0).toString(16)}`;
  }
  const flags = Number(m.state.rflags) & mask;
  if (flags !== ((want['flags'] ?? 0) & mask))
    return `flags ${flags.toString(16)}, hardware ${((want['flags'] ?? 0) & mask).toString(16)} (mask ${mask.toString(16)})`;
  // the data's own flag_address is wrong for odd stack pointers
  const flagAddress = c.exception && ((want['ss'] ?? 0) << 4) + (((want['sp'] ?? 0) + 4) & 0xffff);
  // after a division that faulted the pushed arithmetic flags are undefined
  const pushed = c.exception?.number === 0 ? mask & ~ARITHMETIC_FLAGS : mask;
  for (const [at, byte] of c.final.ram) {
    let care = 0xff;
    if (flagAddress !== undefined && at === flagAddress) care = pushed & 0xff;
    else if (flagAddress !== undefined && at === flagAddress + 1) care = pushed >> 8;
    const value = m.port.bytes[at] as number;
    if ((value & care) !== (byte & care))
      return `[${at.toString(16)}] ${value.toString(16)}, hardware ${byte.toString(16)}`;
  }
  return undefined;
}

function tearDown(m: FlatCore, c: Case): void {
  for (const [at] of c.initial.ram) m.port.bytes[at] = 0;
  for (const at of m.port.stored) m.port.bytes[Number(at) % MEMORY] = 0;
  m.port.stored.length = 0;
}

describe('SingleStepTests 80286', function () {
  this.timeout(300_000);

  it('real-mode instructions as hardware captured them', function () {
    if (!existsSync(join(DATA, 'metadata.json'))) skipBecause(this, `no data in ${DATA} (PAGEWALK_SST286)`);
    const { opcodes } = JSON.parse(readFileSync(join(DATA, 'metadata.json'), 'utf8')) as {
      opcodes: Record<string, OpcodeInfo>;
    };
    // nothing drives the data bus of an absent device
    const m = new FlatCore(MEMORY, {
      in: (core, _port, size, dst) => (core.state.set(dst, (1n << BigInt(size * 8)) - 1n), true),
      out: () => true,
    });
    m.state.set32(SLOT.IDTR_LIMIT, 0x3ff);
    const wrong: string[] = [];
    const left = new Map<string, number>();
    let ran = 0;
    for (const file of readdirSync(DATA)
      .filter((f) => f.endsWith('.json.gz'))
      .sort()) {
      const form = file.replace('.json.gz', '');
      for (const c of load(file)) {
        const different = DIFFERENCES.find((x) => x.applies(form, c));
        if (different !== undefined) {
          left.set(different.why, (left.get(different.why) ?? 0) + 1);
          continue;
        }
        ran++;
        setUp(m, c);
        const d = difference(m, c, flagsMask(opcodes, form));
        if (d !== undefined) wrong.push(`${form} #${c.idx} ${c.name}: ${d}`);
        tearDown(m, c);
      }
    }
    assert.deepEqual(wrong, [], `${wrong.length} of ${ran}`);
    assert.ok(
      ran > [...left.values()].reduce((a, b) => a + b, 0),
      `only ${ran} tests ran: ${JSON.stringify([...left])}`,
    );
  });
});
