/** When a person hears that sources were edited under a running guest, and in which words. */

export const EDIT_ACTIONS = ['Restart', 'Keep Running Image'] as const;

/** `nameOf` shortens a path. `isAssembled`: by Pagewalk, at each start; else somebody has to build it. */
export function editNotice(path: string, isAssembled: boolean, nameOf: (path: string) => string): string {
  const name = nameOf(path);
  return isAssembled
    ? `${name} has changed since the guest was assembled. The guest keeps running the image that it was started with.`
    : `${name} has changed since the guest was started. To run the change, build the guest and restart it.`;
}

/** From the first edit that matters until all sources are as they were again, or another image runs: the notice comes once in it. */
export class EditPeriod {
  private readonly differing = new Set<string>();
  private told = false;

  /** Whether to tell now. */
  note(path: string, differs: boolean): boolean {
    if (differs) this.differing.add(path);
    else this.differing.delete(path);
    if (this.differing.size === 0) this.told = false;
    const isFirst = differs && !this.told;
    if (isFirst) this.told = true;
    return isFirst;
  }
}
