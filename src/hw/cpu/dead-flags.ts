import { UOP, UOP_WORDS } from './uop';

/** Micro-ops between two settings of the flags that neither read flags nor can fault, branch or leave the block: plain moves and arithmetic. */
const QUIET = new Uint8Array(256);
for (const op of [
  UOP.MOV,
  UOP.CONST,
  UOP.ZX8,
  UOP.ZX8H,
  UOP.ZX16,
  UOP.ZX32,
  UOP.SX8,
  UOP.SX16,
  UOP.SX32,
  UOP.PUT8,
  UOP.PUT8H,
  UOP.PUT16,
  UOP.ADD64,
  UOP.SUB64,
  UOP.AND64,
  UOP.OR64,
  UOP.XOR64,
  UOP.MUL64,
  UOP.ADD32,
  UOP.SUB32,
  UOP.AND32,
  UOP.OR32,
  UOP.XOR32,
  UOP.MUL32,
  UOP.ADDI64,
  UOP.ADDI32,
  UOP.SHLI64,
  UOP.SHLI32,
  UOP.SHRI64,
  UOP.SHRI32,
  UOP.SARI64,
  UOP.SARI32,
])
  QUIET[op] = 1;

const isSet = (op: number): boolean => op === UOP.FLAGS || op === UOP.FLAGS_RESULT || op === UOP.PUTFLAGS;
const hasTarget = (op: number): boolean => op === UOP.BR || op === UOP.BRZ || op === UOP.BRNZ || op === UOP.BRCC;

/**
 * Removes settings of the flags that the next setting overwrites unseen: nothing between them reads flags, can fault, or is a place that a branch inside the block lands on.
 * `starts` (first micro-op of each instruction) and branch targets are adjusted. Blocks of one instruction are left alone, so that stepping sees every flag.
 */
export function removeDeadFlags(words: number[], starts: number[]): void {
  const count = words.length / UOP_WORDS;
  const landing = new Uint8Array(count + 1);
  for (let i = 0; i < count; i++)
    if (hasTarget((words[i * UOP_WORDS] as number) & 0xff)) landing[words[i * UOP_WORDS + 3] as number] = 1;
  const dead = new Uint8Array(count);
  let pending = -1;
  let any = false;
  for (let i = 0; i < count; i++) {
    const op = (words[i * UOP_WORDS] as number) & 0xff;
    if (landing[i]) pending = -1;
    if (isSet(op)) {
      if (pending >= 0) {
        dead[pending] = 1;
        any = true;
      }
      pending = i;
    } else if (QUIET[op] === 0) pending = -1;
  }
  if (!any) return;
  const moved = new Int32Array(count + 1);
  let to = 0;
  for (let i = 0; i <= count; i++) {
    moved[i] = to;
    if (i === count || dead[i]) continue;
    for (let k = 0; k < UOP_WORDS; k++) words[to * UOP_WORDS + k] = words[i * UOP_WORDS + k] as number;
    to++;
  }
  words.length = to * UOP_WORDS;
  for (let i = 0; i < to; i++)
    if (hasTarget((words[i * UOP_WORDS] as number) & 0xff))
      words[i * UOP_WORDS + 3] = moved[words[i * UOP_WORDS + 3] as number] as number;
  for (let i = 0; i < starts.length; i++) starts[i] = moved[starts[i] as number] as number;
}
