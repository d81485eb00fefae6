import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

/** Absolute path of the repository. */
export const root: string = join(import.meta.dirname, '../..')

/** One folder of the workspace that has a package.json. */
export interface WorkspacePackage {
  readonly name: string
  /** Absolute. */
  readonly folder: string
  readonly published: boolean
}

/** Reads a JSON file whose top level is an object. Throws when it is not. */
export function readObject(file: string): Record<string, unknown> {
  const value: unknown = JSON.parse(readFileSync(file, 'utf8'))
  if (!isObject(value)) throw new Error(`${file} does not hold an object`)
  return value
}

/** A JSON object, as opposed to an array, null or a scalar. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** All packages and apps, by folder name. */
export function workspacePackages(): readonly WorkspacePackage[] {
  return ['packages', 'apps'].flatMap((parent) =>
    readdirSync(join(root, parent))
      .map((name) => join(root, parent, name))
      .filter((folder) => existsSync(join(folder, 'package.json')))
      .map((folder) => {
        const manifest = readObject(join(folder, 'package.json'))
        return { name: String(manifest['name']), folder, published: manifest['private'] !== true }
      }),
  )
}
