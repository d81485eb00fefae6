import { Router } from 'express'
import { apiPage } from './api-page.ts'
import { openApiDocument } from './openapi.ts'
import type { DocumentedRoute } from './route.ts'

export interface ApiDocsOptions {
  readonly routes: readonly DocumentedRoute[]
  /** `/docs` as well: the document as a page, for people. */
  readonly hasPage: boolean
}

/** `/openapi.json`, and `/docs`. Made once; open to all, since it says nothing that differs between callers. */
export function apiDocs({ routes, hasPage }: ApiDocsOptions): Router {
  const document = openApiDocument(routes)
  const json = Buffer.from(JSON.stringify(document))
  const page = hasPage ? Buffer.from(apiPage(document)) : undefined
  const router = Router()
  router.get('/openapi.json', (_request, response) => {
    response.type('application/json').send(json)
  })
  if (page)
    router.get('/docs', (_request, response) => {
      response.type('text/html').send(page)
    })
  return router
}
