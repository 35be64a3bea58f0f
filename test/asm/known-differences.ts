/** Instructions that nasm encodes otherwise than we do, and who is right. */
const REASONS: readonly (readonly [RegExp, string])[] = [
  [/^ptwrite\b/, 'nasm leaves out F3, which makes it another instruction'],
  [/^vmgexit\b/, 'nasm encodes it as F2 0F 01 C1'],
  [
    /^(rdsspd|incsspd|wrssd|wrussd|rdshr|wrshr)\b/,
    'nasm adds an operand-size prefix in 16-bit mode, which changes nothing',
  ],
  [/^(enqcmds?|movdir64b)\b/, 'nasm sizes the address by the destination register'],
  [/^vcvtneps2bf16\b/, 'nasm puts a register into vvvv, which makes it undefined'],
  [/^vfm(add|sub)(132|213|231)ph\b/, 'nasm gives it the opcode of vfnmadd or vfnmsub'],
  [/^v\w+sh\b|^vcvtt?sh2|^vcvtu?si2sh/, 'nasm does not shrink the displacement of a half-precision scalar'],
  [/^vgetmantph\b/, 'nasm gives it the opcode of vgetmantps'],
  [/^vrcpph\b|^vrsqrtph\b/, 'nasm puts a register into vvvv, which makes it undefined'],
  [/^(vcvttph2u?qq|vmovw)\b/, 'nasm scales the displacement by the wrong size'],
  [/^vpperm\b/, 'with registers alone there are two encodings; nasm takes the other'],
  [/^vmovq\b.*\[/, 'there are two encodings of the same length; nasm takes the other under {evex}'],
  [/^vpextrw\b/, 'there are two encodings; nasm takes the longer under {evex}'],
  [/^ret(n?[wd])\b/, 'nasm leaves out the prefix that makes it the size its name says'],
];

/** Why an instruction's bytes may differ from nasm's, or undefined. */
export const reasonFor = (text: string): string | undefined =>
  REASONS.find(([names]) => names.test(text.replace(/^\{\w+\} /, '')))?.[1];
