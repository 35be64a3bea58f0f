/** Names and text of included files. */
/**
 * How an included file is called from here on: `path` seen from the folder of the file that names it. An editor finds the file by
 * that name, and what it includes in turn is looked for beside it.
 */
export function fileBeside(path: string, from: string): string {
  if (/^([a-z]:)?[\\/]/i.test(path)) return path;
  const parts = from
    .replace(/[^\\/]*$/, '')
    .split(/(?<=[\\/])/)
    .filter((part) => part !== '');
  for (const step of path.split(/(?<=[\\/])/)) {
    const up = /^\.\.[\\/]$/.test(step) && parts.length > 0 && !/^(\.\.)?[\\/]$/.test(parts.at(-1) ?? '');
    if (up) parts.pop();
    else if (!/^\.[\\/]$/.test(step)) parts.push(step);
  }
  return parts.join('');
}

/** Written out because the core has no TextDecoder; what is no UTF-8 is read as Latin-1. */
export function decodeUtf8(bytes: Uint8Array): string {
  let binary = '';
  for (let i = 0; i < bytes.length; i += 4096) binary += String.fromCharCode(...bytes.subarray(i, i + 4096));
  try {
    return decodeURIComponent(
      binary.replace(/[%\u0080-\u00ff]/g, (c) => '%' + c.charCodeAt(0).toString(16).padStart(2, '0')),
    );
  } catch {
    return binary;
  }
}
