/** JSON with comments and trailing commas, as VS Code's themes are written. */
export function parse(text: string): unknown {
  const plain = text.replace(
    /("(?:\\.|[^"\\])*")|\/\/[^\n]*|\/\*[^]*?\*\//g,
    (_, string: string | undefined) => string ?? '',
  );
  return JSON.parse(plain.replace(/,(\s*[\]}])/g, '$1'));
}
