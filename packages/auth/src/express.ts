export { logoutHandler } from './express-logout.ts'
export {
  type AuthOptions,
  optionalAuth,
  requireAuth,
  requireRole,
  requireScope,
  type RequestRefusal,
} from './express-middleware.ts'
