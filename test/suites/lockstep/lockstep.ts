import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Decoder } from 'iced-x86';
import { assemble } from '../../../src/asm/index';
import { hex } from '../../../src/base/hex';
import { codeMode } from '../../../src/hw/cpu/system/modes';
import type { CpuState } from '../../../src/hw/state/cpu-state';
import { SEG, SLOT } from '../../../src/hw/state/layout';
import { flatImage } from '../../../src/vmm/loader/image';
import { Machine } from '../../../src/vmm/machine';
import { DEFAULT_OPTIONS } from '../../../src/vmm/options';
import { stubSource } from '../qemu/stub';
import { GdbClient } from './gdb';
import { EFLAGS, littleEndian, parseRegisters, REGISTERS, RIP, type GuestRegisters } from './registers';

export interface LockstepGuest {
  readonly start: 'boot' | 'flat32' | 'flat64';
  readonly image: Uint8Array;
  readonly entry: bigint;
  readonly bss?: number;
  /** MiB of RAM on both sides; a multiple of 4. */
  readonly memory?: number;
}

export type LockstepResult =
  | { readonly kind: 'equal'; readonly instructions: number; readonly end: string }
  | {
      readonly kind: 'differs';
      readonly instructions: number;
      readonly at: string;
      readonly registers: readonly string[];
    };

const MEMORY = 64;
const memoryOf = (guest: LockstepGuest): number => guest.memory ?? MEMORY;
/** Iterations of one repeated instruction. */
const MAX_REPEATS = 100_000;
/** iced's flag bits by the RFLAGS bit they stand for (RflagsBits). */
const UNDEFINED_BITS: readonly (readonly [iced: number, rflags: bigint])[] = [
  [1, 0x800n],
  [2, 0x80n],
  [4, 0x40n],
  [8, 0x10n],
  [16, 0x1n],
  [32, 0x4n],
];

/** Runs a guest here and in QEMU instruction by instruction, and says where the registers differ first. Flags that an instruction leaves undefined are made equal. */
export async function lockstep(qemu: string, guest: LockstepGuest, limit: number): Promise<LockstepResult> {
  const machine = ours(guest);
  const dir = mkdtempSync(join(tmpdir(), 'pw-lockstep-'));
  const socket = join(dir, 'gdb');
  const child = spawn(qemu, [...common(socket, memoryOf(guest)), ...boot(dir, guest)], { stdio: 'ignore' });
  let running = true;
  child.once('exit', () => (running = false));
  child.once('error', () => (running = false));
  try {
    const gdb = await GdbClient.connect(socket, () => running);
    try {
      return await compare(gdb, machine, guest, limit);
    } finally {
      gdb.close();
    }
  } finally {
    child.kill('SIGKILL');
    rmSync(dir, { recursive: true, force: true });
  }
}

function ours(guest: LockstepGuest): Machine {
  const image = flatImage(guest.image, guest.start, { file: 'guest', origin: guest.entry, bss: guest.bss ?? 0 });
  if (!image.ok) throw new Error(image.error.map((d) => d.message).join('\n'));
  const made = Machine.create({ ...DEFAULT_OPTIONS, memory: BigInt(memoryOf(guest)) << 20n }, image.value, {
    serial: () => undefined,
    debugcon: () => undefined,
  });
  if (!made.ok) throw new Error(made.error.map((d) => d.message).join('\n'));
  return made.value;
}

const common = (socket: string, memory: number): string[] => [
  ...[
    '-cpu',
    'qemu64,+smap,+smep,+pdpe1gb,+x2apic',
    '-display',
    'none',
    '-net',
    'none',
    '-no-reboot',
    '-no-shutdown',
    '-m',
    String(memory),
  ],
  ...['-debugcon', 'null', '-serial', 'null', '-device', 'isa-debug-exit,iobase=0xf4,iosize=1'],
  ...['-chardev', `socket,path=${socket},server=on,wait=off,id=gdb`, '-gdb', 'chardev:gdb', '-S'],
];

function boot(dir: string, guest: LockstepGuest): string[] {
  const file = join(dir, 'guest.bin');
  if (guest.start === 'boot') {
    writeFileSync(file, Buffer.concat([guest.image, Buffer.alloc((512 - (guest.image.length % 512)) % 512)]));
    return ['-drive', `file=${file},format=raw`];
  }
  writeFileSync(file, guest.image);
  const stub = assemble(stubSource(guest.start, guest.entry, memoryOf(guest) << 20), { fileName: 'stub.asm' });
  if (!stub.ok) throw new Error(stub.diagnostics.map((d) => d.message).join('\n'));
  const kernel = join(dir, 'stub.bin');
  writeFileSync(kernel, stub.image);
  return ['-kernel', kernel, '-initrd', file];
}

