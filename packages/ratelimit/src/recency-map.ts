interface Node<V> {
  readonly key: string
  value: V
  older: Node<V> | undefined
  younger: Node<V> | undefined
}

/**
 * A map that knows the key unused for longest; all in O(1). Its order is a linked list. A `Map` keeps an order too, by
 * deleting and setting again, but its oldest key is dear: a fresh iterator passes by all that was deleted first, and one
 * that is kept holds on to all that the Map outgrew since it last moved.
 */
export class RecencyMap<V> {
  readonly #nodes = new Map<string, Node<V>>()
  #oldest: Node<V> | undefined
  #youngest: Node<V> | undefined

  get size(): number {
    return this.#nodes.size
  }

  /** Undefined when it is empty. */
  get oldest(): { readonly key: string; readonly value: V } | undefined {
    return this.#oldest
  }

  /** Looks without using: the order stays. */
  get(key: string): V | undefined {
    return this.#nodes.get(key)?.value
  }

  /** The value, whose key is the youngest now. */
  use(key: string): V | undefined {
    return this.#moved(key)?.value
  }

  /** Puts the key at the young end. */
  set(key: string, value: V): void {
    const known = this.#moved(key)
    if (known !== undefined) {
      known.value = value
      return
    }
    const node = { key, value, older: undefined, younger: undefined }
    this.#nodes.set(key, node)
    this.#link(node)
  }

  delete(key: string): void {
    const node = this.#nodes.get(key)
    if (node === undefined) return
    this.#nodes.delete(key)
    this.#unlink(node)
  }

  clear(): void {
    this.#nodes.clear()
    this.#oldest = undefined
    this.#youngest = undefined
  }

  #moved(key: string): Node<V> | undefined {
    const node = this.#nodes.get(key)
    if (node !== undefined && node !== this.#youngest) {
      this.#unlink(node)
      this.#link(node)
    }
    return node
  }

  #link(node: Node<V>): void {
    node.older = this.#youngest
    if (this.#youngest === undefined) this.#oldest = node
    else this.#youngest.younger = node
    this.#youngest = node
  }

  #unlink(node: Node<V>): void {
    const { older, younger } = node
    if (older === undefined) this.#oldest = younger
    else older.younger = younger
    if (younger === undefined) this.#youngest = older
    else younger.older = older
    // What left the list must not hold a neighbour: old and dead, it would until the next full collection.
    node.older = undefined
    node.younger = undefined
  }
}
