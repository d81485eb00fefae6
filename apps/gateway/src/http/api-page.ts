/** The API document as one HTML page: no script, nothing loaded from elsewhere, fit for the strictest policy. */
import type { Json } from '../grpc/relay-json.ts'
import type { ApiDocument, Operation, Parameter } from './openapi.ts'
import type { RouteExample } from './route.ts'

const style = `
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h2 { margin-top: 2.5rem; text-transform: capitalize }
details { border: 1px solid #8886; border-radius: .4rem; margin: .4rem 0; padding: .3rem .7rem }
summary { cursor: pointer }
summary b { display: inline-block; min-width: 4.2rem }
pre { overflow-x: auto; background: #8882; border-radius: .3rem; padding: .5rem; font-size: 13px }
table { border-collapse: collapse; font-size: 14px }
td, th { text-align: left; padding: .1rem 1rem .1rem 0; vertical-align: top }
small { opacity: .75 }
`

function escape(text: string): string {
  return text.replaceAll(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`)
}

function pretty(value: unknown): string {
  return `<pre>${escape(JSON.stringify(value, null, 2))}</pre>`
}

type Members = { readonly [name: string]: Json }

function members(value: Json | undefined): Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Members) : {}
}

/** The schema of a JSON content, whether of a request or a response. */
function schemaOf(holder: Json | undefined): Json | undefined {
  return members(members(members(holder)['content'])['application/json'])['schema']
}

/** A line for a shell; a single quote in a body would end it. */
function curlOf(method: string, path: string, example: RouteExample): string {
  let target = path
  for (const [name, value] of Object.entries(example.params ?? {}))
    target = target.replace(`{${name}}`, encodeURIComponent(value))
  const query = Object.entries(example.query ?? {}).map(
    ([name, value]) => `${name}=${encodeURIComponent(value)}`,
  )
  if (query.length > 0) target += `?${query.join('&')}`
  const fields = { Authorization: 'Bearer $TOKEN', ...example.headers }
  const headers = Object.entries(fields).map(([name, value]) => ` -H "${name}: ${value}"`)
  const json =
    example.body === undefined ? undefined : JSON.stringify(example.body).replaceAll("'", String.raw`\u0027`)
  const body = json === undefined ? '' : ` -H "Content-Type: application/json" \\\n  -d '${json}'`
  return `curl -X ${method.toUpperCase()} "$GATEWAY${target}"${headers.join('')}${body}`
}

function exampleHtml(method: string, path: string, example: RouteExample): string {
  const curl = escape(curlOf(method, path, example))
  return `<p>${escape(example.summary)} → ${example.status}</p><pre>${curl}</pre>`
}

function parameterRow({ name, in: place, required, description, schema }: Parameter): string {
  const cells = [name, place, required ? 'required' : '', description ?? JSON.stringify(schema)]
  return `<tr>${cells.map((cell) => `<td>${escape(cell)}</td>`).join('')}</tr>`
}

function operationHtml(method: string, path: string, operation: Operation): string {
  // The successful answer is the first: its number sorts before `4XX`.
  const [success] = Object.entries(operation.responses)
  const [body, answer] = [schemaOf(operation.requestBody), schemaOf(success?.[1])]
  const { operationId, summary, parameters } = operation
  return [
    `<details id="${escape(operationId)}"><summary><b>${method.toUpperCase()}</b> <code>${escape(path)}</code> <small>${escape(summary)}</small></summary>`,
    parameters.length > 0 ? `<table>${parameters.map(parameterRow).join('')}</table>` : '',
    body === undefined ? '' : `<p>Body</p>${pretty(body)}`,
    `<p>Answer ${escape(success?.[0] ?? '')}</p>${answer === undefined ? '<p><small>no body</small></p>' : pretty(answer)}`,
    ...operation['x-examples'].map((example) => exampleHtml(method, path, example)),
    '</details>',
  ].join('\n')
}

/** The page. Pure; everything in it is escaped. */
export function apiPage(document: ApiDocument): string {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  )
  const sections = document.tags.map(({ name, description }) => {
    const own = operations.filter(({ operation }) => operation.tags.includes(name))
    const list = own.map(({ method, path, operation }) => operationHtml(method, path, operation))
    return `<h2>${escape(name)}</h2><p>${escape(description)}</p>${list.join('\n')}`
  })
  const schemas = Object.entries(document.components.schemas).map(
    ([name, schema]) =>
      `<details id="schema-${escape(name)}"><summary>${escape(name)}</summary>${pretty(schema)}</details>`,
  )
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Gateway API</title><style>${style}</style></head><body>
<h1>Gateway API</h1><p>${escape(document.info.description)} <a href="/openapi.json">openapi.json</a></p>
${sections.join('\n')}
<h2>Schemas</h2>
${schemas.join('\n')}
</body></html>
`
}
