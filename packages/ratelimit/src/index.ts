export { clientAddress, type ClientAddressOptions, createClientAddress } from './client-address.ts'
export type { Decision, DecisionSource, KeyDecision, LimitRequest } from './decision.ts'
export { MemoryRateLimitStore, type MemoryRateLimitStoreOptions } from './memory-rate-limit-store.ts'
export type { BlockPolicy, CheckedPolicy, Policy } from './policy.ts'
export { RateLimitError, type RateLimitErrorCode } from './rate-limit-error.ts'
export type { RateLimitStore, StoreAnswer, StoreKey, StoreMode, StoreRequest } from './rate-limit-store.ts'
export {
  createRateLimiter,
  type RateLimiter,
  type RateLimiterOptions,
  type RateLimitEvent,
  type StoreErrorAction,
} from './rate-limiter.ts'
export type { WindowState } from './sliding-window.ts'
export { addressKey, userKey } from './subject.ts'
