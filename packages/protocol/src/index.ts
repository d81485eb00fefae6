export type { ClientMessage, ClientMessageType } from './client-messages.ts'
export type { ServerMessage, ServerMessageType } from './server-messages.ts'
export type { Card, Hand, HandAction, Pot, Seat, Spectator } from './table-state.ts'
export type { TableConfig, TableState, TableStatePatch, TableSummary } from './table-state.ts'
export { allChannel, lobbyChannel, parseChannel } from './position.ts'
export { chatChannel, presenceChannel, tableChannel, userChannel } from './position.ts'
export type { ChannelKind, Position, Positioned } from './position.ts'
export { bearerSubprotocolPrefix, limits, subprotocol, wsPath } from './limits.ts'
export { features, isFeature } from './features.ts'
export type { Feature } from './features.ts'
export { closeCodes, retryAfterClose } from './close-codes.ts'
export type { CloseCode, CloseName, CloseRetry, CloseRow } from './close-codes.ts'
export { decodeFrame, decodeServerMessage, type OtherMessage } from './decode-server-message.ts'
export { playerActions } from './client-messages.ts'
export type {
  AboutTable,
  Action,
  Authenticate,
  ChatSend,
  DeleteChatMessage,
  GetChatHistory,
  Identified,
  JoinSeat,
  LeaveTable,
  Ping,
  ResyncTable,
  SetAway,
  SetTyping,
  SubscribeChat,
  SubscribeLobby,
  SubscribePresence,
  SubscribeTable,
  UnsubscribeChat,
  UnsubscribeLobby,
  UnsubscribePresence,
  UnsubscribeTable,
} from './client-messages.ts'
export type {
  Ack,
  ActionResult,
  Answering,
  ChatDeleted,
  ChatEntry,
  ChatError,
  ChatHistory,
  ChatMessage,
  ChatSubscribed,
  ErrorMessage,
  Heartbeat,
  HoleCards,
  LobbyTablesUpdated,
  Pong,
  PresenceChanged,
  PresenceSnapshot,
  Reconnect,
  Reset,
  Resumed,
  ResumedChannel,
  SpectatorJoined,
  SpectatorLeft,
  Subscribed,
  TablePatch,
  TableSnapshot,
  TimerUpdate,
  TokenExpiring,
  Typing,
  Welcome,
} from './server-messages.ts'
export {
  actionReasons,
  chatErrorReasons,
  errorCodes,
  presenceStatuses,
  reconnectReasons,
  resetReasons,
} from './error-codes.ts'
export type {
  ActionReason,
  ChatErrorReason,
  ErrorCode,
  PresenceStatus,
  ReconnectReason,
  ResetReason,
} from './error-codes.ts'
export { handActionTypes, ranks, seatStatuses, streets, suits, tableStatuses } from './table-state.ts'