async function compare(gdb: GdbClient, machine: Machine, guest: LockstepGuest, limit: number): Promise<LockstepResult> {
  await gdb.request(`Z1,${guest.entry.toString(16)},1`);
  await gdb.request('c');
  await gdb.request(`z1,${guest.entry.toString(16)},1`);
  // the guest is entered before the first look, so that what KVM does once has been done
  machine.run(0);
  const state = (): CpuState => machine.vcpu.registers();
  for (const [n, r] of REGISTERS.entries())
    if (r.given) await gdb.request(`P${n.toString(16)}=${littleEndian(r.ours(seen(machine)), r.size)}`);

  let theirs = parseRegisters(await gdb.request('g'));
  for (let n = 0; n < limit; n++) {
    const differs = differences(seen(machine), theirs);
    if (differs.length > 0) return { kind: 'differs', instructions: n, at: describe(machine), registers: differs };
    const undefinedFlags = flagsLeftUndefined(machine);
    const before = state().rip;
    if (!stepOurs(machine)) return { kind: 'equal', instructions: n, end: machine.ended?.kind ?? '' };
    for (let i = 0; i < MAX_REPEATS; i++) {
      await gdb.request('s');
      theirs = parseRegisters(await gdb.request('g'));
      if (theirs[RIP] !== before) break;
    }
    if (undefinedFlags !== 0n && (((theirs[EFLAGS] as bigint) ^ state().rflags) & undefinedFlags) !== 0n) {
      const flags = ((theirs[EFLAGS] as bigint) & ~undefinedFlags) | (state().rflags & undefinedFlags);
      theirs[EFLAGS] = flags;
      await gdb.request(`P${EFLAGS.toString(16)}=${littleEndian(flags, 4)}`);
    }
  }
  return { kind: 'equal', instructions: limit, end: 'limit' };
}

/** Bits of CR0 and CR4 that KVM owns are what it shows for them. */
function seen(machine: Machine): GuestRegisters {
  const { vcpu } = machine;
  const state = vcpu.registers();
  const shown = (cr: 0 | 4): bigint => {
    const real = state.get(cr === 0 ? SLOT.CR0 : SLOT.CR4);
    return vcpu.running ? (vcpu.cpu.intercepts?.readControl({ state, insn: { length: 0 } }, cr) ?? real) : real;
  };
  return { state, cr0: shown(0), cr4: shown(4) };
}

/** One instruction (all of a repeated one), or the delivery of what it raised. False: the run is over. */
function stepOurs(machine: Machine): boolean {
  const before = machine.vcpu.registers().rip;
  for (let i = 0; i < MAX_REPEATS; i++) {
    if (machine.run(1).kind === 'end') return false;
    if (machine.vcpu.registers().rip !== before) return true;
  }
  return true;
}

/** Outside 64-bit mode QEMU shows general registers as 32 bits wide, and R8 to R15 as zero. */
function differences(guest: GuestRegisters, theirs: readonly bigint[]): string[] {
  const narrow = codeMode(guest.state).bits !== 64;
  return REGISTERS.flatMap((r, n) => {
    if (narrow && n >= 8 && n < 16) return [];
    const mask = narrow && n < 8 ? 0xffff_ffffn : r.mask;
    const [here, there] = [r.ours(guest) & mask, (theirs[n] as bigint) & mask];
    return here === there ? [] : [`${r.name}: ${hex(here)} here, ${hex(there)} in QEMU`];
  });
}

/** The bytes at RIP, read through the guest's tables without changing anything. */
function codeAt(machine: Machine): Uint8Array {
  const s = machine.vcpu.registers();
  const linear = codeMode(s).bits === 64 ? s.rip : BigInt.asUintN(32, s.rip + s.segmentBase(SEG.CS));
  const bytes: number[] = [];
  for (let i = 0n; i < 15n; i++) {
    const found = machine.vcpu.probe(linear + i, { op: 'fetch', user: s.cpl === 3, implicit: false });
    if (found.hpa === undefined) break;
    bytes.push(machine.memory.u8[machine.memory.offsetOf(found.hpa)] as number);
  }
  return Uint8Array.from(bytes);
}

function flagsLeftUndefined(machine: Machine): bigint {
  const decoder = new Decoder(codeMode(machine.vcpu.registers()).bits, codeAt(machine), 0);
  const insn = decoder.decode();
  const bits = insn.rflagsUndefined;
  insn.free();
  decoder.free();
  return UNDEFINED_BITS.reduce((m, [iced, rflags]) => ((bits & iced) !== 0 ? m | rflags : m), 0n);
}

function describe(machine: Machine): string {
  const s = machine.vcpu.registers();
  const bytes = [...codeAt(machine)].map((b) => b.toString(16).padStart(2, '0')).join(' ');
  return `${codeMode(s).bits}-bit code at RIP ${hex(s.rip)}: ${bytes}`;
}
