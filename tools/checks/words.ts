import { readFileSync } from 'node:fs'
import { listFiles } from '../lib/files.ts'

/** Words that are about poker wherever they stand. */
const anywhere: ReadonlySet<string> = plurals(['poker', 'holdem', 'lobby', 'seat', 'dealer'])
/** Words that prose also uses for other things: wrong in names and strings, not in comments. */
const inCode: ReadonlySet<string> = plurals(['table', 'hand', 'card', 'pot', 'chip'])

/** Lua's own library; also the only `table` that a script needs. */
const innocent = /\btable\.(?:insert|concat|remove|unpack|getn|sort)\b/g

const free: ReadonlySet<string> = new Set(['protocol', 'client', 'testing'])

/** A poker word in a file: the line, from 1, and the word. */
export interface FoundWord {
  readonly line: number
  readonly word: string
}

/** The poker words in a TypeScript or Lua text, also as parts of camelCase and snake_case names. */
export function findWords(text: string): readonly FoundWord[] {
  const code = withoutComments(text).split('\n')
  return text.split('\n').flatMap((line, at) => {
    const named = new Set(split(code[at] ?? '').filter((word) => inCode.has(word)))
    return [...split(line).filter((word) => anywhere.has(word)), ...named].map((word) => ({
      line: at + 1,
      word,
    }))
  })
}

/** Poker words in the sources of all packages but protocol and client (and the private testing). */
export function checkWords(root: string): readonly string[] {
  return listFiles(root, 'packages/*/src/**/*.{ts,lua}')
    .filter((file) => !free.has(file.split('/')[1] ?? ''))
    .flatMap((file) =>
      findWords(readFileSync(`${root}/${file}`, 'utf8')).map(
        ({ line, word }) => `${file}:${line} says "${word}"`,
      ),
    )
}

function split(line: string): readonly string[] {
  return line
    .replace(innocent, '')
    .replace(/([a-z\d])([A-Z])/g, '$1 $2')
    .split(/[^A-Za-z]+/)
    .map((word) => word.toLowerCase())
}

/** Keeps the lines. A `//` behind a colon is a URL's. */
function withoutComments(text: string): string {
  return text
    .replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, ''))
    .replace(/(?<!:)\/\/.*$/gm, '')
    .replace(/^\s*--.*$/gm, '')
}

function plurals(singular: readonly string[]): ReadonlySet<string> {
  return new Set(singular.flatMap((word) => [word, `${word}s`, word.replace(/y$/, 'ies')]))
}
