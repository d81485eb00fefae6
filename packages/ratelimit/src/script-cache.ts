import { createHash } from 'node:crypto'
import { consumeSource } from './consume-script.ts'
import type { CheckedPolicy } from './policy.ts'
import type { StoreMode, StoreRequest } from './rate-limit-store.ts'

/** A script with the name under which Redis caches it. */
export interface Script {
  readonly text: string
  readonly sha: string
}

export function scriptOf(text: string): Script {
  return { text, sha: createHash('sha1').update(text).digest('hex') }
}

/** The scripts of the calls whose policies begin alike. */
interface Branch {
  readonly next: Map<CheckedPolicy, Branch>
  readonly scripts: Partial<Record<StoreMode, Script>>
}

/** Lists of policies in use; a service has a handful. Above it all are written anew. */
const maxScripts = 1000

/** Holds the script of each mode and list of policies once it was needed: found by the policies, not by a text of them. */
export class ScriptCache {
  #root: Branch = { next: new Map(), scripts: {} }
  #size = 0

  of(requests: readonly StoreRequest[], mode: StoreMode): Script {
    let branch = this.#root
    for (const { policy } of requests) {
      let next = branch.next.get(policy)
      if (next === undefined) {
        next = { next: new Map(), scripts: {} }
        branch.next.set(policy, next)
      }
      branch = next
    }
    return branch.scripts[mode] ?? this.#write(branch, requests, mode)
  }

  #write(branch: Branch, requests: readonly StoreRequest[], mode: StoreMode): Script {
    const policies = requests.map(({ policy }) => policy)
    const script = scriptOf(consumeSource(policies, mode))
    branch.scripts[mode] = script
    this.#size += 1
    if (this.#size > maxScripts) {
      this.#root = { next: new Map(), scripts: {} }
      this.#size = 0
    }
    return script
  }
}
