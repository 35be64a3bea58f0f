/** What a CPU model says it is and how wide its addresses are. One file of models will list more. */
export interface CpuidModel {
  readonly name: string;
  /** MAXPHYADDR, 36–52. */
  readonly physicalBits: number;
  /** 48, or 57 with LA57. */
  readonly linearBits: number;
  /** EAX EBX ECX EDX of a leaf; unknown leaves answer as the highest basic leaf does (SDM vol. 2, CPUID). */
  leaf(leaf: number, subleaf: number): readonly [number, number, number, number];
}
