/**
 * State components of XCR0 (SDM vol. 1, 13.1), and the XSAVE area for the two components that every CPU model here
 * supports.
 */
export const XSTATE = { X87: 1n, SSE: 2n } as const;
/** The bits that XCR0 may hold. */
export const XCR0_MASK = XSTATE.X87 | XSTATE.SSE;
/** The region that XSAVE shares with FXSAVE, in bytes, and the header after it; there are no further components. */
export const FXSAVE_SIZE = 512;
const XSAVE_HEADER_SIZE = 64;
export const XSAVE_SIZE = FXSAVE_SIZE + XSAVE_HEADER_SIZE;
