/** The operand and address size that code is made for, as `bits` sets it. */
export type Bits = 16 | 32 | 64;
