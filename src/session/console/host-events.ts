/** Carrying out what host-commands.ts understands. */
import { alignDown, gpa, hpa, hva, type Hva } from '../../base/address';
import { assertUnreachable } from '../../base/assert';
import { hex } from '../../base/hex';
import type { Result } from '../../base/result';
import { err, ok } from '../../base/result';
import type { AddressSpace } from '../../host/address-space';
import type { Step, Work } from '../../trace/step';
import type { Machine } from '../../vmm/machine';
import { MemoryRegions } from '../../vmm/memory-regions';
import type { GuestView } from '../guest/view';
import type { HostCommand, Place } from './host-commands';
import { reverseHpa } from '../translate/reverse';
import type { SymbolTable } from '../guest/symbols';
import { softwareGpa } from '../translate/translate';

const PAGE = 4096n;

/** What was done: its steps in order, and one sentence about the outcome; or why it cannot be done. */
export interface HostDeed {
  readonly steps: readonly Step[];
  readonly outcome: Result<string, string>;
}

export class HostEvents {
  private readonly regions: MemoryRegions;

  constructor(
    private readonly machine: Machine,
    private readonly guest: GuestView,
    private readonly symbols: SymbolTable,
  ) {
    this.regions = new MemoryRegions(machine.ram, machine.host);
  }

  /** Frames reserved by `@host place` that no page got so far. */
  unplaced(): ReturnType<AddressSpace['unplaced']> {
    return this.machine.host.unplaced();
  }

  /** At any moment, even while an exit is being handled: that is what the kernel's sequence count is for. */
  do(command: HostCommand): HostDeed {
    const steps: Step[] = [];
    const told = function* <T>(work: Work<T>): Work<T> {
      for (;;) {
        const next = work.next();
        if (next.done === true) return next.value;
        steps.push(next.value);
        yield next.value;
      }
    };
    const work = this.work(command);
    const outcome = work.ok ? this.machine.perform(told(work.value)) : work;
    this.guest.refresh();
    return { steps, outcome };
  }

  private work(c: HostCommand): Result<Work<Result<string, string>>, string> {
    const { machine, regions } = this;
    const { host } = machine;
    switch (c.kind) {
      case 'swap-out':
        return this.at(c.at, (p) => host.swapOut(p));
      case 'collapse':
        return this.at(c.at, (p) => host.collapse(p));
      case 'split':
        return this.at(c.at, (p) => host.splitHuge(p));
      case 'migrate': {
        const { to } = c;
        return this.at(c.at, (p) => host.migrate(p, to === undefined ? undefined : hpa(to)));
      }
      case 'merge': {
        const other = this.hvaOf(c.other);
        return other.ok ? this.at(c.at, (p) => host.merge(p, other.value)) : other;
      }
      case 'balloon':
      case 'deflate':
        return this.at(c.at, (p) => {
          const [start, end] = [alignDown(p, PAGE), hva((p + c.size + PAGE - 1n) & ~(PAGE - 1n))];
          return c.kind === 'balloon' ? host.discard(start, end) : host.willNeed(start, end);
        });
      case 'slot-add':
        return ok(regions.add(c.id, gpa(c.gpa), c.size, c.readonly));
      case 'slot-delete':
        return ok(regions.remove(c.id));
      case 'slot-move':
        return ok(regions.move(c.id, gpa(c.to)));
      case 'slot-remap':
        return ok(regions.remap(c.id, hva(c.to)));
      case 'slot-readonly':
        return ok(regions.setReadonly(c.id, c.on));
      case 'slot-log':
        return ok(regions.setLogging(c.id, c.on));
      case 'slot-dirty':
        return ok(this.dirty(c.id));
      default:
        return assertUnreachable(c);
    }
  }

  private *dirty(id: number): Work<Result<string, string>> {
    const pages = yield* this.regions.dirtyPages(id);
    if (!pages.ok) return pages;
    const shown = pages.value.slice(0, MOST_PAGES).map((p) => hex(p));
    const more = pages.value.length - shown.length;
    return ok(
      pages.value.length === 0
        ? 'no page was written'
        : `written: GPA ${shown.join(', ')}${more > 0 ? ` and ${more} more` : ''}`,
    );
  }

  private at(
    place: Place,
    make: (p: Hva) => Work<Result<string, string>>,
  ): Result<Work<Result<string, string>>, string> {
    const at = this.hvaOf(place);
    return at.ok ? ok(make(at.value)) : at;
  }

  /** Where the VMM has the page: the host knows no other address of it. */
  hvaOf(place: Place): Result<Hva, string> {
    if (place.kind === 'label') {
      const value = this.symbols.valueOf(place.name);
      return value === undefined
        ? err(`there is no label \`${place.name}\``)
        : this.hvaOf({ kind: 'address', space: 'gva', value });
    }
    const { space, value } = place;
    switch (space) {
      case 'hva':
        return ok(hva(value));
      case 'gpa': {
        const at = this.guest.physical.hvaOf(value);
        return at === undefined
          ? err(`GPA ${hex(value)} is in no ${this.guest.emulated ? 'memory region' : 'memslot'}`)
          : ok(hva(at));
      }
      case 'gva': {
        const at = softwareGpa(this.guest, value);
        return at === undefined
          ? err(`the guest has no translation for GVA ${hex(value)}`)
          : this.hvaOf({ kind: 'address', space: 'gpa', value: at });
      }
      case 'hpa': {
        const { hva: at } = reverseHpa(this.guest, value);
        return at === undefined ? err(`no page of the VMM lies at HPA ${hex(value)}`) : ok(hva(at));
      }
    }
  }
}

/** Pages that one answer lists. */
const MOST_PAGES = 64;
