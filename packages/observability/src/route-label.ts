import type { Request, Response } from 'express'
import { boundedLabel } from './metrics.ts'

const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']

/** The method as a label: one of eight. */
export function methodLabel(method: string): string {
  return boundedLabel(method, methods, 'OTHER')
}

/** The route of a request that no route took: never its path, which anybody can make up. */
export const unmatchedRoute: string = 'unmatched'
const overflowRoute = 'overflow'

/**
 * The Express pattern that took the request, with its mount path; `res.locals.route` wins. At most `maxRoutes` values
 * are handed out, later ones become `overflow`: a mount path with a parameter that Express doesn't name (`baseUrl` is
 * the path as sent) can then not make series without end.
 */
export function routeLabeller(maxRoutes: number): (request: Request, response: Response) => string {
  const known = new Set<string>()
  return (request, response) => {
    const route = findRoute(request, response)
    if (known.has(route) || route === unmatchedRoute) return route
    if (known.size >= maxRoutes) return overflowRoute
    known.add(route)
    return route
  }
}

function findRoute(request: Request, response: Response): string {
  const named: unknown = response.locals['route']
  if (typeof named === 'string' && named !== '') return named
  const matched: unknown = request.route
  if (typeof matched !== 'object' || matched === null || !('path' in matched)) return unmatchedRoute
  const { path } = matched
  const pattern = typeof path === 'string' ? path : String(path)
  const base = patternOfBase(request)
  return pattern === '/' && base !== '' ? base : base + pattern
}

/** Puts the parameters' names back into the mount path, as far as they are known (`mergeParams`). */
function patternOfBase(request: Request): string {
  if (request.baseUrl === '') return ''
  const names = new Map<string, string>()
  for (const [name, value] of Object.entries(request.params))
    if (typeof value === 'string') names.set(encodeURIComponent(value), `:${name}`)
  return request.baseUrl
    .split('/')
    .map((segment) => names.get(segment) ?? segment)
    .join('/')
}
