/// A disk in memory.
///
/// [dev.lockstep.block.memory.MemoryDevice] keeps only what was written: memory comes in chunks of
/// 64 KiB as they are first touched, and goes again when whole chunks are zeroed with permission to
/// unmap, or discarded. It never blocks, so that everything it does can be done on an event loop.
/// It serves as a scratch disk, as the medium for measuring everything above it, and as the fake of
/// tests; errors, delays and crashes are put on top with [dev.lockstep.block.filter.fault].
@NullMarked
package dev.lockstep.block.memory;

import org.jspecify.annotations.NullMarked;
