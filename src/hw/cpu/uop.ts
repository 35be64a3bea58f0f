/**
 * Micro-ops. A block is a flat Int32Array, four words each:
 *
 *   word 0: opcode (bits 7:0) | modifier << 8
 *   word 1: d     destination slot (or source of a store)
 *   word 2: a     first source slot
 *   word 3: b     second source slot, or a 32-bit immediate
 *
 * Slots are those of hw/state/layout (0–15 general registers, 32–63 temporaries). "32" variants compute modulo 2^32 and zero the upper half, so
 * that 8- and 16-bit work is 32-bit work followed by ZX8 or ZX16. Only LD*, ST*, PROBE, LIN, TARGET, HELP and SYS can fail; everything that can fail comes before
 * the first write to an architectural slot (instructions are restartable).
 */
export const UOP = {
  // moves
  MOV: 0, // d ← a
  CONST: 1, // d ← b:a (high:low)
  ZX8: 2, // d ← a[7:0]
  ZX8H: 3, // d ← a[15:8]
  ZX16: 4,
  ZX32: 5,
  SX8: 6, // sign-extend to 64
  SX16: 7,
  SX32: 8,
  PUT8: 9, // d[7:0] ← a
  PUT8H: 10, // d[15:8] ← a
  PUT16: 11, // d[15:0] ← a
  // (a 32-bit write is ZX32, a 64-bit write is MOV)

  // arithmetic
  ADD64: 12, // d ← a + b
  SUB64: 13,
  AND64: 14,
  OR64: 15,
  XOR64: 16,
  MUL64: 17, // low 64 bits
  ADD32: 18,
  SUB32: 19,
  AND32: 20,
  OR32: 21,
  XOR32: 22,
  MUL32: 23, // low 32 bits
  ADDI64: 24, // d ← a + sext(b)
  ADDI32: 25,
  SHLI64: 26, // d ← a << b, immediate 0–63
  SHLI32: 27,
  SHRI64: 28,
  SHRI32: 29,
  SARI64: 30,
  SARI32: 31, // of the low 32 bits, zero-extended

  // flags
  FLAGS: 32, // lazy flags ← kind|width in modifier (CC kind << 2 | log2 bytes), result d, operands a, b
  FLAGS_INCDEC: 33, // likewise, keeping CF
  GETCF: 34, // d ← CF
  SETCC: 35, // d ← condition(modifier) ? 1 : 0
  CSEL: 36, // d ← condition(modifier) ? a : b
  GETFLAGS: 37, // d ← the six arithmetic flags
  PUTFLAGS: 38, // the six arithmetic flags ← a

  // branches inside the block (forward); target = b, an index of a micro-op
  BR: 39,
  BRZ: 40, // a = 0 (64 bits)
  BRNZ: 41,
  BRCC: 42, // condition(modifier)

  // memory. Linear address = a + sext(b). modifier: bit 0 = intent to write (RMW), bit 1 = stack segment (a bad address is #SS)
  LIN: 43, // d ← linear address of segment offset a + sext(b); modifier: segment | log2 size << 4 | write << 8 | log2(address bits / 16) << 12; checks limit and rights
  LD8: 44, // d ← zero-extended
  LD16: 45,
  LD32: 46,
  LD64: 47,
  ST8: 48, // source d
  ST16: 49,
  ST32: 50,
  ST64: 51,
  PROBE: 52, // check that `d` bytes at a + sext(b) may be written (modifier bit 0) or read

  // ends of a block
  JCC: 53, // condition(modifier & 15): rip ← rip(start) + a + d, else + a.   d = displacement, a = offset of the next instruction; operand bits in modifier >> 4 (0: 16, 1: 32, 2: 64)
  JMP: 54, // rip ← rip(start) + a + d
  JMPR: 55, // rip ← a (already truncated to the operand size)
  END: 56, // rip ← rip(start) + a, no branch
  JNZ: 57, // like JCC; taken when slot b is not zero (LOOP, JCXZ, REP)
  JZ: 58,

  // calls out
  HELP: 59, // helper function number modifier, called with (state, d, a, b); a result other than 0 is a fault (vector + 1)
  SYS: 60, // system function number modifier, called with (core, a, b); d = index of the instruction in the block
  TARGET: 61, // check that a near branch may go to the offset in a (modifier: operand bits as for JCC), before anything is committed
  FLAGS_RESULT: 62, // FLAGS for kinds that need no operands (LOGIC)
} as const;

/** Words per micro-op. */
export const UOP_WORDS = 4;
