import type { Diagnostic } from '../base/diagnostic';
import { gpa, hpa, hva, type Gpa } from '../base/address';
import { must } from '../base/assert';
import { hex } from '../base/hex';
import type { Result } from '../base/result';
import { err, ok } from '../base/result';
import { Cpu } from '../hw/cpu/cpu';
import { CPU_MODELS, type CpuidModel } from '../hw/cpu/cpuid-model';
import { HostMemory } from '../hw/memory/host-memory';
import { AddressSpace } from '../host/address-space';
import { describeHostFault } from '../host/fault';
import { HostKernel } from '../host/kernel';
import { drain } from '../trace/step';
import { createVcpu, createVm } from '../kvm/kvm';
import { hostPaging } from '../kvm/svm/setup';
import { slotHva } from '../kvm/memslots';
import { eptLevels } from '../kvm/mmu/tdp-mmu';
import { Vm } from '../kvm/vm';
import { setRegisters } from '../kvm/x86/sregs';
import type { Accelerator, GuestRam } from './accelerator';
import { checkOptions } from './check-options';
import type { Bus } from './bus/bus';
import { machineError } from './diagnostics';
import { KvmAccelerator } from './kvm-accelerator';
import type { GuestImage, ImageSegment } from './loader/image';
import { SoftwareAccelerator } from './softmmu/accelerator';
import { slotsOf, type MachineOptions, type SlotOption } from './options';
import { planStart } from './start';
import { multibootStart } from './start/multiboot';
import type { RamWrite, StartPlan } from './start/plan';
import { firmwareBase, resetStart } from './start/reset';

/** The parts of a machine, assembled and loaded, before the guest runs. */
export interface MachineParts {
  readonly kernel: HostKernel;
  readonly space: AddressSpace;
  readonly accelerator: Accelerator;
}

/** Upper estimate of the host frames that a VCPU needs before it can run. */
const VCPU_FRAMES = 16;

/** Prepared page tables may take at most this fraction of host memory (1 / n). */
const MOST_TABLES = 8n;

/** Bytes between the mappings of two slots: one unmapped page, so that running past a slot also faults on the host. */
const GUARD = 4096n;

/** What QEMU's main does: maps RAM, creates VM and VCPUs, sets memslots, loads the guest and its registers. */
export function buildMachine(
  options: MachineOptions,
  image: GuestImage,
  bus: Bus,
): Result<MachineParts, readonly Diagnostic[]> {
  const wrong = checkOptions(options);
  if (wrong.length > 0) return err(wrong);
  const model = must(CPU_MODELS.get(options.cpu), 'the CPU model was checked');
  // Linux uses five levels on any processor that supports them
  const levels = model.has('LA57') ? 5 : 4;
  const kernel = new HostKernel(
    new HostMemory(options.hostBase, options.hostMemory),
    options.hostSwap === undefined ? undefined : Number(options.hostSwap >> 12n),
    options.seed,
    levels,
  );
  const placements = options.placements.map((p) => ({ hva: hva(p.hva), hpa: hpa(p.hpa) }));
  const created = AddressSpace.create(kernel, placements);
  if (!created.ok) return err([machineError('placement', created.error)]);
  const space = created.value;
  const tlb =
    options.tlb === 'off'
      ? { tlbEntries: 0, tlbWays: 0 }
      : { tlbEntries: options.tlb.entries, tlbWays: options.tlb.ways };
  const cpuOptions = { ...tlb, walkCaches: options.walkCaches };
  const made =
    options.mmu === 'software'
      ? new SoftwareAccelerator(kernel, space, model, cpuOptions, bus)
      : createVm(kernel, space, {
          eptAd: options.eptAd,
          model,
          eptLevels: eptLevels(levels === 5, model.physicalBits),
          ...(options.mmu === 'shadow' ? { shadow: options.shadow } : {}),
          ...(options.mmu === 'npt' ? { npt: hostPaging(model, levels) } : {}),
        });
  const ram = made instanceof Vm ? made : made.ram;
  const firmware =
    image.start === 'reset'
      ? [{ gpa: firmwareBase(image.firmware.length), size: BigInt(image.firmware.length), readonly: true }]
      : [];
  const slots = setSlots(options, firmware, space, ram);
  if (!slots.ok) return slots;
  const unplaceable = space.unplaced().find((p) => p.never);
  if (unplaceable)
    return err([
      machineError('placement', `place ${hex(unplaceable.page)} ${hex(unplaceable.frame)}: ${unplaceable.why}`),
    ]);

  const tables = image.start === 'flat64' ? slotsOf(options).reduce((n, s) => n + s.size, 0n) / 512n : 0n;
  if (tables > BigInt(options.hostMemory) / MOST_TABLES)
    return err([
      machineError(
        'badMemory',
        `start=flat64 maps all guest RAM in prepared page tables, which for so much would take ${tables >> 20n} MiB of the host's ${options.hostMemory >> 20}: make memory smaller or host-memory larger, or use start=flat16`,
      ),
    ]);
  const plan = startOf(image, slotsOf(options), model);
  if (!plan.ok) return err([machineError('noRoomForTables', `start=${image.start}: ${plan.error}`)]);
  for (const s of image.segments) {
    const outside = checkInside(ram, s);
    if (outside !== undefined) return err([machineError('imageOutsideMemory', outside, image.file)]);
  }
  const clash =
    image.start === 'flat32' || image.start === 'flat64' ? overlap(plan.value.writes, image.segments) : undefined;
  if (clash !== undefined)
    return err([
      machineError(
        'noRoomForTables',
        `start=${image.start}: the image reaches ${hex(clash)}, where the prepared page tables and descriptors lie at the top of RAM: make memory larger`,
        image.file,
      ),
    ]);
  for (const w of plan.value.writes) {
    const written = load(ram, space, gpa(w.gpa), w.bytes);
    if (!written.ok)
      return err([
        machineError('badMemory', `start=${image.start} needs guest RAM at ${hex(w.gpa)}: ${written.error}`),
      ]);
  }
  for (const s of image.segments) {
    const loaded = load(ram, space, gpa(s.gpa), s.bytes);
    if (!loaded.ok) return err([machineError('hostMemory', loaded.error)]);
  }

  drain(space.makeRoom(VCPU_FRAMES));
  if (kernel.frames.framesFree < VCPU_FRAMES)
    return err([
      machineError(
        'hostMemory',
        `host-memory=${hex(options.hostMemory)} is full once the guest is loaded: make it larger`,
      ),
    ]);
  if (!(made instanceof Vm)) {
    made.setRegisters(plan.value.state);
    return ok({ kernel, space, accelerator: made });
  }
  const vcpu = createVcpu(made, new Cpu(kernel.memory, 0, model, cpuOptions), 0, { vpid: options.vpid });
  setRegisters(vcpu, plan.value.state);
  return ok({ kernel, space, accelerator: new KvmAccelerator(made, vcpu, bus) });
}

