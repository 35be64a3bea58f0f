/** The call stack as it is shown: the hypervisor's frames of an exit in progress above the guest's. */
import type { Activity } from '../exits/activity';
import type { MemoryAccess } from '../guest/memory';
import type { SymbolTable } from '../guest/symbols';
import type { GuestView } from '../guest/view';
import type { FrameView } from '../types';
import { Documents } from './documents';
import type { FrameRegisters } from './frame-registers';
import { guestFrames } from './stack';

export class Frames {
  private readonly documents = new Documents();

  constructor(
    private readonly guest: GuestView,
    private readonly memory: MemoryAccess,
    private readonly symbols: SymbolTable,
    private readonly activity: () => Activity | undefined,
  ) {}

  frames(): readonly FrameView[] {
    const activity = this.activity();
    const above = activity ? this.framesOf(activity) : [];
    const guest = guestFrames(this.guest, this.memory, this.symbols).map(
      ({ name, address, location }, level): FrameView => ({
        id: above.length + level,
        kind: 'guest',
        name,
        actor: 'guest',
        mode: this.guest.emulated ? 'user' : 'non-root',
        level,
        address,
        ...(location ? { location } : {}),
      }),
    );
    return [...above, ...guest];
  }
  private framesOf(activity: Activity): readonly FrameView[] {
    const id = this.documents.of(activity);
    return activity.frames.map(({ name, actor, mode, line }, i) => ({
      id: i,
      kind: 'hypervisor',
      name,
      actor,
      mode,
      document: { id, name: activity.name, line },
    }));
  }

  /** A hypervisor frame's generated text. */
  document(id: number): string | undefined {
    return this.documents.text(id);
  }

  /** How many guest frames lie above the frame of an id; a hypervisor's frame counts as the top guest frame. */
  levelOf(id: number): number {
    return Math.max(0, id - (this.activity()?.frames.length ?? 0));
  }
  /** The registers of the guest frame of a level from 1 on; undefined if there is no frame at that level. */
  registersAt(level: number): FrameRegisters | undefined {
    return guestFrames(this.guest, this.memory, this.symbols, level + 1)[level]?.registers;
  }
}
