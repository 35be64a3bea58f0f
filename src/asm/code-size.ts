/** The operand and address size that code is assembled for, as set by `bits`. */
export type Bits = 16 | 32 | 64;
