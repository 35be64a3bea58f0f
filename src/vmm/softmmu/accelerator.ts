import { gpa as asGpa } from '../../base/address';
import { bit } from '../../base/bits';
import { hex } from '../../base/hex';
import { RFLAGS } from '../../isa/flags';
import { Cpu, type CpuOptions, type CpuSnapshot } from '../../hw/cpu/cpu';
import type { Core } from '../../hw/cpu/core';
import type { CpuidModel } from '../../hw/cpu/cpuid-model';
import { setCr0, setCr4, setCr8 } from '../../hw/cpu/system/control-registers';
import { readKnownMsr, writeMsr } from '../../hw/cpu/system/msr';
import type { FaultReason } from '../../isa/reasons/index';
import type { Platform } from '../../hw/cpu/platform';
import type { CpuState } from '../../hw/state/cpu-state';
import type { BusEvent, CpuEvent } from '../../hw/state/event';
import { SLOT } from '../../hw/state/layout';
import type { AddressSpace } from '../../host/address-space';
import { cost } from '../../trace/costs';
import { describeHostFault } from '../../host/fault';
import type { HostKernel } from '../../host/kernel';
import { drain, step, vmmStep, type Step } from '../../trace/step';
import { IoLog, type IoLogState, type IoRequest } from '../../kvm/emulator/io-log';
import { slotHva } from '../../kvm/memslots';
import { Stats, type StatValues } from '../../kvm/stats';
import type { Sregs } from '../../kvm/x86/sregs';
import type {
  Accelerator,
  AcceleratorStop,
  GuestCycles,
  Outside,
  References,
  SecondLevel,
  SoftwareReads,
  SystemRegister,
} from '../accelerator';
import type { Bus } from '../bus/bus';
import { END_CODES, type MachineEnd } from '../machine-stop';
import type { OutsideCause } from '../machine-stop';
import { explainTripleFault } from '../triple-fault';
import { deviceAccess, halted } from '../userspace-io';
import { SoftApic, type SoftApicState } from './apic';
import { softwareCpuModel } from './cpu-model';
import { GuestMap, type GuestMapState } from './guest-map';
import { lookUpSteps } from './look-up';
import { loadRegisters } from './registers';
import { TranslatedCode, type TranslatedCodeState } from './translated-code';

const SET_CR = { 0: setCr0, 4: setCr4, 8: setCr8 } as const;

/** Counters of a run besides instructions and the TLB. */
const SOFT_STATS = ['host_faults', 'io', 'mmio', 'halts', 'interrupts'] as const;

/**
 * Emulation in software, as in QEMU's TCG: the VMM emulates the CPU, its MMU and the machine around it, so nothing
 * exits and there is no second level in hardware. GPA → HPA is region → HVA → the host's page tables. A device
 * access, or a page that the host must first bring in, interrupts the instruction; it runs again when that is done.
 */
export class SoftwareAccelerator implements Accelerator {
  readonly kind = 'software';
  readonly second: SecondLevel = { kind: 'software' };
  readonly cpu: Cpu;
  readonly ram: GuestMap;
  readonly apic: SoftApic;
  private readonly log = new IoLog();
  private readonly counts = new Stats(SOFT_STATS);
  private readonly code: TranslatedCode;

  constructor(
    kernel: HostKernel,
    private readonly space: AddressSpace,
    model: CpuidModel,
    options: Omit<CpuOptions, 'platform'>,
    private readonly bus: Bus,
  ) {
    this.apic = new SoftApic(() => this.cpu);
    this.ram = new GuestMap(kernel.memory, space, {
      flushAll: () => this.cpu.mmu.flush(this.cpu, true),
      withdrawHost: (which) => this.cpu.mmu.withdrawHost(which),
    });
    this.code = new TranslatedCode(kernel.memory);
    const platform: Platform = {
      lookedUp: (linear, access, found) => {
        if (!this.onLookUp) return;
        this.telling = true;
        for (const each of lookUpSteps(this.ram.memslots, linear, access, found)) this.onLookUp(each);
        this.telling = false;
      },
      entered: (offset, mode) => this.code.entered(offset, mode),
      physical: this.ram,
      apic: { ...bound(this.apic), acknowledge: () => this.acknowledge() },
      io: {
        in: (core, port, size, dst) => {
          const value = this.ask(core, { space: 'pio', write: false, port, size, value: 0n });
          if (value !== undefined) core.state.set(dst, BigInt.asUintN(size * 8, value));
          return value !== undefined;
        },
        out: (core, port, size, src) =>
          this.ask(core, { space: 'pio', write: true, port, size, value: core.state.get(src) }) !== undefined,
      },
      read: (core, address, size) =>
        this.ask(core, { space: 'mmio', write: false, address: asGpa(address), size, value: 0n }),
      write: (core, address, size, value) =>
        this.ask(core, { space: 'mmio', write: true, address: asGpa(address), size, value }) !== undefined,
    };
    this.cpu = new Cpu(kernel.memory, 0, softwareCpuModel(model), { ...options, platform });
  }

