/**
 * The canvas that a machine is seen on; the Worker draws, so the page cannot hold it up.
 *
 * @module
 */

import type { Picture } from '../machines/machine-kind.ts'

/** A canvas that may come later, and may be covered. */
export class Screen {
  #canvas: OffscreenCanvas | undefined
  #context: OffscreenCanvasRenderingContext2D | null = null
  #shown: ImageData | undefined
  /** Pictures are kept from view, as those of a machine that only waits for its content. */
  isCovered = false

  attach(canvas: OffscreenCanvas): void {
    this.#canvas = canvas
    this.#context = canvas.getContext('2d', { alpha: false })
  }

  show({ width, height, pixels }: Picture): void {
    if (this.isCovered || this.#canvas === undefined) return
    if (this.#canvas.width !== width || this.#canvas.height !== height) {
      this.#canvas.width = width
      this.#canvas.height = height
    }
    this.#shown = new ImageData(pixels, width, height)
    this.#context?.putImageData(this.#shown, 0, 0)
  }

  clear(): void {
    this.#shown = undefined
    this.#context?.clearRect(0, 0, this.#canvas?.width ?? 0, this.#canvas?.height ?? 0)
  }
}

/** A copy of a picture, to be sent to the page. */
export function copyOf({ width, height, pixels }: Picture): ImageData {
  return new ImageData(pixels.slice(), width, height)
}
