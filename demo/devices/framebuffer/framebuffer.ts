/**
 * framebuffer: a display with 2 MiB of video memory and a drawing engine, to be looked at while it moves.
 *
 * @module
 */

import { type DefinedDevice, defineDevice, type Engine } from 'stopcopy'
import { DrawingEngine } from './drawing-engine.ts'
import { framebufferRegions } from './framebuffer-registers.ts'
import { FRAMEBUFFER_STATE, FRAMEBUFFER_VERSION, type FramebufferSchema } from './framebuffer-state.ts'
import { MAPS_OFFSET, VIDEO_BYTES } from './memory-map.ts'
import { fillPalette } from './palette.ts'
import { type PictureClock, timerClock } from './picture-clock.ts'
import { windMaps } from './wind-maps.ts'

/** Options of {@link createFramebuffer}. */
export interface FramebufferOptions {
  /** Default: 60 pictures a second. */
  readonly clock?: PictureClock
  /** Called after each picture. */
  readonly onPicture?: () => void
  /** Default: a small shared engine. */
  readonly engine?: Engine
}

/** The driver; open it with `VfioDevice.open`. */
export type Framebuffer = DefinedDevice<FramebufferSchema, 'video'>

/**
 * Creates a display. It draws from `VfioDevice.open` on, except while it is stopped.
 *
 * @example
 * ```ts
 * import { VfioDevice } from 'stopcopy'
 * const display = createFramebuffer({ onPicture: () => console.log(display.state.tick) })
 * const device = await VfioDevice.open(display)
 * ```
 */
export function createFramebuffer(options: FramebufferOptions = {}): Framebuffer {
  const { clock = timerClock(), onPicture } = options
  const driver: Framebuffer = defineDevice({
    type: 'framebuffer',
    version: FRAMEBUFFER_VERSION,
    state: FRAMEBUFFER_STATE,
    memory: { video: { byteLength: VIDEO_BYTES } },
    ...(options.engine === undefined ? {} : { engine: options.engine }),
    reset: (context) => {
      const { state, memory } = context
      fillPalette(state.palette as Uint32Array, state.theme)
      memory.video.bytes.set(windMaps(), MAPS_OFFSET)
      new DrawingEngine(context).scatter()
    },
    resume: (context) => {
      const engine = new DrawingEngine(context)
      clock.start(() => {
        if (context.state.control === 0) return
        engine.draw()
        onPicture?.()
      })
    },
    quiesce: () => clock.stop(),
    throttle: (_context, percent) => clock.slow?.(percent),
    regions: framebufferRegions,
  })
  const close = driver.close?.bind(driver)
  driver.close = () => {
    // Nobody can look at the picture that it would still draw.
    clock.end?.()
    return close?.()
  }
  return driver
}