  /** The counterpart of KVM_SET_REGS and KVM_SET_SREGS. Guest RAM already holds what the registers point to. */
  setRegisters(sregs: Sregs): void {
    loadRegisters(this.cpu, sregs, this.apic.lapic.apicBase);
  }

  get instructions(): bigint {
    // a look-up is reported from the middle of a block, whose instructions are counted at its end
    return this.cpu.retired + (this.telling ? BigInt(this.cpu.completed) : 0n);
  }
  onLookUp: ((step: Step) => void) | undefined;
  private telling = false;
  readonly running = true;
  readonly vpid = 0;
  registers(): CpuState {
    return this.cpu.state;
  }
  commitRegisters(): void {
    this.cpu.mmu.controlsChanged();
  }
  get copy(): CpuState {
    return this.cpu.state;
  }
  readonly flushDue = { guest: false, second: false };
  get guestModel(): CpuidModel {
    return this.cpu.model;
  }
  flushGuest(): void {
    this.cpu.mmu.cr3Loaded(this.cpu, false);
  }
  readMsr(index: number): bigint | undefined {
    return readKnownMsr(this.cpu, index);
  }
  load(register: SystemRegister, value: bigint): boolean | FaultReason {
    const { cpu } = this;
    this.takeEvent();
    const done = register.kind === 'msr' ? writeMsr(cpu, register.index, value) : SET_CR[register.number](cpu, value);
    const event = this.takeEvent();
    return done || (event?.kind === 'fault' && event.why) || false;
  }

  private takeEvent(): CpuEvent | undefined {
    const { event } = this.cpu;
    this.cpu.event = undefined;
    return event;
  }

  // ---- running

  told(step: Step): Step {
    return step;
  }

  // eslint-disable-next-line require-yield -- the CPU is in the guest from the start
  *start(): Outside {
    return undefined;
  }

  run(budget: number): AcceleratorStop {
    const { cpu, apic, log } = this;
    for (let left = budget; left > 0;) {
      const { deadline } = apic.lapic.timer;
      let slice = left;
      if (log.empty) {
        apic.update();
        if (deadline !== undefined && deadline - apic.now < BigInt(left))
          slice = Math.max(1, Number(deadline - apic.now));
      } else {
        // the instruction that was answered, and nothing before it
        cpu.state.set32(SLOT.PENDING_INTR, 0);
        slice = 1;
      }
      const stop = cpu.run(slice);
      if (stop.kind !== 'bus') log.clear();
      switch (stop.kind) {
        case 'budget':
          left -= slice;
          continue;
        case 'breakpoint':
        case 'fault':
          return stop;
        case 'bus':
          return { kind: 'outside', work: this.answer(stop.event), about: causeOf(stop.event, this.log.pending) };
        case 'halt':
          return {
            kind: 'outside',
            work: this.halt(),
            about: { fn: 'cpu_handle_halt', why: 'HLT: no VM exit, for the VMM emulates the CPU. Its thread sleeps.' },
          };
        case 'shutdown':
          return { kind: 'outside', work: this.shutDown() };
        case 'exit':
          return { kind: 'outside', work: this.stray() };
      }
    }
    return { kind: 'budget' };
  }

  private acknowledge(): number {
    this.counts.add('interrupts');
    return this.apic.acknowledge();
  }

  /** The answer to a device access; without one, the instruction stops and waits for it. */
  private ask(core: Core, request: IoRequest): bigint | undefined {
    const known = this.log.ask(request);
    if (known !== undefined) return known;
    core.event = {
      kind: 'bus',
      space: request.space === 'pio' ? 'io' : 'memory',
      op: request.write ? 'write' : 'read',
      address: request.space === 'pio' ? BigInt(request.port) : request.address,
      size: request.size,
      value: request.value,
    };
    return undefined;
  }

