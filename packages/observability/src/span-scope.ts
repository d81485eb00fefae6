import { type Context, ROOT_CONTEXT, type Span, trace } from '@opentelemetry/api'

/** The key under which the API keeps the active span: it names it to nobody, and asks any context for it. */
const spanKey = ((): symbol | undefined => {
  let asked: symbol | undefined
  trace.getSpan({
    getValue(key) {
      asked = key
      return undefined
    },
    setValue: () => ROOT_CONTEXT,
    deleteValue: () => ROOT_CONTEXT,
  })
  return asked
})()

/** `outer` with `span` as the active one: what `trace.setSpan` gives, without a copy of all that is in it. */
export class SpanScope implements Context {
  readonly #outer: Context
  readonly #span: Span

  constructor(outer: Context, span: Span) {
    this.#outer = outer
    this.#span = span
  }

  getValue(key: symbol): unknown {
    return key === spanKey ? this.#span : this.#outer.getValue(key)
  }

  setValue(key: symbol, value: unknown): Context {
    return this.#copy().setValue(key, value)
  }

  deleteValue(key: symbol): Context {
    return this.#copy().deleteValue(key)
  }

  #copy(): Context {
    return trace.setSpan(this.#outer, this.#span)
  }
}
