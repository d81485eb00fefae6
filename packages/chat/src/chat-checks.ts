import { AnswerCache } from './answer-cache.ts'
import type { ChatCheck, ChatEvent, ChatOptions, Member } from './chat-options.ts'
import { withDeadline } from './with-deadline.ts'

/** What `checkMuted` found; `unknown`: it could not be asked. */
export type MuteState = 'muted' | 'not_muted' | 'unknown'

/** Whose answers to forget: of a room, of a user, or of a user in a room. */
export type Invalidation =
  | { readonly roomId: string; readonly userId?: string }
  | { readonly userId: string; readonly roomId?: string }

export interface ChatCheckOptions extends Pick<ChatOptions, 'isMember' | 'isMuted' | 'nicknameOf'> {
  readonly onMuteError: 'deny' | 'allow'
  readonly timeoutMs: number
  readonly checkTtlMs: number
  readonly nicknameTtlMs: number
  readonly maxAnswers: number
  readonly now: () => number
  readonly report: (event: ChatEvent) => void
}

const noName = 'Unknown'

/** The questions that a chat asks others, with their caches, deadlines and what a failure means. */
export class ChatChecks {
  readonly #options: ChatCheckOptions
  readonly #members: AnswerCache<boolean>
  readonly #muted: AnswerCache<boolean>
  readonly #nicknames: AnswerCache<string>

  constructor(options: ChatCheckOptions) {
    const { checkTtlMs, nicknameTtlMs, maxAnswers: maxEntries, now } = options
    this.#options = options
    // Who is no member, or has no name, may be one or have one the next moment.
    this.#members = new AnswerCache({ ttlMs: checkTtlMs, maxEntries, now, keeps: (isMember) => isMember })
    this.#muted = new AnswerCache({ ttlMs: checkTtlMs, maxEntries, now })
    const keeps = (name: string): boolean => name !== noName
    this.#nicknames = new AnswerCache({ ttlMs: nicknameTtlMs, maxEntries, now, keeps })
  }

  /** Undefined when it could not be asked. */
  isMember(member: Member): Promise<boolean | undefined> {
    const { isMember } = this.#options
    const ask = (): Promise<boolean> => this.withDeadline(() => isMember(member))
    return this.#answer('member', member, () => this.#members.get(toKey(member), ask))
  }

  async muteState(member: Member): Promise<MuteState> {
    const { isMuted } = this.#options
    const ask = (): Promise<boolean> => this.withDeadline(() => isMuted(member))
    const muted = await this.#answer('muted', member, () => this.#muted.get(toKey(member), ask))
    if (muted === undefined) return 'unknown'
    return muted ? 'muted' : 'not_muted'
  }

  async nickname(member: Member): Promise<string> {
    const { nicknameOf } = this.#options
    const ask = async (): Promise<string> => {
      const name = await this.withDeadline(() => nicknameOf(member.userId))
      return name?.trim() || noName
    }
    const name = await this.#answer('nickname', member, () => this.#nicknames.get(member.userId, ask))
    return name ?? noName
  }

  /** Asks once; undefined when it failed, which is reported. */
  once<T>(check: 'rate' | 'filter', member: Member, ask: () => Promise<T>): Promise<T | undefined> {
    return this.#answer(check, member, () => this.withDeadline(ask))
  }

  /** A function's promise with the deadline; a throw becomes a rejection. */
  async withDeadline<T>(ask: () => Promise<T>): Promise<T> {
    return await withDeadline(ask(), this.#options.timeoutMs)
  }

  invalidate(of: Invalidation): void {
    const matches = (key: string): boolean => {
      const [roomId, userId] = fromKey(key)
      return (of.roomId ?? roomId) === roomId && (of.userId ?? userId) === userId
    }
    this.#members.invalidate(matches)
    this.#muted.invalidate(matches)
    if (of.roomId === undefined) this.#nicknames.invalidate((userId) => userId === of.userId)
  }

  async #answer<T>(check: ChatCheck, member: Member, ask: () => Promise<T>): Promise<T | undefined> {
    try {
      return await ask()
    } catch (error) {
      const { roomId, userId } = member
      const goesOn = check === 'nickname' || (check === 'muted' && this.#options.onMuteError === 'allow')
      const outcome = goesOn ? 'allowed' : 'refused'
      this.#options.report({ type: 'check_failed', check, roomId, userId, outcome, error })
      return undefined
    }
  }
}

// Encoded, so that no id can hold the separator.
function toKey({ roomId, userId }: Member): string {
  return `${encodeURIComponent(roomId)} ${encodeURIComponent(userId)}`
}

function fromKey(key: string): string[] {
  return key.split(' ').map(decodeURIComponent)
}