  private *answer(event: BusEvent): Outside {
    const request = this.log.pending;
    if (request === undefined) return yield* this.bringMemory(event);
    const { size, value } = request;
    if (request.space === 'mmio') {
      this.counts.add('mmio');
      const { lapic } = this.apic;
      if (lapic.answers(request.address)) {
        this.log.answer(this.accessApic(Number(request.address & 0xfffn), request.write, size, value));
        yield vmmStep(
          request.write ? 'apic_mem_write' : 'apic_mem_read',
          `the local APIC's register ${hex(request.address & 0xfffn)}`,
          cost('deviceModel'),
          { addresses: { gpa: request.address } },
        );
        return undefined;
      }
    } else this.counts.add('io');
    const place =
      request.space === 'mmio'
        ? ({ space: 'gpa', address: request.address } as const)
        : ({ space: 'port', address: BigInt(request.port) } as const);
    const access = { ...place, write: request.write, size, value: BigInt.asUintN(size * 8, value) };
    const answer = yield* deviceAccess(access, this.bus);
    if (answer.kind === 'end') return this.end(answer.end);
    this.log.answer(answer.value);
    return undefined;
  }

  private accessApic(offset: number, write: boolean, size: number, value: bigint): bigint {
    if (!write) return this.apic.lapic.readMmio(offset, size);
    this.apic.lapic.writeMmio(offset, size, Number(BigInt.asUintN(32, value)));
    return 0n;
  }

  /**
   * The host faults on the VMM's own access, and its kernel brings the page in. Without RAM, the guest cannot
   * continue.
   */
  private *bringMemory(event: BusEvent): Outside {
    const address = asGpa(event.address);
    const write = event.op === 'write';
    const slot = this.ram.memslots.find(address);
    if (!slot || (write && slot.readonly)) {
      const what = event.purpose === 'code' ? 'its next instruction is' : 'an entry of its page tables is';
      return this.fail(
        `the guest cannot go on: ${what} at GPA ${hex(address)}, where no RAM ${slot ? 'can be written' : 'is'}`,
      );
    }
    const at = slotHva(slot, address);
    const there = this.space.lookup(at);
    if (!there || (write && !there.writable)) {
      this.counts.add('host_faults');
      yield step(
        'cpu',
        'root',
        '#PF',
        `the host's tables ${there ? 'do not let the VMM write' : 'have no page for'} HVA ${hex(at)}, which is GPA ${hex(address)}`,
        cost('hostException'),
        { addresses: { gpa: address, hva: at } },
      );
    }
    const found = yield* this.space.resolve(at, write);
    if (!found.ok) return this.fail(`the VMM dies of SIGBUS at GPA ${hex(address)}: ${describeHostFault(found.error)}`);
    if (write && slot.logDirty) {
      this.ram.dirtyLog.mark(slot, address);
      yield vmmStep('notdirty_write', `notes that the page of GPA ${hex(address)} was written`, cost('softTlbFill'), {
        addresses: { gpa: address },
      });
    }
    return undefined;
  }

  private readGuest(address: bigint, length: number): Uint8Array | undefined {
    const slot = this.ram.memslots.find(asGpa(address));
    if (!slot || address + BigInt(length) > slot.end) return undefined;
    const bytes = drain(this.space.read(slotHva(slot, asGpa(address)), length));
    return bytes.ok ? bytes.value : undefined;
  }

  /** cpu_handle_halt: time skips to the timer's expiry. */
  private *halt(): Outside {
    const { apic, cpu } = this;
    const { state } = cpu;
    this.counts.add('halts');
    yield vmmStep('cpu_handle_halt', 'the guest halts', cost('softTlbFill'));
    const wakes = (): boolean =>
      state.get32(SLOT.PENDING_NMI) !== 0 || (bit(state.rflags, RFLAGS.IF) && apic.lapic.pending >= 0);
    if (!wakes()) {
      const { deadline } = apic.lapic.timer;
      if (deadline === undefined || !bit(state.rflags, RFLAGS.IF) || !apic.lapic.timerUnmasked)
        return this.end(halted(state, (at, length) => this.readGuest(at, length), cpu.chain.latest).end);
      apic.sleepUntil(deadline);
      apic.update();
      yield vmmStep('qemu_wait_io_event', "sleeps until the local APIC's timer fires", cost('syscall'));
      if (!wakes()) return this.end(halted(state, (at, length) => this.readGuest(at, length), cpu.chain.latest).end);
    }
    state.set32(SLOT.ACTIVITY, 0);
    return undefined;
  }