/** The state and RAM contents required by the image's start mode. */
function startOf(image: GuestImage, ram: readonly SlotOption[], model: CpuidModel): Result<StartPlan, string> {
  switch (image.start) {
    case 'multiboot':
      return multibootStart(image.entry, image.boot, ram);
    case 'reset': {
      const plan = resetStart(image.firmware, model.leaf(1, 0)[0]);
      return ok({
        ...plan,
        writes: [...plan.writes, { gpa: firmwareBase(image.firmware.length), bytes: image.firmware }],
      });
    }
    default:
      return planStart(image.start, image.entry, ram);
  }
}

/**
 * One mapping and one memslot per configured slot and for firmware: the first at hva-base, each following one after
 * it, aligned for large pages.
 */
function setSlots(
  options: MachineOptions,
  firmware: readonly SlotOption[],
  space: AddressSpace,
  memory: GuestRam,
): Result<void, readonly Diagnostic[]> {
  const pageSize = options.hostPages === '1g' ? 1n << 30n : 1n << 21n;
  const ram = slotsOf(options);
  let next = options.hvaBase;
  for (const [i, s] of [...ram, ...firmware].entries()) {
    const backing = i < ram.length ? options.hostPages : '4k';
    // hugetlb pages are indivisible: the mapping may be longer than the slot
    const length = backing === '2m' || backing === '1g' ? (s.size + pageSize - 1n) & ~(pageSize - 1n) : s.size;
    const vma = space.mmap(length, {
      at: hva(next),
      backing,
      name: i === 0 ? 'pc.ram' : i < ram.length ? `ram${i}` : 'pc.bios',
    });
    if (!vma.ok) return err([machineError(options.slots.length === 0 ? 'badMemory' : 'badSlot', vma.error)]);
    const set = drain(
      memory.setUserMemoryRegion({
        slot: i,
        readonly: s.readonly,
        guestPhysAddr: gpa(s.gpa),
        memorySize: s.size,
        userspaceAddr: vma.value.start,
      }),
    );
    if (!set.ok) return err([machineError('badSlot', set.error)]);
    next = (vma.value.end + GUARD + pageSize - 1n) & ~(pageSize - 1n);
  }
  return ok(undefined);
}

/** The first address that both a prepared structure and the image occupy. */
function overlap(writes: readonly RamWrite[], segments: readonly ImageSegment[]): bigint | undefined {
  for (const w of writes) {
    for (const s of segments) {
      const start = w.gpa > s.gpa ? w.gpa : s.gpa;
      const end = w.gpa + BigInt(w.bytes.length);
      if (start < end && start < s.gpa + s.memorySize) return start;
    }
  }
  return undefined;
}

/** The message for an image that does not fit into guest RAM. */
function checkInside(memory: GuestRam, s: ImageSegment): string | undefined {
  const end = s.gpa + s.memorySize;
  const bad = firstOutside(memory, s.gpa, end);
  if (bad === undefined) return undefined;
  const ram = memory.memslots.all.map((m) => `${hex(m.start)}-${hex(m.end)}`).join(', ');
  return `${s.memorySize} bytes loaded at ${hex(s.gpa)} end at ${hex(end)}, and there is no guest RAM at ${hex(bad)} (RAM: ${ram}): make memory larger, or org lower`;
}

/** The first address of the range that is outside all slots. */
function firstOutside(memory: GuestRam, start: bigint, end: bigint): bigint | undefined {
  for (let at = start; at < end;) {
    const slot = memory.memslots.find(gpa(at));
    if (!slot) return at;
    at = slot.end;
  }
  return undefined;
}

/**
 * The VMM writes guest RAM through its own mapping, faulting pages in on the host. Read-only slots are read-only only
 * for the guest.
 */
function load(ram: GuestRam, space: AddressSpace, address: Gpa, bytes: Uint8Array): Result<void, string> {
  for (let done = 0; done < bytes.length;) {
    const at = gpa(address + BigInt(done));
    const slot = ram.memslots.find(at);
    if (!slot) return err(`there is no guest RAM at ${hex(at)}`);
    const left = slot.end - at;
    const n = left < BigInt(bytes.length - done) ? Number(left) : bytes.length - done;
    const written = drain(space.write(slotHva(slot, at), bytes.subarray(done, done + n)));
    if (!written.ok) return err(describeHostFault(written.error));
    done += n;
  }
  return ok(undefined);
}
