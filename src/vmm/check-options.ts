import type { Diagnostic } from '../base/diagnostic';
import { hex } from '../base/hex';
import { CPU_MODELS } from '../hw/cpu/cpuid-model';
import { MAX_HOST_MEMORY } from '../hw/memory/host-memory';
import { MAX_TLB_ENTRIES } from '../hw/tlb/tlb';
import { machineError } from './diagnostics';
import { slotsOf, type MachineOptions } from './options';

const PAGE = 4096n;
/** With less host memory than this, not even the tables of an empty machine fit. */
const LEAST_HOST_MEMORY = 1 << 20;

/** Limit on swap: swapped-out pages use the memory of the process that runs the model. */
const MOST_SWAP = 4n << 30n;

/**
 * Errors in the options themselves; those that only building reveals (overlaps, exhausted memory) are reported there.
 */
export function checkOptions(o: MachineOptions): readonly Diagnostic[] {
  const out: Diagnostic[] = [];
  const model = CPU_MODELS.get(o.cpu);
  if (o.slots.length === 0 && (o.memory <= 0n || o.memory % PAGE !== 0n))
    out.push(machineError('badMemory', `memory=${hex(o.memory)}: guest RAM must be a positive multiple of 4 KiB`));
  slotsOf(o).forEach((s, i) => {
    if (o.slots.length === 0) return;
    const name = `slot ${i} (${hex(s.gpa)}+${hex(s.size)})`;
    if (s.size <= 0n || s.size % PAGE !== 0n)
      out.push(machineError('badSlot', `${name}: the size must be a positive multiple of 4 KiB`));
    else if (s.gpa % PAGE !== 0n) out.push(machineError('badSlot', `${name}: the address must be a multiple of 4 KiB`));
    else if (model && s.gpa + s.size > 1n << BigInt(model.physicalBits))
      out.push(
        machineError('badSlot', `${name} ends beyond the ${model.physicalBits} physical address bits of cpu=${o.cpu}`),
      );
  });
  if (
    !Number.isInteger(o.hostMemory) ||
    o.hostMemory < LEAST_HOST_MEMORY ||
    o.hostMemory > MAX_HOST_MEMORY ||
    o.hostMemory % 4096 !== 0
  )
    out.push(
      machineError('hostMemory', `host-memory=${hex(o.hostMemory)}: must be 1 MiB to 3 GiB, in whole 4 KiB frames`),
    );
  if (o.hostSwap !== undefined && (o.hostSwap % PAGE !== 0n || o.hostSwap > MOST_SWAP))
    out.push(machineError('hostMemory', `host-swap=${hex(o.hostSwap)}: must be at most 4 GiB, in whole 4 KiB pages`));
  if (o.hostBase % PAGE !== 0n || o.hostBase < 0n || o.hostBase >= 1n << 45n)
    out.push(machineError('hostMemory', `host-base=${hex(o.hostBase)}: must be a multiple of 4 KiB below 2^45`));
  if (o.mmu === 'shadow' && o.hostBase + BigInt(o.hostMemory) > 1n << 32n)
    out.push(
      machineError(
        'hostMemory',
        `mmu=shadow: host memory ${hex(o.hostBase)}+${hex(o.hostMemory)} reaches beyond 4 GiB, where the top table of a 32-bit guest cannot lie: make host-base smaller`,
      ),
    );
  if (o.hvaBase % PAGE !== 0n) out.push(machineError('badMemory', `hva-base=${hex(o.hvaBase)}: a multiple of 4 KiB`));
  for (const { name, ranges } of o.devices) {
    for (const { space, first, last } of ranges) {
      const inTheWay = space === 'gpa' && slotsOf(o).find((s) => s.gpa <= last && s.gpa + s.size > first);
      if (!inTheWay) continue;
      const ram = `${hex(inTheWay.gpa)}+${hex(inTheWay.size)}`;
      out.push(
        machineError(
          o.slots.length === 0 ? 'badMemory' : 'badSlot',
          `device=${name}: its memory at GPA ${hex(first)} must not be guest RAM, and ${ram} is. Use at most ${first >> 20n}M there`,
        ),
      );
    }
  }
  if (!CPU_MODELS.has(o.cpu))
    out.push(
      machineError(
        'badCpu',
        `cpu=${o.cpu}: there is no such model; the models are ${[...CPU_MODELS.keys()].join(', ')}`,
      ),
    );
  if (o.hostPages === '1g' && model?.pages1g === false)
    out.push(
      machineError('badCpu', `host-pages=1g, cpu=${o.cpu}: that processor has no 1 GiB pages. Use host-pages=2m`),
    );
  const needs = o.mmu === 'npt' ? 'SVM' : o.mmu === 'software' ? undefined : 'VMX';
  if (model && needs && !model.has(needs))
    out.push(
      machineError(
        'badCpu',
        `mmu=${o.mmu}, cpu=${o.cpu}: that processor has no ${needs}; these have: ${[...CPU_MODELS.values()]
          .filter((m) => m.has(needs))
          .map((m) => m.name)
          .join(', ')}`,
      ),
    );
  if (o.cpus !== 1) out.push(machineError('notBuilt', `cpus=${o.cpus}: more than one VCPU is not supported yet`));
  if (o.tlb !== 'off') {
    const { entries, ways } = o.tlb;
    const sets = entries / ways;
    if (
      !Number.isInteger(entries) ||
      !Number.isInteger(ways) ||
      ways < 1 ||
      entries < 1 ||
      entries > MAX_TLB_ENTRIES ||
      !Number.isInteger(sets) ||
      (sets & (sets - 1)) !== 0
    )
      out.push(
        machineError(
          'badTlb',
          `tlb=${entries},${ways}: at most ${MAX_TLB_ENTRIES} entries, in a power of two of sets of that many ways`,
        ),
      );
  }
  if (o.maxInstructions !== undefined && (!Number.isSafeInteger(o.maxInstructions) || o.maxInstructions < 1))
    out.push(machineError('badMemory', `max-instructions=${o.maxInstructions}: must be a positive whole number`));
  return out;
}
