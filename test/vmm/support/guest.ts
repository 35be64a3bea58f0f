import * as assert from 'node:assert/strict';
import { assemble } from '../../../src/asm/index';
import { formatDiagnostic } from '../../../src/base/diagnostic';
import { gpa } from '../../../src/base/address';
import { hpa } from '../../../src/base/address';
import type { Step } from '../../../src/trace/step';
import { slotHva } from '../../../src/kvm/memslots';
import { defaultOrigin, flatImage } from '../../../src/vmm/loader/image';
import { Machine } from '../../../src/vmm/machine';
import type { MachineEnd, MachineStop } from '../../../src/vmm/machine-stop';
import { DEFAULT_OPTIONS, type MachineOptions, type StartKind } from '../../../src/vmm/options';

const BITS: Readonly<Record<StartKind, number>> = { boot: 16, flat16: 16, flat32: 32, flat64: 64 };
/** Work of one slice, a few exits' worth. */
const BUDGET = 10_000;

/** RBX becomes the page table of the first 2 MiB in the map that flat64 prepares, found by walking it. */
export const LAST_LEVEL = `mov rbx, cr3${'\n mov rbx, [rbx]\n and bx, 0xf000'.repeat(3)}`;

/** A machine with a small guest in it, and what it has told so far. */
export class Guest {
  readonly steps: Step[] = [];
  serial = '';
  debugcon = '';
  readonly machine: Machine;
  readonly symbols: ReadonlyMap<string, bigint>;

  constructor(source: string, start: StartKind = 'flat64', options: Partial<MachineOptions> = {}) {
    const out = assemble(`bits ${BITS[start]}\norg ${defaultOrigin(start)}\n${source}\n`, {
      fileName: 'guest.asm',
      readFile: () => undefined,
    });
    assert.ok(out.ok, out.diagnostics.map(formatDiagnostic).join('\n'));
    this.symbols = new Map(out.symbols.map((s) => [s.name, s.value]));
    const image = flatImage(out.image, start, { file: 'guest.asm', origin: out.origin, bss: out.bss });
    assert.ok(image.ok, image.ok ? '' : image.error.map(formatDiagnostic).join('\n'));
    const machine = Machine.create({ ...DEFAULT_OPTIONS, ...options }, image.value, {
      serial: (b) => (this.serial += String.fromCharCode(b)),
      debugcon: (b) => (this.debugcon += String.fromCharCode(b)),
    });
    assert.ok(machine.ok, machine.ok ? '' : machine.error.map(formatDiagnostic).join('\n'));
    this.machine = machine.value;
    this.machine.onStep = (s) => this.steps.push(s);
  }

  /** Runs until something stops the machine; 'budget' only where `rounds` slices were not enough. */
  stop(rounds = 1000): MachineStop {
    let stop = this.machine.run(BUDGET);
    for (let i = 1; i < rounds && stop.kind === 'budget'; i++) stop = this.machine.run(BUDGET);
    return stop;
  }
  /** Runs to the end. */
  end(): MachineEnd {
    const stop = this.stop();
    assert.equal(stop.kind, 'end', `the guest ends (RIP 0x${this.machine.accelerator.registers().rip.toString(16)})`);
    assert.ok(stop.kind === 'end');
    return stop.end;
  }
  /** Runs to a HLT with interrupts off and gives the general registers by encoding. */
  halt(): readonly bigint[] {
    const end = this.end();
    assert.equal(end.kind, 'halt', end.why);
    return this.gprs();
  }
  gprs(): readonly bigint[] {
    const s = this.machine.accelerator.registers();
    return Array.from({ length: 16 }, (_, i) => s.get(i));
  }
  get exits(): Record<string, number> {
    return Object.fromEntries(this.machine.exits.byReason);
  }
  get stats(): ReturnType<Machine['vcpu']['stats']['all']> {
    return this.machine.vcpu.stats.all();
  }
  /** Functions of the steps of exit number `n`, in order. */
  stepsOfExit(name: string, nth = 0): readonly string[] {
    const starts = this.steps.flatMap((s, i) => (s.fn === 'VM exit' && s.what.startsWith(`${name}:`) ? [i] : []));
    const from = starts[nth];
    assert.ok(from !== undefined, `${name} number ${nth} happened`);
    const rest = this.steps.slice(from + 1);
    const to = rest.findIndex((s) => s.fn === 'VM exit');
    return (to < 0 ? rest : rest.slice(0, to)).map((s) => s.fn);
  }
  /** The EPT entry that maps `address`: the last one present on the way. */
  epte(address: bigint): bigint {
    return this.machine.vm.mmu.read(gpa(address)).at(-1)?.value ?? 0n;
  }
  /** Eight bytes of guest RAM. */
  qword(address: bigint): bigint {
    const slot = this.machine.ram.memslots.find(gpa(address));
    const found = slot && this.machine.host.lookup(slotHva(slot, gpa(address)))?.hpa;
    return found === undefined ? 0n : this.machine.memory.read64(hpa(found));
  }
}
