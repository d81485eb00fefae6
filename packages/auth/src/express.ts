export { logoutHandler } from './express-logout.ts'
export {
  type AuthOptions,
  optionalAuth,
  type RefusalAnswer,
  requireAuth,
  requireRole,
  requireScope,
  type RequestRefusal,
} from './express-middleware.ts'
