import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Decoder, Mnemonic } from 'iced-x86';
import { assemble } from '../../../src/asm/index';
import { hex } from '../../../src/base/hex';
import { codeMode } from '../../../src/hw/cpu/system/modes';
import type { CpuState } from '../../../src/hw/state/cpu-state';
import { SEG, SLOT } from '../../../src/hw/state/layout';
import { flatImage } from '../../../src/vmm/loader/image';
import { Machine } from '../../../src/vmm/machine';
import { DEFAULT_OPTIONS, type MachineOptions } from '../../../src/vmm/options';
import { stubSource } from '../qemu/stub';
import { GdbClient } from './gdb';
import { EFLAGS, GPR, littleEndian, parseRegisters, REGISTERS, RIP, type GuestRegisters } from './registers';

export interface LockstepGuest {
  readonly start: 'boot' | 'flat32' | 'flat64';
  readonly image: Uint8Array;
  readonly entry: bigint;
  readonly bss?: number;
  /** MiB of RAM on both sides; a multiple of 4. */
  readonly memory?: number;
  /** Memory slots here; the guest looks at none of the holes that they leave in QEMU's RAM. */
  readonly slots?: MachineOptions['slots'];
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

/** Where QEMU's order has what CPUID answers. */
const CPUID_RESULTS = ['rax', 'rbx', 'rcx', 'rdx'].map((name) => REGISTERS.findIndex((r) => r.name === name));

/**
 * Runs a guest here and in QEMU instruction by instruction, and says where the registers differ first. Flags that an instruction leaves undefined are made equal. CPUID
 * answers for the model and not for the architecture: both sides then have the AND of both answers, so that no guest uses a feature which one of them lacks.
 */
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
  const options = { ...DEFAULT_OPTIONS, memory: BigInt(memoryOf(guest)) << 20n, slots: guest.slots ?? [] };
  const made = Machine.create(options, image.value, { serial: () => undefined, debugcon: () => undefined });
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
    const next = instruction(machine);
    const before = state().rip;
    if (!stepOurs(machine)) return { kind: 'equal', instructions: n, end: machine.ended?.kind ?? '' };
    for (let i = 0; i < MAX_REPEATS; i++) {
      await gdb.request('s');
      theirs = parseRegisters(await gdb.request('g'));
      if (theirs[RIP] !== before) break;
    }
    const set = async (n: number, value: bigint): Promise<void> => {
      if (theirs[n] === value) return;
      theirs[n] = value;
      await gdb.request(`P${n.toString(16)}=${littleEndian(value, REGISTERS[n]?.size ?? 8)}`);
    };
    await set(EFLAGS, ((theirs[EFLAGS] as bigint) & ~next.undefinedFlags) | (state().rflags & next.undefinedFlags));
    if (next.cpuid)
      for (const n of CPUID_RESULTS) {
        const register = REGISTERS[n] as (typeof REGISTERS)[number];
        const both = register.ours(seen(machine)) & (theirs[n] as bigint);
        state().set(GPR[register.name as keyof typeof GPR], both);
        await set(n, both);
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

/** What must be known of the instruction at RIP to compare what it leaves. */
function instruction(machine: Machine): { readonly undefinedFlags: bigint; readonly cpuid: boolean } {
  const decoder = new Decoder(codeMode(machine.vcpu.registers()).bits, codeAt(machine), 0);
  const insn = decoder.decode();
  const bits = insn.rflagsUndefined;
  const cpuid = insn.mnemonic === Mnemonic.Cpuid;
  insn.free();
  decoder.free();
  return {
    undefinedFlags: UNDEFINED_BITS.reduce((m, [iced, rflags]) => ((bits & iced) !== 0 ? m | rflags : m), 0n),
    cpuid,
  };
}

function describe(machine: Machine): string {
  const s = machine.vcpu.registers();
  const bytes = [...codeAt(machine)].map((b) => b.toString(16).padStart(2, '0')).join(' ');
  return `${codeMode(s).bits}-bit code at RIP ${hex(s.rip)}: ${bytes}`;
}
