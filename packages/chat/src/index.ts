export { createChat } from './create-chat.ts'
export type {
  Chat,
  DeleteMessageResult,
  HistoryRequest,
  HistoryResult,
  Refused,
  SendRequest,
  SendResult,
} from './create-chat.ts'
export type {
  ChatCheck,
  ChatDraft,
  ChatEvent,
  ChatLimits,
  ChatOptions,
  ChatRefusal,
  ChatUpdate,
  FilterResult,
  Member,
  RateResult,
} from './chat-options.ts'
export type { Invalidation, MuteState } from './chat-checks.ts'
export { MemoryChatStore, type MemoryChatStoreOptions } from './memory-chat-store.ts'
export type {
  ChatRetention,
  ChatStore,
  DeleteResult,
  HistoryPage,
  ReadRequest,
  SaveRequest,
  SaveResult,
} from './chat-store.ts'
export type { ChatMessage } from './chat-message.ts'
export { ChatError, type ChatErrorCode } from './chat-error.ts'
