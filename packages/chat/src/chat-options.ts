import type { Broker } from '@gw/pubsub'
import type { ChatMessage } from './chat-message.ts'
import type { ChatStore } from './chat-store.ts'

/** Someone in a room. */
export interface Member {
  readonly roomId: string
  readonly userId: string
}

/** What the filter judges: a text that has passed all other rules. */
export interface ChatDraft extends Member {
  readonly text: string
}

/** The filter's word: pass, pass with another text (a mask), or refuse. */
export type FilterResult = { readonly allowed: true; readonly text?: string } | { readonly allowed: false }

/** The word of a rate limiter. */
export interface RateResult {
  readonly allowed: boolean
  readonly retryAfterMs?: number
}

/** What is published to a room's channel. */
export type ChatUpdate =
  | { readonly type: 'message'; readonly roomId: string; readonly message: ChatMessage }
  | { readonly type: 'deleted'; readonly roomId: string; readonly messageId: string }

/** A step of the rules that asks someone else. */
export type ChatCheck = 'rate' | 'member' | 'muted' | 'filter' | 'nickname'

/** What happened, for logs and metrics; never the text of a message. */
export type ChatEvent =
  | {
      readonly type: 'accepted'
      readonly roomId: string
      readonly userId: string
      readonly duplicate: boolean
    }
  | {
      readonly type: 'refused'
      readonly roomId: string
      readonly userId: string
      readonly reason: ChatRefusal
    }
  | {
      readonly type: 'check_failed'
      readonly check: ChatCheck
      readonly roomId: string
      readonly userId: string
      readonly outcome: 'refused' | 'allowed'
      readonly error: unknown
    }
  | {
      readonly type: 'backend_failed'
      readonly stage: 'store' | 'publish'
      readonly roomId: string
      readonly error: unknown
    }

/** Why a message was not accepted. `conflict`: its client message id was used for another text. */
export type ChatRefusal =
  | 'empty_message'
  | 'message_too_long'
  | 'rate_limited'
  | 'not_member'
  | 'muted'
  | 'blocked'
  | 'conflict'
  | 'unavailable'

/** Bounds, all with defaults. */
export interface ChatLimits {
  /** UTF-16 units after trimming. Default 500. */
  readonly maxLength?: number
  /** Messages of a page when nothing is asked for. Default 50. */
  readonly pageSize?: number
  /** Messages of a page at most. Default 100. */
  readonly maxPageSize?: number
  /** For each step that waits: a check, the store, the publish. Default 2000. */
  readonly timeoutMs?: number
  /** How long answers of `isMember` and `isMuted` are good: a member, muted, not muted. Who is no member is asked for each time. Default 2000. */
  readonly checkTtlMs?: number
  /** How long a nickname is good. Default 60 000. */
  readonly nicknameTtlMs?: number
  /** Answers kept of each kind. Default 10 000. */
  readonly maxAnswers?: number
}

/** The defaults of `ChatOptions.limits`. */
export const limitDefaults: Required<ChatLimits> = {
  maxLength: 500,
  pageSize: 50,
  maxPageSize: 100,
  timeoutMs: 2000,
  checkTtlMs: 2000,
  nicknameTtlMs: 60_000,
  maxAnswers: 10_000,
}

/** What a chat is made of. Everything that it asks is passed in; everything passed in stays the caller's to close. */
export interface ChatOptions {
  readonly store: ChatStore
  readonly publisher: Pick<Broker, 'publish'>
  /** Whether the user may write to and read the room. A failure refuses. */
  readonly isMember: (member: Member) => Promise<boolean>
  readonly isMuted: (member: Member) => Promise<boolean>
  /** What a failing `isMuted` means. Default 'deny'. */
  readonly onMuteError?: 'deny' | 'allow'
  /** The name to show. Blank or failing: `Unknown`. */
  readonly nicknameOf: (userId: string) => Promise<string | undefined>
  /** The last word on a text. A failure refuses. */
  readonly filter?: (draft: ChatDraft) => Promise<FilterResult>
  /** Asked after the text's own rules, before membership. A failure refuses. Default: no limit here. */
  readonly checkRate?: (member: Member) => Promise<RateResult>
  /** A room's channel. Default `chat:<roomId>`. */
  readonly channelOf?: (roomId: string) => string
  /** What is published. Default the update as JSON. */
  readonly encode?: (update: ChatUpdate) => string
  readonly limits?: ChatLimits
  /** Unix time in ms. Default `Date.now`. */
  readonly now?: () => number
  /** Ids of messages. Default `crypto.randomUUID`. */
  readonly newId?: () => string
  /** Must not throw; if it does, the error is dropped. */
  readonly onEvent?: (event: ChatEvent) => void
}
