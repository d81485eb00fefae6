export { type ChatRedis, RedisChatStore, type RedisChatStoreOptions } from './redis-chat-store.ts'