  // eslint-disable-next-line require-yield -- there is no step to report
  private *shutDown(): Outside {
    const explained = explainTripleFault(this.cpu.chain.events, this.cpu.state.rip);
    return this.end({ kind: 'triple-fault', code: END_CODES['triple-fault'], unmet: [], ...explained });
  }
  // eslint-disable-next-line require-yield -- there is no step to report
  private *stray(): Outside {
    return this.fail('a VM exit without a hypervisor');
  }
  private fail(why: string): MachineEnd {
    return this.end({ kind: 'internal-error', code: END_CODES['internal-error'], why, unmet: [] });
  }
  private end(end: Omit<MachineEnd, 'rip'>): MachineEnd {
    return { ...end, rip: this.cpu.state.rip };
  }

  // ---- counters

  stats(): Readonly<Record<string, number>> {
    return this.counts.all();
  }
  references({ host }: SoftwareReads): References {
    const { guestReferences, nestedReferences } = this.cpu.counters;
    return { guest: guestReferences, nested: 0, shadow: 0, host: nestedReferences + host };
  }
  cycles(): GuestCycles {
    const { guestReferences, nestedReferences } = this.cpu.counters;
    const { hits, misses } = this.cpu.tlb;
    const translation = cost('translateBlock', this.code.blocks) + cost('translateInstruction', this.code.instructions);
    const lookups = cost('softTlbLookup', hits + misses);
    return {
      guest: cost('translatedInstruction', Number(this.instructions)) + translation + lookups,
      translation,
      lookups,
      walks: cost('softTlbFill', misses) + cost('tableReference', guestReferences + nestedReferences),
    };
  }

  save(): SoftwareState {
    return {
      cpu: this.cpu.save(),
      ram: this.ram.save(),
      apic: this.apic.save(),
      log: this.log.save(),
      counts: this.counts.save(),
      code: this.code.save(),
    };
  }
  restore(s: SoftwareState): void {
    this.cpu.restore(s.cpu);
    this.ram.restore(s.ram);
    this.apic.restore(s.apic);
    this.log.restore(s.log);
    this.counts.restore(s.counts);
    this.code.restore(s.code);
  }
}

const IO_SUFFIX: Readonly<Record<number, string>> = { 1: 'b', 2: 'w', 4: 'l' };

/** The VMM function that an instruction enters: QEMU's helpers of port instructions, accel/tcg/cputlb.c for memory. */
function causeOf(event: BusEvent, request: IoRequest | undefined): OutsideCause {
  if (request === undefined) {
    const what =
      event.purpose === 'code'
        ? 'the next instruction'
        : event.purpose === 'table'
          ? "an entry of the guest's tables"
          : 'the operand';
    return {
      fn: 'tlb_fill',
      why: `The VMM accesses ${what} at GPA ${hex(event.address)} in its own mapping of guest memory. No VM exit: what happens there is a page fault of the host's, taken by the VMM's process.`,
    };
  }
  const direct = 'No VM exit: the VMM emulates the CPU, and calls the device directly.';
  if (request.space === 'pio')
    return {
      fn: `helper_${request.write ? 'out' : 'in'}${IO_SUFFIX[request.size] ?? ''}`,
      why: `${request.write ? 'OUT to' : 'IN from'} port ${hex(BigInt(request.port))}. ${direct}`,
    };
  return {
    fn: request.write ? 'io_writex' : 'io_readx',
    why: `A ${request.write ? 'write' : 'read'} of GPA ${hex(request.address)}, where no RAM is. ${direct}`,
  };
}

/** The methods that need only the APIC. */
const bound = (apic: SoftApic): Omit<Platform['apic'], 'acknowledge'> => ({
  owns: (msr) => apic.owns(msr),
  readMsr: (msr) => apic.readMsr(msr),
  writeMsr: (msr, value) => apic.writeMsr(msr, value),
  setPriority: (cr8) => apic.setPriority(cr8),
});

export interface SoftwareState {
  readonly cpu: CpuSnapshot;
  readonly ram: GuestMapState;
  readonly apic: SoftApicState;
  readonly log: IoLogState;
  readonly counts: StatValues<(typeof SOFT_STATS)[number]>;
  readonly code: TranslatedCodeState;
}
