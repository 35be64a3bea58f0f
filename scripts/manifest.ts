/**
 * What package.json repeats of tables in src, put there from them: `npm run manifest`. A test asks whether it has been.
 *
 *   the launch configuration's schema, and settings of the same name   the table of options
 *   languages of breakpoints, of the debugger and of menus             guest-languages
 *   panels: activation events, the setting that lists them             PANELS
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { COMPILED_LANGUAGES, GUEST_LANGUAGES } from '../src/extension/guest-languages';
import { PANELS } from '../src/protocol/panels';
import { launchSchema, type JsonSchema } from '../src/session/launch/launch-schema';

type Setting = { enum?: readonly string[]; default?: unknown; items?: JsonSchema };

export interface Manifest {
  activationEvents: readonly string[];
  readonly contributes: {
    breakpoints: readonly { readonly language: string }[];
    readonly debuggers: readonly {
      languages: readonly string[];
      readonly configurationAttributes: { readonly launch: { properties: Readonly<Record<string, JsonSchema>> } };
    }[];
    readonly menus: Readonly<Record<string, readonly { readonly command: string; when?: string }[]>>;
    readonly configuration: { readonly properties: Readonly<Record<string, Setting>> };
  };
}

/** Settings that mean the same as the option of their name. */
const OPTION_SETTINGS = ['assembler', 'define'] as const;
const LANGUAGE_TEST = /resourceLangId =~ \/\^\([^)]*\)\$\//;

/** The manifest as the tables have it; nothing else of it is changed. */
export function filled<M extends Manifest>(manifest: M): M {
  const copy = JSON.parse(JSON.stringify(manifest)) as M;
  const { contributes } = copy;
  const schema = JSON.parse(JSON.stringify(launchSchema())) as Readonly<Record<string, JsonSchema>>;
  for (const each of contributes.debuggers) {
    each.languages = [...GUEST_LANGUAGES];
    each.configurationAttributes.launch.properties = schema;
  }
  contributes.breakpoints = [...GUEST_LANGUAGES, ...COMPILED_LANGUAGES.keys()].map((language) => ({ language }));
  for (const item of Object.values(contributes.menus).flat())
    if (item.when !== undefined)
      item.when = item.when.replace(LANGUAGE_TEST, () => `resourceLangId =~ /^(${GUEST_LANGUAGES.join('|')})$/`);

  const { properties } = contributes.configuration;
  for (const key of OPTION_SETTINGS) {
    const [setting, option] = [properties[`pagewalk.${key}`], schema[key]];
    if (!setting || !option) continue;
    if (option.enum) Object.assign(setting, { enum: option.enum, default: option.default });
    else if (option.items) setting.items = { ...setting.items, ...patternOf(option.items) };
  }
  const panels = PANELS.map(({ id }) => id);
  const updated = properties['pagewalk.panels.updateAtStop'];
  if (updated) Object.assign(updated, { items: { ...updated.items, enum: panels }, default: panels });
  copy.activationEvents = [
    ...copy.activationEvents.filter((event) => !event.startsWith('onWebviewPanel:')),
    ...PANELS.map(({ view }) => `onWebviewPanel:${view}`),
  ];
  return copy;
}

const patternOf = ({ pattern, patternErrorMessage }: JsonSchema): JsonSchema => ({
  ...(pattern === undefined ? {} : { pattern: pattern.replace('|.*\\$\\{.+\\}.*', '') }),
  ...(patternErrorMessage === undefined ? {} : { patternErrorMessage }),
});

export const MANIFEST = join(dirname(dirname(fileURLToPath(import.meta.url))), 'package.json');

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const manifest = JSON.parse(readFileSync(MANIFEST, 'utf8')) as Manifest;
  writeFileSync(MANIFEST, `${JSON.stringify(filled(manifest), undefined, 2)}\n`);
}
